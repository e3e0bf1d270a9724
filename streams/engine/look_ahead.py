"""Look-ahead: a batch is read and looked up while the batches before it are folded."""

import asyncpg

from store.archive import LogRecord
from store.loading import known_events, source_ids
from streams.engine.batch import BatchEvent, PendingBatch
from streams.engine.intake import EventKey
from streams.engine.reader_process import BatchReader


class LookAhead:
    """Reads batches and looks up which of their events are known, on a connection of its own.

    An id of version 7 that is later than all that its source has sent in this partition counts as new without a look.
    Correctness does not depend on that: the table's key refuses a known event, the batch is void, and it is read again,
    this time `careful`.
    """

    def __init__(self, connection: asyncpg.Connection, reader: BatchReader, departments: dict[int, str]) -> None:
        self._connection = connection
        self._reader = reader
        self._departments = departments
        self._sources: dict[str, int] = {}
        #: (partition id, source) -> the latest id that was looked up or taken for new
        self._latest: dict[tuple[int, str], bytes] = {}

    async def read(self, records: list[LogRecord], *, careful: bool) -> PendingBatch:
        """Sort out a batch. What is committed meanwhile may be missing among what is known.

        `careful`: look up all events, whatever their ids are.
        """
        read = await self._reader.read(self._departments, records)
        hashes = {event.key: event.body_hash for event in read.events}
        missing = {source for _, source in hashes} - self._sources.keys()
        if missing:
            self._sources |= await source_ids(self._connection, sorted(missing))
        doubtful = list(hashes) if careful else self._doubtful(read.events)
        known: dict[EventKey, int] = {}
        if doubtful:
            numbers = [self._sources[source] for _, source in doubtful]
            rows = await known_events(self._connection, [id_ for id_, _ in doubtful], numbers)
            names = {number: name for name, number in self._sources.items()}
            known = {(row.id, names[row.source_id]): row.body_hash for row in rows}
        return PendingBatch(records, read, hashes, known, self._sources)

    def _doubtful(self, events: list[BatchEvent]) -> list[EventKey]:
        """Those that may be known already."""
        doubtful: list[EventKey] = []
        before, latest = self._latest, self._latest.copy()
        for event in events:
            id_, source = event.key
            sender = (event.partition_id, source)
            if id_[6] >> 4 != 7 or id_ <= before.get(sender, _LAST):
                doubtful.append((id_, source))
            if id_ > latest.get(sender, b""):
                latest[sender] = id_
        self._latest = latest
        return doubtful


_LAST = b"\xff" * 16
