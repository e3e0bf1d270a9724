"""Looking ahead: what a batch needs to know before its turn comes, while the batches before it are folded."""

import asyncpg

from store.archive import LogRecord
from store.loading import known_events, source_ids
from streams.preparation import Ahead
from streams.reader import Reader


class LookAhead:
    """Reads batches and looks up what of them is known, on a connection of its own."""

    def __init__(self, connection: asyncpg.Connection, reader: Reader, owners: dict[int, str]) -> None:
        self._connection = connection
        self._reader = reader
        self._owners = owners
        self._sources: dict[str, int] = {}

    async def read(self, records: list[LogRecord]) -> Ahead:
        """Sort out a batch. What is committed meanwhile may be missing among what is known."""
        reading = await self._reader.read(self._owners, records)
        hashes = {(found.moment.id, found.moment.source): found.body_hash for found in reading.found}
        missing = {source for _, source in hashes} - self._sources.keys()
        if missing:
            self._sources |= await source_ids(self._connection, sorted(missing))
        numbers = [self._sources[source] for _, source in hashes]
        rows = await known_events(self._connection, [id_ for id_, _ in hashes], numbers)
        names = {number: name for name, number in self._sources.items()}
        known = {(row.id, names[row.source_id]): row.body_hash for row in rows}
        return Ahead(records, reading, hashes, known, self._sources)
