"""Reading: a batch of records to what the fold needs of them, and what is new of it to what is stored of the events.

Pure, and all of it values: a desk may stand in another process (streams/engine/reader_process.py).
"""

import os
from collections.abc import Mapping, Sequence
from operator import attrgetter

import msgspec

from projections.journey.facts import Fact, facts_of
from projections.journey.moments import Moment, moment_of
from projections.playbook.rules import Rules
from projections.subjects import Subject
from store.archive import Block, LogRecord, blocks_of, bucket_of, open_block
from store.commit import DeadLetter, EventRow, copy_of
from streams.engine.intake import NOBODY, Candidate, Intake, take_in

_KEPT = 3  #: batches that may be packed yet: the one that is folded, and those that are read ahead


class Found(msgspec.Struct, array_like=True, gc=False):
    """An event that may be folded, if it was not folded before. Its bytes stay with the records."""

    partition_id: int
    offset: int
    #: place in the reading's subjects; None for an event that is not folded: nobody's, or excluded by the playbook
    subject: int | None
    body_hash: int
    moment: Moment
    facts: Sequence[Fact]


class Reading(msgspec.Struct, array_like=True):
    """A batch of records, sorted out."""

    batch: int
    subjects: list[Subject]
    #: in law 2's order
    found: list[Found]
    #: partition ids, one entry for each record that said what another one had said
    duplicates: list[int]
    dead_letters: list[DeadLetter]


class Packed(msgspec.Struct, array_like=True):
    """What is stored of a batch's events."""

    blocks: list[Block]
    #: for COPY into the table `events`
    events: bytes


class Desk:
    """Reads batches, and packs them once it is known what of them is new."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._candidates: dict[int, list[Candidate]] = {}

    def read(self, batch: int, owners: Mapping[int, str], records: list[LogRecord]) -> Reading:
        """Sort out records; `owners` has the department that writes each partition id."""
        reading, self._candidates[batch] = self._sort_out(batch, owners, records)
        for old in [kept for kept in self._candidates if kept <= batch - _KEPT]:
            del self._candidates[old]
        return reading

    def open(self, batch: int, owners: Mapping[int, str], payloads: list[bytes]) -> Reading:
        """Sort out the events of blocks of the archive. They need not be packed again."""
        records: list[LogRecord] = [event for payload in payloads for event in open_block(payload)]
        return self._sort_out(batch, owners, records)[0]

    def _sort_out(
        self, batch: int, owners: Mapping[int, str], records: list[LogRecord]
    ) -> tuple[Reading, list[Candidate]]:
        intake = Intake()
        for record in records:
            take_in(intake, record, owners[record.partition_id], self._rules)
        candidates = sorted(intake.candidates.values(), key=_order)
        subjects: dict[int, tuple[int, Subject]] = {}
        found = [_found(candidate, subjects) for candidate in candidates]
        subject_list = [subject for _, subject in subjects.values()]
        return Reading(batch, subject_list, found, intake.duplicates, intake.dead_letters), candidates

    def pack(self, batch: int, known: set[int], superseding: set[int], sources: Mapping[str, int]) -> Packed:
        """Pack what is new: all of a batch's `found` but the places in `known`.

        Those in `superseding` have a row in the table `events` already, of another body. `sources` numbers the sources.
        """
        candidates = self._candidates.pop(batch)
        new = [(c.first, c.record) for place, c in enumerate(candidates) if place not in known]
        rows = [
            event_row(candidate, sources)
            for place, candidate in enumerate(candidates)
            if place not in known and place not in superseding
        ]
        return Packed(blocks_of(new, os.urandom), copy_of(rows))


def event_row(candidate: Candidate, sources: Mapping[str, int]) -> EventRow:
    """An event's row in the table `events`."""
    event = candidate.event
    return EventRow(event.id, sources[event.source], candidate.body_hash, bucket_of(candidate.first))


def _found(candidate: Candidate, subjects: dict[int, tuple[int, Subject]]) -> Found:
    """`subjects`: those so far by identity, each with its place; events of a session share theirs."""
    record, event, subject = candidate.record, candidate.event, candidate.subject
    if subject is None:
        moment = Moment(event.occurred_at, event.id, event.source, NOBODY, None, None, False, event.type)
        return Found(record.partition_id, record.offset, None, candidate.body_hash, moment, [])
    known = subjects.get(id(subject))
    if known is None:
        known = subjects[id(subject)] = (len(subjects), subject)
    moment, facts = moment_of(event, subject), facts_of(event, subject)
    return Found(record.partition_id, record.offset, known[0], candidate.body_hash, moment, facts)


#: law 2's order
_order = attrgetter("event.occurred_at", "event.id", "event.source")
