"""A second projection beside the live one: tables of its own in a schema of its own, filled from the archive."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

import asyncpg

from projections.identity.register import Entries
from projections.identity.workspace import Consulted, Gone, Move
from projections.journey.row import JourneyRow
from schemas.errors import TandemError
from store.archive import BUCKETS
from store.commit import write_journeys, write_register
from store.handoffs import write_handoffs
from store.session import WATCHED, Connection, closing, open_connection

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RESERVED = frozenset({"public", "information_schema"})
_PAGE_BLOCKS = 256
#: The tables of a projection; all others belong to the log or the feed.
TABLES = (
    "journeys",
    "identifiers",
    "rulings",
    "releases",
    "quarantine",
    "victims",
    "playbook_events",
    "erasures",
    "handoffs",
    "projection",
)


class UnusableName(TandemError):
    """A projection cannot have this name. Choose another one, as the message says."""


class AnotherPlaybook(TandemError):
    """The projection was begun under another playbook.

    Give the same playbook, or drop the projection and begin again.
    """


class AnotherPoint(TandemError):
    """The projection was begun as of another point in the past. Give the same times, or another name."""


class NoSuchProjection(TandemError):
    """There is no projection of that name beside the live one. `tandem projections list` shows the names."""


class BeingBuilt(TandemError):
    """Another command builds, switches or drops the projection. Wait until it has ended, and try again."""


class RebuildPosition(NamedTuple):
    """How far a rebuild is: all blocks up to this one, by (bucket, batch), are folded."""

    bucket: int  #: -1: nothing yet; the joint events are folded first, then all buckets from 0 on
    batch_id: int
    events: int  #: of the blocks so far
    until_batch: int  #: the last batch that is rebuilt
    total: int  #: events up to there
    at: int | None  #: only what had occurred by then, in microseconds since 1970 UTC; None: all
    known_at: datetime | None  #: only what had been committed by then; None: all


class StoredBlock(NamedTuple):
    """One block of the archive."""

    bucket: int
    batch_id: int
    events: int
    payload: bytes


_CREATE = """
    CREATE SCHEMA IF NOT EXISTS {name};
    {tables}
    ALTER TABLE {name}.journeys SET (toast_tuple_target = 8160);
    CREATE TABLE IF NOT EXISTS {name}.rebuild (
        bucket smallint NOT NULL, batch_id bigint NOT NULL, events bigint NOT NULL,
        until_batch bigint NOT NULL, total bigint NOT NULL
    );
    ALTER TABLE {name}.rebuild ADD COLUMN IF NOT EXISTS at bigint, ADD COLUMN IF NOT EXISTS known_at timestamptz;
    INSERT INTO {name}.projection (log_epoch, cluster_id, playbook)
    SELECT log_epoch, cluster_id, $playbook${playbook}$playbook$ FROM public.projection ON CONFLICT DO NOTHING;
    LOCK TABLE public.partitions IN SHARE MODE; -- a batch of a lower number may not be committed yet: wait for it
    INSERT INTO {name}.rebuild
    SELECT -1, 0, 0, coalesce(max(batch_id), 0), coalesce(sum(events), 0), {at}, {known_at} FROM archive
    WHERE {known_at} IS NULL OR batch_id IN (SELECT batch_id FROM public.batches WHERE committed_at <= {known_at})
    HAVING NOT EXISTS (SELECT FROM {name}.rebuild) -- an aggregate without HAVING gives a row for nothing, too
"""
#: Room for new versions of a row beside the old one, where rows go on being written.
_ROOM = """
    ALTER TABLE {name}.journeys SET (fillfactor = 70);
    ALTER TABLE {name}.identifiers SET (fillfactor = 80);
    ALTER TABLE {name}.handoffs SET (fillfactor = 80);
    ALTER TABLE {name}.projection SET (fillfactor = 50);
"""
_FOREIGN = """
    SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AND to_regclass(quote_ident($1) || '.rebuild') IS NULL
