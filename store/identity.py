"""Reads about identity. All connections here give uuid values as 16 raw bytes: see open_engine_connection."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from projections.identifiers import key_at
from projections.identity.register import Register
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.playbook.rules import Rules
from schemas.decode import decode
from schemas.event import Event
from store.archive import read_block
from store.loading import known_events, load_journeys, load_register, victims_of
from store.partitions import event_partitions
from store.session import Connection

_MOST_TIED = 5_000  #: journeys that one answer looks at; beyond, links through quarantine are left out

_CONFLICTS = "SELECT journey_id FROM journeys WHERE component IS NOT NULL AND journey_id >= $1 ORDER BY 1 LIMIT $2"

#: a release ends the quarantine of the identifier that it releases: of the first one, or of what an earlier one made
_RELEASED = """
    least((SELECT min(r.released_at) FROM releases r WHERE r.key = q.key),
          (SELECT min(next.released_at) FROM releases mine
           JOIN releases next ON next.key = mine.key AND next.released_at > mine.released_at
           WHERE mine.later_key = q.key))
"""
_QUARANTINE = f"""
    SELECT q.key, q.type, q.value, (SELECT count(*) FROM victims v WHERE v.key = q.key) AS victims, b.committed_at,
           {_RELEASED} AS released_at
    FROM quarantine q LEFT JOIN LATERAL
         (SELECT max(committed_at) AS committed_at FROM batches WHERE batch_id = q.batch_id) AS b ON true
    WHERE q.key > $1 ORDER BY q.key LIMIT $2
"""

_IN_QUARANTINE = f"SELECT count(*) FROM quarantine q WHERE {_RELEASED} IS NULL"

_VICTIMS = """
    SELECT v.victim, i.journey_id, v.occurred_at FROM victims v JOIN identifiers i ON i.key = v.victim
    WHERE v.key = $1 AND v.victim > $2 ORDER BY v.victim LIMIT $3
"""

_SOURCE = "SELECT source_id FROM sources WHERE name = $1"
_COMMITTED = """
    SELECT batch_id, min(committed_at) AS committed_at FROM batches WHERE batch_id = ANY ($1::bigint[]) GROUP BY 1
"""


class LoggedEvent(NamedTuple):
    """An applied event, and where it lies in the log."""

    event: Event
    topic: str
    partition: int
    offset: int
    recorded_at: int  #: microseconds since 1970 UTC, by the broker


class QuarantineEntry(NamedTuple):
    """An identifier in quarantine."""

    key: bytes
    type: str
    value: str
    victims: int
    since: datetime | None
    released_at: int | None  #: when a release ended it, in microseconds since 1970 UTC; earlier events stay in it


class VictimEntry(NamedTuple):
    """Somebody whom events linked to an identifier in quarantine."""

    key: bytes
    journey_id: bytes
    at: int  #: of the first such event, in microseconds since 1970 UTC


async def load_tied(connection: Connection, rules: Rules, keys: Iterable[bytes], *, ever: bool = False) -> Workspace:
    """A workspace with the journeys of identifiers and all that links and rulings tie to them.

    An identifier that was released stands for all it ever was. Whoever is tied by an identifier in quarantine only is
    left out where there are too many. `ever`: rulings tie as well that were replaced later.
    """
    workspace = Workspace(rules, await load_register(connection))
    register = workspace.register
    ruled = _ruled_together(register) if ever else register.partners
    todo = {later for key in keys for later in _ever(key, register.releases)}
    seen: set[bytes] = set()
    while todo and len(workspace.journeys) < _MOST_TIED:
        seen |= todo
        await _load(connection, workspace, todo)
        homes = {workspace.home[key] for key in todo if key in workspace.home}
        todo = {end for home in homes for end in _ends(workspace.journeys[home], ruled)} - seen
    # whom a ruling parted from somebody here is no more than named
    await _load(connection, workspace, {foe for key in workspace.home for foe in register.separated.get(key, ())})
    return workspace


async def _load(connection: Connection, workspace: Workspace, keys: Collection[bytes]) -> None:
    fresh = sorted(key for key in keys if key not in workspace.home)
    for journey in await load_journeys(connection, fresh) if fresh else ():
        if journey.journey_id not in workspace.journeys:
            workspace.put(journey)


def _ruled_together(register: Register) -> dict[bytes, set[bytes]]:
    """Identifier -> those that any ruling ever named with it."""
    partners: dict[bytes, set[bytes]] = {}
    for ruling in register.rulings:
        keys = {at for key in ruling.keys for at in (key, key_at(key, ruling.order[0], register.releases))}
        for key in keys:
            partners.setdefault(key, set()).update(keys)
    return partners


def _ever(key: bytes, releases: dict[bytes, list[int]]) -> set[bytes]:
    return {key} | {key_at(key, at, releases) for at in releases.get(key, ())}


def _ends(journey: Journey, ruled: dict[bytes, set[bytes]]) -> set[bytes]:
    ends = {end for link in journey.refused for end in (link.a, link.b)}
    for key in journey.identifiers:
        ends |= ruled.get(key, set())
    return ends


async def find_event(connection: Connection, id_: bytes, source: str) -> LoggedEvent | None:
    """An applied event; None for one that is unknown."""
    source_id = await connection.fetchval(_SOURCE, source)
    known = await known_events(connection, [id_], [source_id]) if source_id is not None else []
    for one in known:
        archived = await read_block(connection, one.bucket, one.batch_id)
        partitions = await event_partitions(connection, {event.partition_id for event in archived})
        for record in archived:
            topic, partition, department = partitions[record.partition_id]
            if (event := decode(record.value, department)).id == id_ and event.source == source:
                return LoggedEvent(event, topic, partition, record.offset, record.recorded_at)
    return None


async def committed_at(connection: Connection, batch_ids: Collection[int]) -> dict[int, datetime]:
    """When batches were committed."""
    return {row["batch_id"]: row["committed_at"] for row in await connection.fetch(_COMMITTED, list(batch_ids))}


async def conflicting(connection: Connection, first: bytes, limit: int) -> list[bytes]:
    """The ids of journeys that refused links tie to others, from `first` on."""
    return [row["journey_id"] for row in await connection.fetch(_CONFLICTS, first, limit)]


async def list_quarantine(connection: Connection, after: bytes, limit: int) -> list[QuarantineEntry]:
    """Identifiers in quarantine in the order of their keys, the first after `after`."""
    return [QuarantineEntry(*row) for row in await connection.fetch(_QUARANTINE, after, limit)]


async def count_quarantined(connection: Connection | asyncpg.Pool) -> int:
    """How many identifiers are in quarantine that no release has ended."""
    return int(await connection.fetchval(_IN_QUARANTINE))


async def list_victims(connection: Connection, key: bytes, after: bytes, limit: int) -> list[VictimEntry]:
    """Whom events linked to an identifier in quarantine, in the order of keys, the first after `after`."""
    return [VictimEntry(*row) for row in await connection.fetch(_VICTIMS, key, after, limit)]


async def everybody_ever_tied(connection: Connection, rules: Rules, keys: Sequence[bytes]) -> Workspace:
    """All who may have been tied to identifiers at some time, the victims of those in quarantine too."""
    workspace = await load_tied(connection, rules, keys, ever=True)
    quarantined = sorted(workspace.home.keys() & workspace.register.quarantined)
    if not quarantined:
        return workspace
    return await load_tied(connection, rules, [*keys, *await victims_of(connection, quarantined)], ever=True)
