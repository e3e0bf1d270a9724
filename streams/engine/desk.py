"""The desk: reads a batch of records for the fold, and packs its new events for the archive.

Pure, and its input and output are values: a desk may run in another process (streams/engine/reader_process.py).
"""

import os
from collections.abc import Mapping
from operator import attrgetter

from projections.journey.facts import facts_of
from projections.journey.moments import Moment, moment_of
from projections.playbook.rules import Rules
from projections.subjects import Subject
from store.archive import LogRecord, blocks_of, bucket_of, open_block
from store.commit import EventRow, copy_of
from streams.engine.batch import BatchEvent, Packed, ReadBatch
from streams.engine.intake import NOBODY, Candidate, Intake, take_in

_KEPT = 3  #: batches that may be packed yet: the one that is folded, and those that are read ahead


class Desk:
    """Reads batches, and packs them once it is known what of them is new."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._candidates: dict[int, list[Candidate]] = {}

    def read(self, batch: int, departments: Mapping[int, str], records: list[LogRecord]) -> ReadBatch:
        """Sort out records; `departments` has the department that writes each partition id."""
        read, self._candidates[batch] = self._sort_out(batch, departments, records)
        for old in [kept for kept in self._candidates if kept <= batch - _KEPT]:
            del self._candidates[old]
        return read

    def open(self, batch: int, departments: Mapping[int, str], payloads: list[bytes]) -> ReadBatch:
        """Sort out the events of blocks of the archive. They need not be packed again."""
        records: list[LogRecord] = [event for payload in payloads for event in open_block(payload)]
        return self._sort_out(batch, departments, records)[0]

    def _sort_out(
        self, batch: int, departments: Mapping[int, str], records: list[LogRecord]
    ) -> tuple[ReadBatch, list[Candidate]]:
        intake = Intake()
        for record in records:
            take_in(intake, record, departments[record.partition_id], self._rules)
        candidates = sorted(intake.candidates.values(), key=_order)
        subjects: dict[int, tuple[int, Subject]] = {}
        events = [_batch_event(candidate, subjects) for candidate in candidates]
        subject_list = [subject for _, subject in subjects.values()]
        return ReadBatch(batch, subject_list, events, intake.duplicates, intake.dead_letters), candidates

    def pack(self, batch: int, known: set[int], superseding: set[int], sources: Mapping[str, int]) -> Packed:
        """Pack what is new: all of a batch's events but the places in `known`.

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


def _batch_event(candidate: Candidate, subjects: dict[int, tuple[int, Subject]]) -> BatchEvent:
    """`subjects`: those so far by identity, each with its place; events of a session share theirs."""
    record, event, subject = candidate.record, candidate.event, candidate.subject
    if subject is None:
        moment = Moment(
            at=event.occurred_at,
            id=event.id,
            source=event.source,
            anchor=NOBODY,
            device=None,
            claimed=None,
            named=False,
            type=event.type,
        )
        return BatchEvent(
            partition_id=record.partition_id,
            offset=record.offset,
            subject=None,
            body_hash=candidate.body_hash,
            moment=moment,
            facts=[],
        )
    known = subjects.get(id(subject))
    if known is None:
        known = subjects[id(subject)] = (len(subjects), subject)
    moment, facts = moment_of(event, subject), facts_of(event, subject)
    return BatchEvent(
        partition_id=record.partition_id,
        offset=record.offset,
        subject=known[0],
        body_hash=candidate.body_hash,
        moment=moment,
        facts=facts,
    )


#: law 2's order
_order = attrgetter("event.occurred_at", "event.id", "event.source")