"""
_TABLE = "CREATE {kind} TABLE IF NOT EXISTS {name}.{table} (LIKE public.{table} INCLUDING ALL);"
#: Vacuuming a table that will be dropped is work for nothing, and dropping it would wait for the vacuum.
_UNCLEANED = "ALTER TABLE {name}.{table} SET (autovacuum_enabled = false);"
#: Indexes that no fold uses.
_FOR_LISTS = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(i.relname) AS name
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
    WHERE n.nspname = $1 AND NOT x.indisunique AND pg_get_indexdef(x.indexrelid) !~ '[(](component|journey_id)[)]'
"""
_PATIENCE = "5s"  #: for another command that works on the same projection
#: Held until the connection ends, so a killed command holds it no longer.
_CLAIM = "SELECT pg_advisory_lock(hashtextextended('tandem projection ' || $1, 0))"
_BEGUN_WITH = "SELECT playbook FROM {name}.projection"
_DROP = "DROP SCHEMA {name} CASCADE"
_NAMES = """
    SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = 'rebuild' AND c.relkind = 'r' AND n.nspname ~ '^[a-z][a-z0-9_]{0,39}$' ORDER BY 1
"""
_PROGRESS = "SELECT events, total FROM {name}.rebuild"
_HOLDS = "SELECT EXISTS (SELECT FROM {name}.identifiers WHERE key = ANY ($1::uuid[]))"
_PLACE = "SELECT bucket, batch_id, events, until_batch, total, at, known_at FROM rebuild"
_POINT = "SELECT events, total, at, known_at FROM {name}.rebuild"
_TABLES_OF = "SELECT to_regclass(quote_ident($1) || '.rebuild') IS NOT NULL"
_KNOWN = (
    "({known_at}::timestamptz IS NULL OR batch_id IN (SELECT batch_id FROM batches WHERE committed_at <= {known_at}))"
)
_MOVE = "UPDATE rebuild SET bucket = $1, batch_id = $2, events = $3, until_batch = $4, total = $5"

_BLOCKS = f"""
    SELECT bucket, batch_id, events, payload FROM archive
    WHERE (bucket, batch_id) > ($1, $2) AND batch_id <= $3 AND {_KNOWN.format(known_at="$4")}
    ORDER BY bucket, batch_id LIMIT {_PAGE_BLOCKS}
"""
_JOINT_BLOCKS = f"""
    SELECT bucket, batch_id, events, payload
    FROM (
        SELECT DISTINCT b.batch_id FROM batches b JOIN partitions p USING (partition_id)
        WHERE p.department = 'joint' AND b.batch_id <= $1
    ) AS joint
    CROSS JOIN generate_series(0, $2::int) AS bucket JOIN archive USING (bucket, batch_id)
    WHERE {_KNOWN.format(known_at="$3")}
    ORDER BY batch_id, bucket
"""
_LOSERS = f"""
    SELECT payload FROM dead_letters
    WHERE reason = 'conflict' AND payload IS NOT NULL AND {_KNOWN.format(known_at="$1")}
"""


@asynccontextmanager
async def claimed(database_url: str, name: str) -> AsyncIterator[None]:
    """Keep everybody else from building, switching or dropping a projection. Raises BeingBuilt after some seconds."""
    settings = WATCHED | {"lock_timeout": _PATIENCE}
    async with closing(await open_connection(database_url, settings)) as connection:
        try:
            await connection.execute(_CLAIM, name)
        except asyncpg.LockNotAvailableError as error:
            raise BeingBuilt(
                f"another command builds, switches or drops the projection {name!r}: wait for it, or stop it"
            ) from error
        yield


async def forget(connection: asyncpg.Connection, name: str) -> None:
    """Drop a projection, if there is one of that name."""
    if name in [known for known, _, _ in await projections_beside(connection)]:
        await drop(connection, name)


async def check_name(connection: asyncpg.Connection, name: str) -> None:
    """Raises UnusableName for a name that no projection can have."""
    if not _NAME.fullmatch(name) or name in _RESERVED or name.startswith("pg_"):
        raise UnusableName(f"a projection cannot be called {name!r}: use small letters, digits and _, at most 40")
    if await connection.fetchval(_FOREIGN, name):
        raise UnusableName(f"the database has a schema {name!r} that is not a projection: choose another name")


async def create(
    connection: asyncpg.Connection,
    name: str,
    playbook: str,
    at: int | None,
    known_at: datetime | None,
    *,
    lasting: bool,
) -> None:
    """Make the tables, or find those of a rebuild that was interrupted.

    `at` and `known_at`: as of which point, see RebuildPosition. Not `lasting`: for a comparison that is dropped at its
    end; it has no write-ahead log, no indexes for lists, no room for new versions, and is not vacuumed. Raises
    UnusableName, AnotherPlaybook or AnotherPoint.
    """
    await check_name(connection, name)
    schema = quoted(name)
    kind = "" if lasting else "UNLOGGED"
    point = {
        "at": "NULL::bigint" if at is None else str(at),
        "known_at": "NULL::timestamptz" if known_at is None else f"'{known_at.isoformat()}'::timestamptz",
    }
    tables = "\n".join(_TABLE.format(name=schema, table=table, kind=kind) for table in TABLES)
    async with connection.transaction():
        await connection.execute(_CREATE.format(name=schema, tables=tables, playbook=playbook, **point))
        if lasting:
            await connection.execute(_ROOM.format(name=schema))
        else:
            await connection.execute("\n".join(_UNCLEANED.format(name=schema, table=table) for table in TABLES))
            for row in await connection.fetch(_FOR_LISTS, name):
                await connection.execute(f"DROP INDEX {row['name']}")
    begun = await connection.fetchrow(_POINT.format(name=schema))
    if begun is not None and (begun["at"], begun["known_at"]) != (at, known_at):
        raise AnotherPoint(
            f"the projection {name!r} was begun as of another point in the past: choose another name, or drop it "
            f"(tandem projections drop {name}) and begin again"
        )
    begun_with = await connection.fetchval(_BEGUN_WITH.format(name=schema))
    if begun_with is not None and begun_with != playbook:
        raise AnotherPlaybook(
            f"the projection {name!r} was begun under the playbook {begun_with[:12]}, not under {playbook[:12]}: "
            f"name that one in TANDEM_PLAYBOOK, or drop it (tandem projections drop {name}) and begin again"
        )


