"""The read log: who has read personal data."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from store.session import Connection

_COLUMNS = ("reader", "role", "endpoint", "asked", "journeys")

_LIST = """
    SELECT read_id, read_at, reader, role, endpoint, asked, journeys FROM reads
    WHERE ($1::bigint IS NULL OR read_id < $1)
      AND ($2::uuid[] IS NULL OR journeys && $2)
      AND ($3::text IS NULL OR reader = $3)
      AND ($4::timestamptz IS NULL OR read_at >= $4)
    ORDER BY read_id DESC LIMIT $5
"""


class Read(NamedTuple):
    """One answer with personal data."""

    reader: str
    role: str
    endpoint: str
    asked: str  #: JSON of the request's parameters
    journeys: list[UUID]  #: whose data was in the answer


class ReadEntry(NamedTuple):
    """A read as it was recorded."""

    read_id: int
    read_at: datetime
    reader: str
    role: str
    endpoint: str
    asked: str  #: JSON
    journeys: list[UUID]


class ReadFilter(NamedTuple):
    """Which reads a list holds; None does not restrict."""

    journeys: Collection[UUID | bytes] | None = None  #: reads of any of these journeys, as the connection takes ids
    reader: str | None = None
    since: datetime | None = None


async def write_reads(pool: asyncpg.Pool, reads: list[Read]) -> None:
    """Record reads, durably."""
    async with pool.acquire(timeout=5) as connection:
        await connection.copy_records_to_table("reads", records=reads, columns=_COLUMNS)


async def list_reads(connection: Connection, wanted: ReadFilter, before: int | None, limit: int) -> list[ReadEntry]:
    """Reads, the newest first, from before the one with the id `before`."""
    return [ReadEntry(*row) for row in await connection.fetch(_LIST, before, *wanted, limit)]
