"""Intake: Kafka records into events worth folding, and into the reasons why others are not.

Pure: what a batch's records are by themselves. What was applied in earlier batches is the projector's business.
"""

from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from projections.fold import subject_of
from projections.playbook.rules import Rules
from projections.subjects import Subject
from schemas.canonical import body_hash, canonical
from schemas.decode import decode
from schemas.event import Event
from schemas.rejection import Rejection
from store.archive import LogRecord
from store.commit import DeadLetter

EventKey = tuple[bytes, str]  #: (event id, source): what an event is known by, for ever


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
    #: partition ids, one entry for each record that said what another one had said
    duplicates: list[int] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


def take_in(intake: Intake, record: LogRecord, owner: str, rules: Rules) -> None:
    """Sort out one record of a topic that `owner` writes."""
    try:
        event = decode(record.value, owner)
        subject = subject_of(event, rules)
    except Rejection as rejection:
        intake.dead_letters.append(dead_letter(record, rejection, record.value))
        return
    assert record.value is not None, "decode refuses tombstones"
    candidate = Candidate(
        (event.id, event.source),
        record,
        event,
        subject,
        body_hash(record.value),
        record.value,
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


def same_body(one: bytes, other: bytes) -> bool:
    """Whether two encodings say the same."""
    return canonical(one) == canonical(other)


def precedes(one: bytes, other: bytes) -> bool:
    """Of two bodies under one event id, whether `one` is the event: the smaller BLAKE2b of the canonical body.

    Which of them came first says nothing: that differs from partition to partition and from replay to replay.
    """
    return _rank(one) < _rank(other)


def _rank(body: bytes) -> tuple[bytes, bytes]:
    content = canonical(body)
    return (blake2b(content, digest_size=16).digest(), content)


def conflict(event: Event) -> Rejection:
    """The reason for the body that lost."""
    return Rejection(
        "conflict",
        "id",
        f"another event of {event.source} has the same id and other content; one of the two is applied, "
        "the same one in whatever order they come; send this one again under an id of its own",
    )


def dead_letter(record: LogRecord, rejection: Rejection, payload: bytes | None) -> DeadLetter:
    """A record's entry among the dead letters."""
    return DeadLetter(
        record.partition_id,
        record.offset,
        rejection.reason,
        rejection.field,
        rejection.message,
        payload,
        record.recorded_at,
    )
