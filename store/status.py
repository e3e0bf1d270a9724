"""How far the projection has come, and law 4's equation."""

from datetime import datetime
from typing import NamedTuple

import asyncpg

from store.session import Connection

_PARTITIONS = """
    SELECT topic, partition, next_offset, next_offset - first_offset AS read, applied, duplicates, dead, holes,
           worker IS NOT NULL AS leased
    FROM partitions WHERE log_epoch = (SELECT log_epoch FROM projection)
    ORDER BY topic, partition
"""

_ALIVE = "SELECT EXISTS (SELECT FROM workers WHERE heartbeat_at > now() - interval '5 seconds')"


class Progress(NamedTuple):
    """One partition: what was read, and what became of it."""

    topic: str
    partition: int
    next_offset: int
    read: int
    applied: int
    duplicates: int
    dead: int
    holes: int
    leased: bool  #: whether a worker holds it

    @property
    def sound(self) -> bool:
        """Law 4: every record read is accounted for."""
        return self.read == self.applied + self.duplicates + self.dead + self.holes


async def progress(connection: asyncpg.Connection | asyncpg.Pool) -> list[Progress]:
    """Every partition of the current log epoch."""
    return [Progress(*row) for row in await connection.fetch(_PARTITIONS)]


async def first_commit(connection: Connection | asyncpg.Pool) -> datetime | None:
    """When the first batch was committed; None before."""
    committed_at: datetime | None = await connection.fetchval("SELECT min(committed_at) FROM batches")
    return committed_at


async def has_tables(connection: asyncpg.Connection | asyncpg.Pool, timeout: float = 10) -> bool:
    """Whether the database was migrated. `timeout` is in seconds."""
    return await connection.fetchval("SELECT to_regclass('journeys')", timeout=timeout) is not None


async def has_worker(connection: asyncpg.Connection) -> bool:
    """Whether a worker was alive within the last seconds."""
    return bool(await connection.fetchval(_ALIVE))
