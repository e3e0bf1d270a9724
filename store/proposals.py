"""Playbook events, and the sweep that lets stored journeys follow the terms agreed."""

from datetime import datetime
from typing import NamedTuple

import asyncpg

from projections.playbook.events import PlaybookEvent
from store.session import Connection

_SAID = """
    SELECT occurred_at, id, source, type, department, said_by, proposal, digest, body, effective_at, comment
    FROM playbook_events
    WHERE $1::timestamptz IS NULL
       OR batch_id IN (SELECT b.batch_id FROM batches b WHERE b.committed_at <= $1)
    ORDER BY occurred_at, id, source
"""
_SAY = """
    INSERT INTO playbook_events
        (occurred_at, id, source, type, department, said_by, proposal, digest, body, effective_at, comment, batch_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_UNSAY = "DELETE FROM playbook_events WHERE id = $1 AND source = $2"
_VERSION = "SELECT register_version, swept_until IS NOT NULL AS sweeping FROM projection"
_BEGIN = "UPDATE projection SET swept_until = '00000000-0000-0000-0000-000000000000'"
_MOVE = "UPDATE projection SET swept_until = $2 WHERE swept_until = $1 RETURNING 1"
#: Journey ids are hashes: the place of the last one among all ids is the share that is done.
_SWEPT = "SELECT swept_until::text FROM projection WHERE swept_until IS NOT NULL"
_NEXT = "SELECT journey_id FROM journeys WHERE journey_id > $1 ORDER BY journey_id LIMIT $2"
_TOLD = "SELECT journey_id FROM announced WHERE journey_id = ANY ($1::uuid[])"

START = bytes(16)  #: before all journeys


class Swept(NamedTuple):
    """A page of the sweep: journey ids after `before`, up to `until`; None where these are the last."""

    before: bytes
    until: bytes | None


async def read_said(connection: Connection, known_at: datetime | None = None) -> list[PlaybookEvent]:
    """All playbook events that were committed by a time, in order of time.

    Takes connections with and without raw uuid values.
    """
    return [
        PlaybookEvent((row[0], bytes(row[1]) if isinstance(row[1], bytes) else row[1].bytes, row[2]), *row[3:])
        for row in map(tuple, await connection.fetch(_SAID, known_at))
    ]


async def write_said(
    connection: asyncpg.Connection, said: list[PlaybookEvent], unsaid: list[tuple[bytes, str]], batch_id: int
) -> None:
    """Write new playbook events, and delete retracted ones, within a batch's transaction."""
    for event in unsaid:  # another body of the same event may take its place
        await connection.execute(_UNSAY, *event)
    for one in said:
        await connection.execute(_SAY, *one.order, *one[1:], batch_id)


async def begin_sweep(connection: asyncpg.Connection) -> None:
    """Note that other terms hold: no stored journey follows them yet."""
    await connection.execute(_BEGIN)


async def move_sweep(connection: asyncpg.Connection, swept: Swept) -> bool:
    """Record how far the sweep is; False where another page has moved it meanwhile."""
    return await connection.fetchval(_MOVE, swept.before, swept.until) is not None


async def next_to_sweep(connection: asyncpg.Connection, after: bytes, limit: int) -> list[bytes]:
    """Ids of the next journeys, in order."""
    return [row["journey_id"] for row in await connection.fetch(_NEXT, after, limit)]


async def told_by_time(connection: asyncpg.Connection, ids: list[bytes]) -> set[bytes]:
    """Those of the journeys of which the feed has last told a stage that silence led to."""
    return {row["journey_id"] for row in await connection.fetch(_TOLD, ids)}


async def register_version(connection: Connection) -> tuple[int, bool]:
    """(how often the register changed, whether stored journeys still follow a change of terms)."""
    row = await connection.fetchrow(_VERSION)
    return (0, False) if row is None else (row["register_version"], row["sweeping"])


async def share_swept(connection: Connection) -> float | None:
    """The approximate share of stored journeys that follow the latest terms; None where all do."""
    until = await connection.fetchval(_SWEPT)
    return None if until is None else int(until.replace("-", "")[:8], 16) / 2**32
