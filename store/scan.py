"""Reading all journeys, in memory of a few at a time."""

from collections.abc import AsyncGenerator, AsyncIterator
from uuid import UUID

import asyncpg

from store.session import Connection

_COUNT = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'journeys'::regclass"
_JOURNEYS_AFTER = """
    SELECT journey_id, last_seen, state FROM journeys WHERE journey_id > $1 ORDER BY journey_id LIMIT 500
"""
_STATES = "SELECT journey_id, state FROM journeys"


async def scan_states(connection: asyncpg.Connection) -> AsyncIterator[tuple[bytes, bytes]]:
    """(journey id, stored state) of every journey, in one snapshot and no certain order.

    The connection may have any codec for uuid.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for journey_id, state in connection.cursor(_STATES, prefetch=500):
            yield (journey_id if isinstance(journey_id, bytes) else journey_id.bytes), state


async def scan_pages(connection: Connection) -> AsyncGenerator[list[bytes], None]:
    """The stored states of all journeys, some hundreds at a time, in one snapshot and no certain order.

    Close the iterator, or the connection stays within its transaction.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(_STATES)
        while rows := await cursor.fetch(500):
            yield [row["state"] for row in rows]


async def count_journeys(connection: Connection) -> int:
    """The approximate number of journeys."""
    return int(await connection.fetchval(_COUNT))


async def scan_journeys(connection: Connection) -> AsyncGenerator[list[tuple[UUID, int, bytes]], None]:
    """(journey id, time of the last event, stored state) of all journeys, some hundreds at a time.

    Each journey as it is when its page is read: one snapshot of all would keep PostgreSQL from pruning the rows that
    every batch updates, and each batch would wade through all their old versions until the end.
    """
    after = UUID(int=0)
    while rows := await connection.fetch(_JOURNEYS_AFTER, after):
        yield [(row[0], row[1], row[2]) for row in rows]
        after = rows[-1][0]
