"""What a batch needs to know before it is folded: which events are known, and the journeys they touch."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import orjson

from projections.identity.register import AffectedIdentifier, Register, Ruling
from projections.journey.journey import Journey, Stored, resume
from store.erasure import read_erasures, read_secret
from store.proposals import read_said
from store.session import Connection


class KnownEvent(NamedTuple):
    """An event that was applied before."""

    id: bytes
    source_id: int
    body_hash: int
    batch_id: int
    bucket: int


_KNOWN_EVENTS = """
    SELECT e.id, e.source_id, e.body_hash, e.batch_id, e.bucket
    FROM unnest($1::uuid[], $2::int[]) AS wanted (id, source_id) JOIN events e USING (id, source_id)
"""

_SOURCES = "SELECT source_id, name FROM sources WHERE name = ANY ($1)"
_ADD_SOURCES = "INSERT INTO sources (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"

_JOURNEY_COLUMNS = "journey_id, component, rev, stage, events, last_seen, stays, audiences, handoffs, state"
_BY_IDENTIFIER = f"""
    SELECT {_JOURNEY_COLUMNS} FROM journeys
    WHERE journey_id = ANY (ARRAY(SELECT DISTINCT journey_id FROM identifiers WHERE key = ANY ($1)))
"""
_BY_COMPONENT = f"""
    SELECT {_JOURNEY_COLUMNS} FROM journeys WHERE component = ANY ($1) AND NOT journey_id = ANY ($2)
"""


_REGISTER_VERSION = "SELECT register_version FROM projection"
_SWEPT = "SELECT swept_until FROM projection"
_RULINGS = "SELECT occurred_at, id, source, joined, keys FROM rulings ORDER BY occurred_at, id, source"
_RELEASES = "SELECT key, released_at FROM releases ORDER BY released_at"
_QUARANTINE = "SELECT key FROM quarantine"
_BONDS = "SELECT v.key, v.victim, v.occurred_at FROM victims v JOIN quarantine q ON q.key = v.victim"
_VICTIMS = "SELECT victim FROM victims WHERE key = ANY ($1::uuid[])"


async def source_ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """The numbers of source names, new ones added."""
    await connection.execute(_ADD_SOURCES, sorted(names))
    return await source_ids_of(connection, names)


async def source_ids_of(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """The numbers of those source names that have one."""
    return {row["name"]: row["source_id"] for row in await connection.fetch(_SOURCES, list(names))}


async def known_events(connection: Connection, ids: Sequence[bytes], sources: Sequence[int]) -> list[KnownEvent]:
    """Those of the events (id, source) that were applied before."""
    return [KnownEvent(*row) for row in await connection.fetch(_KNOWN_EVENTS, ids, sources)]


async def load_journeys(connection: Connection, keys: Sequence[bytes]) -> list[Journey]:
    """The journeys that the identifier keys find, and those that refused links tie to them."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(_BY_IDENTIFIER, keys)
        components = {row["component"] for row in rows if row["component"] is not None}
        if components:
            loaded = [row["journey_id"] for row in rows]
            rows += await connection.fetch(_BY_COMPONENT, sorted(components), loaded)
    return [_journey(row) for row in rows]


async def load_register(connection: Connection) -> Register:
    """Rulings, releases, quarantine and erasures, as they were committed together."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        register = Register(await read_secret(connection) or b"")
        for erasure in await read_erasures(connection):
            register.erased.add(erasure)
        register.version = await connection.fetchval(_REGISTER_VERSION) or 0
        for row in await connection.fetch(_RELEASES):
            register.load_release(row["key"], row["released_at"])
        for row in await connection.fetch(_RULINGS):
            order = (row["occurred_at"], row["id"], row["source"])
            register.load_ruling(Ruling(order, row["joined"], tuple(row["keys"])))
        register.quarantined |= {row["key"] for row in await connection.fetch(_QUARANTINE)}
        for row in await connection.fetch(_BONDS):
            register.load_bond(AffectedIdentifier(row["key"], row["victim"], row["occurred_at"]))
        register.playbook_events = await read_said(connection)
        register.swept_until = await connection.fetchval(_SWEPT)
    return register


async def victims_of(connection: Connection, keys: Sequence[bytes]) -> list[bytes]:
    """The identifiers that events linked to these, which are in quarantine."""
    return [row["victim"] for row in await connection.fetch(_VICTIMS, keys)] if keys else []


def _journey(row: asyncpg.Record) -> Journey:
    stays = orjson.loads(row["stays"]) if row["stays"] is not None else []
    named = [(account, since) for account, since, _, weak, _ in stays if not weak]
    journey = resume(row["journey_id"], row["rev"], row["state"], row["events"], row["last_seen"], named)
    journey.component = row["component"]
    journey.stored = Stored(row["stage"], row["audiences"], None if row["handoffs"] else [], {})
    return journey
