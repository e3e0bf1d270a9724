"""A batch on its way through the engine: read, looked up, and packed for the archive."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec

from projections.journey.facts import Fact
from projections.journey.moments import Moment
from projections.playbook.rules import Rules
from projections.subjects import Subject
from store.archive import Block, LogRecord, RecordId
from store.commit import DeadLetter
from streams.engine.intake import Candidate, EventKey, Intake, take_in


class BatchEvent(msgspec.Struct, array_like=True, gc=False):
    """An event that may be folded, if it was not folded before. Its bytes stay with the records."""

    partition_id: int
    offset: int
    #: index in the batch's subjects; None for an event that is not folded: nobody's, or excluded by the playbook
    subject: int | None
    body_hash: int
    moment: Moment
    facts: Sequence[Fact]

    @property
    def key(self) -> EventKey:
        """What the event is known by."""
        return (self.moment.id, self.moment.source)


class ReadBatch(msgspec.Struct, array_like=True):
    """The records of a batch, sorted out."""

    number: int
    subjects: list[Subject]
    #: in law 2's order
    events: list[BatchEvent]
    #: partition ids, one entry for each record that repeats another one of the batch
    duplicates: list[int]
    dead_letters: list[DeadLetter]


class Packed(msgspec.Struct, array_like=True):
    """What is stored of a batch's events."""

    blocks: list[Block]
    #: for COPY into the table `events`
    events: bytes


class PendingBatch(NamedTuple):
    """A batch that was read and looked up, and is not folded yet."""

    records: list[LogRecord]
    read: ReadBatch
    #: body hashes of the batch
    hashes: dict[EventKey, int]
    #: body hashes of the events that the database knew when the batch was looked up
    known: dict[EventKey, int]
    #: numbers of source names
    sources: dict[str, int]


class Originals:
    """The events of a batch with their bytes, for the rare cases that need them. Each is decoded once at most."""

    def __init__(self, records: Sequence[LogRecord], departments: Mapping[int, str], rules: Rules) -> None:
        """`departments`: partition id -> the department that writes there."""
        self._records = records
        self._departments = departments
        self._rules = rules
        self._decoded: dict[RecordId, Candidate] = {}

    @cached_property
    def _by_id(self) -> dict[RecordId, LogRecord]:
        return {(record.partition_id, record.offset): record for record in self._records}

    def record(self, event: BatchEvent) -> LogRecord:
        """The record that holds the event."""
        return self._by_id[event.partition_id, event.offset]

    def candidate(self, event: BatchEvent) -> Candidate:
        """The event, decoded."""
        record_id = (event.partition_id, event.offset)
        known = self._decoded.get(record_id)
        if known is None:
            intake, record = Intake(), self._by_id[record_id]
            take_in(intake, record, self._departments[record.partition_id], self._rules)
            known = self._decoded[record_id] = next(iter(intake.candidates.values()))
        return known
