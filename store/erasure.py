"""Erasure in the database: the secret, who was erased, and the removal of what was stored about them."""

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from projections.identity.erasure import Erasure, name_of_secret
from schemas.errors import TandemError
from store.archive import RecordId, open_sealed, without
from store.session import Connection

SECRET_BYTES = 32
_PAGE = 20_000

_KEYING = "SELECT name, secret FROM secrets ORDER BY name LIMIT 1"
_ADD_KEYING = "INSERT INTO secrets (name, secret) SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM secrets)"
_ERASURES = """
    SELECT occurred_at, id, source, secret, subjects, shared, events, reason, said_by FROM erasures
    ORDER BY occurred_at, id, source
"""
_ADD = """
    INSERT INTO erasures (occurred_at, id, source, secret, subjects, shared, events, reason, said_by, batch_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_KEYS = "SELECT key FROM identifiers WHERE key > $1 ORDER BY key LIMIT $2"
_LETTERS = """
    SELECT partition_id, record_offset, payload FROM dead_letters
    WHERE (partition_id, record_offset) > ($1, $2) AND payload IS NOT NULL
    ORDER BY partition_id, record_offset LIMIT $3
"""

_BLOCK = "SELECT payload FROM archive WHERE bucket = $1 AND batch_id = $2"
_REWRITE = "UPDATE archive SET payload = $3 WHERE bucket = $1 AND batch_id = $2"
_BLANK = """
    UPDATE dead_letters d SET field = '', message = '', payload = NULL, salt = NULL
    FROM unnest($1::int[], $2::bigint[]) AS u (partition_id, record_offset)
    WHERE d.partition_id = u.partition_id AND d.record_offset = u.record_offset
"""
_NOTE = """
    INSERT INTO erased_records (batch_id, partition_id, record_offset)
    SELECT $1, * FROM unnest($2::int[], $3::bigint[]) ON CONFLICT DO NOTHING
"""
#: Of an erased journey the feed says only that it is gone.
_FEED = """
    UPDATE changes SET kind = 3, stage_from = NULL, stage_to = NULL, related = NULL, detail = NULL
    WHERE journey_id = ANY ($1::uuid[])
"""
_RELATED = "UPDATE changes SET related = NULL WHERE related = ANY ($1::uuid[])"
_ANNOUNCED = "DELETE FROM announced WHERE journey_id = ANY ($1::uuid[])"
_HEAD = "SELECT feed_seq FROM projection"
_SINCE = """
    SELECT DISTINCT i.key FROM changes c JOIN identifiers i USING (journey_id) WHERE c.seq > $1 AND c.seq < $2
"""
_VICTIMS = "DELETE FROM victims WHERE victim = ANY ($1::uuid[])"
_READS = """
    UPDATE reads SET asked = '{"erased": true}'
    WHERE journeys && $1::uuid[]
       OR EXISTS (SELECT FROM unnest($2::text[]) AS value WHERE strpos(lower(asked::text), lower(value)) > 0)
"""

_COUNT_BLOCKS = "SELECT count(*) FROM archive"
_BLOCKS = """
    SELECT bucket, batch_id, payload FROM archive WHERE (bucket, batch_id) > ($1, $2) ORDER BY 1, 2 LIMIT 500
"""
_TABLES = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
      AND (n.nspname, c.relname) <> ('public', 'archive') ORDER BY 1
"""
_ROWS_WITH = """
    SELECT count(*) FROM {table} AS one
    WHERE EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS u (value, hex)
                  WHERE strpos(lower(one::text), lower(u.value)) > 0 OR strpos(one::text, u.hex) > 0)
"""
_APPLIED = """
    SELECT e.batch_id, (SELECT min(committed_at) FROM batches b WHERE b.batch_id = e.batch_id),
           (SELECT count(*) FROM erased_records r WHERE r.batch_id = e.batch_id)
    FROM erasures e WHERE e.id = $1 AND e.source = $2
"""

#: Tables that hold what was sent of people.
_HELD = ("archive", "journeys", "identifiers", "dead_letters", "changes", "handoffs", "announced", "victims", "reads")


class UnknownSecret(TandemError):
    """An erasure was made under another secret than this database's. Restore the table `secrets` from a backup."""


class Removal(NamedTuple):
    """What a batch takes out of the database. Lists are sorted."""

    blocks: list[tuple[int, int, list[RecordId]]]  #: (bucket, batch id, which of its records)
    letters: list[RecordId]  #: dead letters
    journeys: list[bytes]  #: ids that the person's journeys ever had
    values: list[str]  #: the person's identifiers: blanked in the records of reads
    feed_head: int  #: number of the feed's last change when the person was searched
    names_person: Callable[[list[bytes]], bool]  #: whether any of some identifiers is the person's

    def plus(self, other: "Removal") -> "Removal":
        """Both removals of one batch as one."""
        blocks = {(bucket, batch_id): set(places) for bucket, batch_id, places in self.blocks}
        for bucket, batch_id, places in other.blocks:
            blocks.setdefault((bucket, batch_id), set()).update(places)
        return Removal(
            blocks=[(*block, sorted(places)) for block, places in sorted(blocks.items())],
            letters=sorted({*self.letters, *other.letters}),
            journeys=sorted({*self.journeys, *other.journeys}),
            values=sorted({*self.values, *other.values}),
            feed_head=min(self.feed_head, other.feed_head),
            names_person=lambda keys: self.names_person(keys) or other.names_person(keys),
        )

    @property
    def records(self) -> list[RecordId]:
        """All records of which only the seal stays."""
        return sorted({place for _, _, places in self.blocks for place in places} | set(self.letters))