def quoted(name: str) -> str:
    """The name as SQL: it may be a keyword, and `_NAME` allows no character that needs escaping."""
    return f'"{name}"'


async def projections_beside(connection: asyncpg.Connection) -> list[tuple[str, int, int]]:
    """(name, events so far, events in all) of the projections beside the live one."""
    names = [row["nspname"] for row in await connection.fetch(_NAMES)]
    return [(name, *(await connection.fetchrow(_PROGRESS.format(name=quoted(name))) or (0, 0))) for name in names]


async def holding(connection: asyncpg.Connection, keys: list[bytes]) -> list[str]:
    """Names of the projections beside the live one that have any of these identifiers.

    The connection gives uuid values as 16 raw bytes.
    """
    names = [name for name, _, _ in await projections_beside(connection)]
    return [name for name in names if await connection.fetchval(_HOLDS.format(name=quoted(name)), keys)]


async def drop(connection: asyncpg.Connection, name: str) -> None:
    """Drop a projection with all its rows. Raises NoSuchProjection."""
    if name not in [known for known, _, _ in await projections_beside(connection)]:
        raise NoSuchProjection(f"there is no projection {name!r} beside the live one: see `tandem projections list`")
    await connection.execute(_DROP.format(name=quoted(name)))


async def position_of(connection: asyncpg.Connection) -> RebuildPosition:
    """How far the rebuild is in whose schema the connection works."""
    row = await connection.fetchrow(_PLACE)
    assert row is not None, "it was created with a position"
    return RebuildPosition(*row)


async def blocks_after(connection: asyncpg.Connection, position: RebuildPosition) -> list[StoredBlock]:
    """The next blocks of the archive; none at the end."""
    rows = await connection.fetch(_BLOCKS, position.bucket, position.batch_id, position.until_batch, position.known_at)
    return [StoredBlock(*row) for row in rows]


async def joint_blocks(connection: asyncpg.Connection, position: RebuildPosition) -> list[StoredBlock]:
    """All blocks that may hold joint events."""
    rows = await connection.fetch(_JOINT_BLOCKS, position.until_batch, BUCKETS - 1, position.known_at)
    return [StoredBlock(*row) for row in rows]


async def losers(connection: asyncpg.Connection, known_at: datetime | None) -> list[bytes]:
    """Bytes of events whose id another body had taken by then: the archive may hold them."""
    return [row["payload"] for row in await connection.fetch(_LOSERS, known_at)]


class Beside(NamedTuple):
    """A projection beside the live one, as of a point in the past; None is no bound."""

    done: bool
    at: int | None  #: microseconds since 1970 UTC
    known_at: datetime | None
    playbook: str  #: digest of the one that it was built with


async def look_at(connection: Connection, name: str) -> Beside:
    """Let the rest of a transaction read a projection beside the live one. Raises NoSuchProjection."""
    if not _NAME.fullmatch(name) or not await connection.fetchval(_TABLES_OF, name):
        raise NoSuchProjection(f"there is no projection {name!r} beside the live one: see `tandem projections list`")
    row = await connection.fetchrow(_POINT.format(name=quoted(name)))
    assert row is not None, "it was created with a position"
    playbook = await connection.fetchval(_BEGUN_WITH.format(name=quoted(name)))
    await connection.execute(f"SET LOCAL search_path = {quoted(name)}, public")
    return Beside(row["events"] >= row["total"], row["at"], row["known_at"], playbook)


async def commit_rebuilt(
    connection: asyncpg.Connection,
    *,
    journeys: list[JourneyRow],
    gone: list[Gone],
    moved: list[Move],
    with_handoffs: list[JourneyRow],
    had_handoffs: list[bytes],
    entries: Entries,
    register_version: int,
    position: RebuildPosition,
) -> None:
    """Write the result of some blocks and the new position in one transaction. Raises Stale."""
    async with connection.transaction():
        await write_journeys(connection, journeys, gone, moved)
        await write_handoffs(connection, with_handoffs, had_handoffs)
        await write_register(connection, entries, Consulted([], []), register_version, 0, position.until_batch)
        await connection.execute(_MOVE, *position[:5])
