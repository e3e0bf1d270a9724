"""Intake: Kafka records into events worth folding, and into the reasons why others are not.

Pure: it looks at one batch alone. `preparation` compares it with what was applied before.
"""

from dataclasses import dataclass, field

import msgspec

from projections.fold import subject_of
from projections.playbook.rules import Rules
from projections.subjects import Subject
from schemas.canonical import body_hash
from schemas.decode import decode
from schemas.event import Event
from schemas.rejection import Rejection
from store.archive import LogRecord
from store.commit import DeadLetter
from streams.engine.conflicts import conflict, precedes, same_body

EventKey = tuple[bytes, str]  #: (event id, source): what identifies an event, for ever


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """An event that may be folded, if it was not folded before."""

    key: EventKey
    record: LogRecord
    event: Event
    #: None for a joint event about nobody
    subject: Subject | None
    body_hash: int
    value: bytes

    @property
    def first(self) -> bytes:
        """The key of the strongest identifier: the archive finds the event by it."""
        return NOBODY if self.subject is None else self.subject.persons[0].key


NOBODY = bytes(16)  #: stands for the strongest identifier of an event about nobody


@dataclass(slots=True)
class Intake:
    """The records of a batch, sorted out."""

    candidates: dict[EventKey, Candidate] = field(default_factory=dict)
    #: partition ids, one entry for each record that repeats another one
    duplicates: list[int] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


def take_in(intake: Intake, record: LogRecord, department: str, rules: Rules) -> None:
    """Sort out one record of a topic that `department` writes."""
    try:
        event = decode(record.value, department)
        subject = subject_of(event, rules)
    except Rejection as rejection:
        intake.dead_letters.append(dead_letter(record, rejection, record.value))
        return
    assert record.value is not None, "decode refuses tombstones"
    candidate = Candidate(
        key=(event.id, event.source),
        record=record,
        event=event,
        subject=subject,
        body_hash=body_hash(record.value),
        value=record.value,
    )
    known = intake.candidates.get(candidate.key)
    if known is None:
        intake.candidates[candidate.key] = candidate
    elif known.body_hash == candidate.body_hash or same_body(known.value, candidate.value):
        intake.duplicates.append(record.partition_id)
    else:
        winner, loser = (known, candidate) if precedes(known.value, candidate.value) else (candidate, known)
        intake.candidates[candidate.key] = winner
        intake.dead_letters.append(dead_letter(loser.record, conflict(loser.event), loser.value))


def dead_letter(record: LogRecord, rejection: Rejection, payload: bytes | None) -> DeadLetter:
    """A record's entry among the dead letters."""
    return DeadLetter(
        partition_id=record.partition_id,
        offset=record.offset,
        reason=rejection.reason,
        field=rejection.field,
        message=rejection.message,
        payload=payload,
        recorded_at=record.recorded_at,
    )