async def read_secret(connection: Connection) -> bytes | None:
    """The secret that keys the hashes; None where nobody was ever erased."""
    row = await connection.fetchrow(_KEYING)
    return None if row is None else bytes(row["secret"])


async def make_secret(connection: Connection, random: Callable[[int], bytes]) -> bytes:
    """The secret that keys the hashes, made where it is missing."""
    fresh = random(SECRET_BYTES)
    await connection.execute(_ADD_KEYING, name_of_secret(fresh), fresh)
    secret = await read_secret(connection)
    assert secret is not None, "it is there now"
    return secret


async def read_erasures(connection: Connection) -> list[Erasure]:
    """All erasures, in order of time. Takes connections with raw uuid values."""
    return [
        Erasure(
            order=(row[0], row[1], row[2]),
            secret=row[3],
            subjects=tuple(row[4]),
            shared=tuple(row[5]),
            events=_events(row[6]),
            reason=row[7],
            by=row[8],
        )
        for row in await connection.fetch(_ERASURES)
    ]


def _events(names: Sequence[str]) -> tuple[tuple[bytes, str], ...]:
    split = (name.split(" ", 1) for name in names)
    return tuple((bytes.fromhex(id_), source) for id_, source in split)


async def write_erasures(connection: asyncpg.Connection, erasures: list[Erasure], batch_id: int) -> None:
    """Write who was erased, within a batch's transaction."""
    for one in erasures:
        events = [f"{id_.hex()} {source}" for id_, source in one.events]
        await connection.execute(_ADD, *one.order, *one[1:4], events, *one[5:], batch_id)


async def all_keys(connection: Connection) -> AsyncGenerator[list[bytes], None]:
    """The keys of all identifiers, some thousands at a time."""
    after = bytes(16)
    while rows := await connection.fetch(_KEYS, after, _PAGE):
        yield [row["key"] for row in rows]
        after = rows[-1]["key"]


async def all_letters(connection: Connection) -> AsyncGenerator[list[tuple[int, int, bytes]], None]:
    """(partition id, offset, payload) of all dead letters that have one, some thousands at a time."""
    after = (-1, -1)
    while rows := await connection.fetch(_LETTERS, *after, _PAGE):
        yield [tuple(row) for row in rows]
        after = (rows[-1][0], rows[-1][1])


async def all_blocks(connection: Connection) -> AsyncGenerator[tuple[list[tuple[int, int, bytes]], int], None]:
    """(bucket, batch id, payload) of all blocks of the archive, some at a time, and the number of all blocks."""
    total, after = int(await connection.fetchval(_COUNT_BLOCKS)), (-1, -1)
    while rows := await connection.fetch(_BLOCKS, *after):
        yield [(row[0], row[1], row[2]) for row in rows], total
        after = (rows[-1][0], rows[-1][1])


async def tables_with(connection: Connection, values: list[str]) -> dict[str, int]:
    """Table -> how many of its rows hold one of the values, as text or as bytes. The archive is left out."""
    hexes = [value.encode().hex() for value in values]
    rows_with = {}
    for row in await connection.fetch(_TABLES):
        statement = _ROWS_WITH.format(table=row["name"])
        rows_with[row["name"]] = int(await connection.fetchval(statement, values, hexes))
    return rows_with


class Applied(NamedTuple):
    """An erasure as it was applied."""

    batch_id: int
    committed_at: datetime
    records: int  #: of the archive and of the dead letters


async def erased_by(connection: Connection, id_: UUID, source: str) -> Applied | None:
    """What an erasure did; None where it is not applied yet."""
    row = await connection.fetchrow(_APPLIED, id_, source)
    return None if row is None else Applied(*row)


async def rewrite(connection: asyncpg.Connection) -> None:
    """Rewrite the tables that held a person, so that none of their pages on disk holds what was removed.

    Each is locked meanwhile. The write-ahead log keeps it until PostgreSQL recycles its files.
    """
    for table in _HELD:
        await connection.execute(f"VACUUM (FULL, ANALYZE) public.{table}")
    await connection.execute("CHECKPOINT")


async def head(connection: Connection) -> int:
    """The number of the feed's last change."""
    return int(await connection.fetchval(_HEAD))


async def somebody_came(connection: asyncpg.Connection, removal: Removal, before: int) -> bool:
    """Whether another worker has written about the person since the search: up to the change numbered `before`."""
    keys = [row["key"] for row in await connection.fetch(_SINCE, removal.feed_head, before)]
    return removal.names_person(keys)


def _columns(places: list[RecordId]) -> tuple[list[int], list[int]]:
    return [partition_id for partition_id, _ in places], [offset for _, offset in places]


async def take_out(connection: asyncpg.Connection, removal: Removal, batch_id: int) -> None:
    """Take what was stored about a person out of the database, within a batch's transaction; seals stay."""
    for bucket, of_batch, places in removal.blocks:
        payload = await connection.fetchval(_BLOCK, bucket, of_batch)
        await connection.execute(_REWRITE, bucket, of_batch, without(open_sealed(payload), set(places)))
    await connection.execute(_BLANK, *_columns(removal.letters))
    await connection.execute(_NOTE, batch_id, *_columns(removal.records))
    for statement in (_FEED, _RELATED, _ANNOUNCED, _VICTIMS):
        await connection.execute(statement, removal.journeys)
    await connection.execute(_READS, removal.journeys, removal.values)
