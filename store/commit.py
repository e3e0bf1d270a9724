"""The one transaction of a batch: fence first, effects, the counters of feed and tree last. Law 3 is this file."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from struct import Struct
from typing import NamedTuple

import asyncpg
import orjson

from projections.identifiers import later_key
from projections.identity.register import Entries
from projections.identity.workspace import Consulted, Gone, Move
from projections.journey.row import JourneyRow
from schemas.errors import TandemError
from store.archive import Block
from store.chain import Step, content_of, letter_seal, link_of
from store.changes import Change, write_changes
from store.erasure import Removal, somebody_came, take_out, write_erasures
from store.handoffs import write_handoffs
from store.proposals import Swept, begin_sweep, move_sweep, write_said
from store.silence import retold


class Fenced(TandemError):
    """Another worker owns a partition of this batch, or has committed past it; nothing was written.

    Nothing to do: the worker gives the partition up.
    """


class Stale(TandemError):
    """Another worker changed a journey or event since it was read; nothing was written.

    Nothing to do: the worker folds the batch again.
    """


class Advance(NamedTuple):
    """How far a batch takes one partition, and law 4's counts of what it read there."""

    partition_id: int
    epoch: int
    from_offset: int
    to_offset: int  #: exclusive
    witness: int | None
    applied: int
    duplicates: int
    dead: int
    holes: int


class EventRow(NamedTuple):
    """The key of an applied event, and where its bytes are."""

    id: bytes
    source_id: int
    body_hash: int
    bucket: int


class DeadLetter(NamedTuple):
    """A record that could not be applied, as it came. `recorded_at` is microseconds since 1970 UTC."""

    partition_id: int
    offset: int
    reason: str
    field: str
    message: str
    payload: bytes | None
    recorded_at: int
    salt: bytes = b""  #: so that nobody can guess the row from its seal


class Hole(NamedTuple):
    """Offsets that the log did not hold."""

    partition_id: int
    from_offset: int
    to_offset: int  #: exclusive


class Batch(NamedTuple):
    """All effects of one batch. Lists are sorted by their keys, so that every worker locks in the same order."""

    advances: list[Advance]
    events: bytes  #: of new events, from `copy_of`; empty where there are none
    superseded: list[EventRow]  #: known events whose body was replaced by the rule for conflicts
    blocks: list[Block]  #: of the archive
    journeys: list[JourneyRow]
    gone: list[Gone]
    moved: list[Move]
    entries: Entries
    consulted: Consulted
    register_version: int  #: of the register that the batch was folded with
    dead_letters: list[DeadLetter]
    holes: list[Hole]
    changes: list[Change]
    swept: Swept | None  #: set for a page of the sweep, which has no events
    with_handoffs: list[JourneyRow]  #: journeys whose hand-offs differ from the stored ones
    had_handoffs: list[bytes]  #: journeys that had others before the batch
    removal: Removal | None  #: what an erasure takes out of the database


_FENCE = """
    WITH fenced AS (
        UPDATE partitions p SET
            next_offset = u.to_offset, witness = coalesce(u.witness, p.witness), applied = p.applied + u.applied,
            duplicates = p.duplicates + u.duplicates, dead = p.dead + u.dead, holes = p.holes + u.holes,
            chain = sha256(p.chain || u.link)
        FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::int[], $8::int[],
                    $9::bigint[], $10::bytea[])
             AS u (partition_id, epoch, from_offset, to_offset, witness, applied, duplicates, dead, holes, link)
        WHERE p.partition_id = u.partition_id AND p.epoch = u.epoch AND p.next_offset = u.from_offset
        RETURNING p.partition_id, p.chain
    )
    SELECT (SELECT array_agg(chain ORDER BY partition_id) FROM fenced), nextval('batch_ids')
"""

_BATCHES = """
    WITH grown AS (UPDATE tree SET size = size + 1 RETURNING size - 1 AS leaf, clock_timestamp() AS committed_at)
    INSERT INTO batches (batch_id, partition_id, from_offset, to_offset, applied, duplicates, dead, holes, chain,
                         committed_at, leaf)
    SELECT $1, u.*, grown.committed_at, grown.leaf FROM grown,
        unnest($2::int[], $3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::int[], $8::bigint[], $9::bytea[]) AS u
"""

_SUPERSEDE = """
    UPDATE events e SET body_hash = u.body_hash, bucket = u.bucket, batch_id = $5
    FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::smallint[]) AS u (id, source_id, body_hash, bucket)
    WHERE e.id = u.id AND e.source_id = u.source_id
"""

_JOURNEYS = """
    INSERT INTO journeys (journey_id, component, rev, stage, stage_since, due, due_at, reached, first_seen, last_seen,
                          events, channel, campaign, owner, account, accounts, stays, score, value, audiences, handoffs,
                          state)
    SELECT journey_id, component, rev, stage, stage_since, due::jsonb, (due::jsonb -> 0 ->> 0)::bigint,
           reached::bigint[], first_seen, last_seen, events, channel, campaign, owner, account, accounts, stays::jsonb,
           score, value::jsonb, audiences, handoffs, state
    FROM staged_journeys
    ON CONFLICT (journey_id) DO UPDATE SET
        component = excluded.component, rev = excluded.rev, stage = excluded.stage,
        stage_since = excluded.stage_since, due = excluded.due, due_at = excluded.due_at, reached = excluded.reached,
        first_seen = excluded.first_seen, last_seen = excluded.last_seen, events = excluded.events,
        channel = excluded.channel, campaign = excluded.campaign, owner = excluded.owner,
        account = excluded.account, accounts = excluded.accounts, stays = excluded.stays, score = excluded.score,
        value = excluded.value, audiences = excluded.audiences, handoffs = excluded.handoffs, state = excluded.state
    WHERE journeys.rev = excluded.rev - 1
"""

_GONE = """
    DELETE FROM journeys j USING unnest($1::uuid[], $2::bigint[]) AS u (journey_id, rev)
    WHERE j.journey_id = u.journey_id AND j.rev = u.rev
"""

_MOVED = """
    UPDATE identifiers i SET journey_id = u.journey_id FROM unnest($1::uuid[], $2::uuid[], $3::uuid[])
        AS u (key, before, journey_id)
    WHERE i.key = u.key AND i.journey_id = u.before
"""

_UNUSED = """
    DELETE FROM identifiers i USING unnest($1::uuid[], $2::uuid[]) AS u (key, before)
    WHERE i.key = u.key AND i.journey_id = u.before
"""

_RULINGS = """
    INSERT INTO rulings (occurred_at, id, source, joined, keys, batch_id) VALUES ($1, $2, $3, $4, $5, $6)
"""
_RELEASES = "INSERT INTO releases (key, released_at, later_key, batch_id) VALUES ($1, $2, $3, $4)"
_UNRULE = """
    DELETE FROM rulings r USING unnest($1::uuid[], $2::text[]) AS u (id, source)
    WHERE r.id = u.id AND r.source = u.source
"""
_UNRELEASE = "DELETE FROM releases WHERE key = $1 AND released_at = $2"
_QUARANTINE = "INSERT INTO quarantine (key, type, value, batch_id) VALUES ($1, $2, $3, $4)"
_FREED = "DELETE FROM quarantine WHERE key = ANY ($1::uuid[])"
_FREED_VICTIMS = "DELETE FROM victims WHERE key = ANY ($1::uuid[])"
_VICTIMS = """
    INSERT INTO victims (key, victim, occurred_at) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[])
    ON CONFLICT (key, victim) DO UPDATE SET occurred_at = least(victims.occurred_at, excluded.occurred_at)
"""

#: Batches that move identifiers between journeys go alone, so that two of them cannot wait for each other.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('tandem journeys ' || current_schema(), 0))"
_TOGETHER = "SELECT pg_advisory_xact_lock_shared(hashtextextended('tandem journeys ' || current_schema(), 0))"

_DEAD_LETTERS = """
    INSERT INTO dead_letters (partition_id, record_offset, reason, field, message, payload, recorded_at, salt,
                              seal, batch_id)
    SELECT *, $10::bigint
    FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bigint[], $8::bytea[],
                $9::bytea[])
"""

_HOLES = """
    INSERT INTO holes (partition_id, from_offset, to_offset, batch_id)
    SELECT *, $4::bigint FROM unnest($1::int[], $2::bigint[], $3::bigint[])
"""

_STALE = "another worker has changed what this batch read: nothing was written, fold again"

_AS_CONSULTED = """
    SELECT count(*) FROM unnest($1::uuid[], $2::bigint[]) AS u (journey_id, rev) JOIN journeys j USING (journey_id, rev)
"""
_ANY_OF = "SELECT EXISTS (SELECT FROM identifiers WHERE key = ANY ($1::uuid[]))"

_NUMBER = """
    UPDATE projection SET feed_seq = feed_seq + $1, register_version = register_version + $2
    WHERE register_version = $3 RETURNING feed_seq
"""

_BLOCK_COLUMNS = (*Block._fields, "batch_id")
_JOURNEY_COLUMNS = JourneyRow._fields


_COPY_HEAD, _COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_event_copy = Struct(">hi16siiiqih")  # the number of columns, then each with its length before it


def copy_of(events: Iterable[EventRow]) -> bytes:
    """Rows of the table `events` in key order, as binary COPY takes them; empty where there are none.

    The form is that of PostgreSQL's manual, COPY, "Binary Format".
    """
    pack = _event_copy.pack
    rows = [pack(4, 16, id_, 4, source_id, 8, body_hash, 2, bucket) for id_, source_id, body_hash, bucket in events]
    rows.sort()
    return b"".join([_COPY_HEAD, *rows, _COPY_END]) if rows else b""


async def commit_batch(connection: asyncpg.Connection, batch: Batch) -> int:
    """Write a batch in one transaction and return its id.

    Raises Fenced where a partition is no longer this worker's, Stale where another worker changed a journey or applied
    an event meanwhile; then nothing was written. After a connection error the outcome is unknown: read the fence.
    """
    async with connection.transaction():
        seals = [letter_seal(*letter) for letter in batch.dead_letters]
        batch_id, chains = await _fence(connection, batch, seals)
        await lock_journeys(connection, batch.gone, batch.moved)
        await _write_events(connection, batch, batch_id)
        await write_journeys(connection, batch.journeys, batch.gone, batch.moved)
        await _write_leftovers(connection, batch, seals, batch_id)
        if batch.events or batch.superseded or batch.swept:
            changes = await retold(connection, batch.changes, batch.journeys)
            changes += await write_handoffs(connection, batch.with_handoffs, batch.had_handoffs)
            first = await write_register(
                connection, batch.entries, batch.consulted, batch.register_version, len(changes), batch_id
            )
            if batch.removal is not None:
                if await somebody_came(connection, batch.removal, first):
                    raise Stale(_STALE)
                await take_out(connection, batch.removal, batch_id)
            if batch.swept and not await move_sweep(connection, batch.swept):
                raise Stale(_STALE)
            await write_changes(connection, changes, first, batch_id)
        if batch.advances:
            await _write_leaf(connection, batch.advances, chains, batch_id)
    return batch_id


async def lock_journeys(connection: asyncpg.Connection, gone: list[Gone], moved: list[Move]) -> None:
    """Wait until this batch may be written beside those of other workers."""
    await connection.execute(_ALONE if gone or any(move.before for move in moved) else _TOGETHER)


async def write_register(
    connection: asyncpg.Connection, entries: Entries, consulted: Consulted, version: int, changes: int, batch_id: int
) -> int:
    """Write what was added to the register, and number the feed's rows: returns the number of the first of `changes`.

    The row that has the feed's counter proves that the register was up to date. Raises Stale where it was not, or where
    what was consulted is no longer so.
    """
    if entries:
        await _write_entries(connection, entries, batch_id)
    last = await connection.fetchval(_NUMBER, changes, int(entries.changed), version)
    if last is None:
        raise Stale(_STALE)
    # whoever commits takes that row, too: what others have committed can be seen now, and nobody commits before us
    if consulted.journeys:
        journeys, revs = _columns(consulted.journeys, 2)
        if await connection.fetchval(_AS_CONSULTED, journeys, revs) != len(journeys):
            raise Stale(_STALE)
    if consulted.absent and await connection.fetchval(_ANY_OF, consulted.absent):
        raise Stale(_STALE)
    return int(last) - changes + 1


async def _unrule(connection: asyncpg.Connection, events: list[tuple[bytes, str]]) -> None:
    """Take rulings away, by (event id, source)."""
    if events:
        ids, sources = zip(*events, strict=True)
        await connection.execute(_UNRULE, list(ids), list(sources))


async def _write_entries(connection: asyncpg.Connection, entries: Entries, batch_id: int) -> None:
    await _unrule(connection, entries.retracted_rulings)  # another body of the same event may take a ruling's place
    for ruling in entries.rulings:
        await connection.execute(_RULINGS, *ruling.order, ruling.joined, list(ruling.keys), batch_id)
    await write_said(connection, entries.playbook_events, entries.retracted_playbook_events, batch_id)
    await write_erasures(connection, entries.erasures, batch_id)
    if entries.terms_changed:
        await begin_sweep(connection)
    for key, at in entries.retracted_releases:
        await connection.execute(_UNRELEASE, key, at)
    for key, at in entries.releases:
        await connection.execute(_RELEASES, key, at, later_key(key, at), batch_id)
    if entries.unquarantined:
        await connection.execute(_FREED, entries.unquarantined)
        await connection.execute(_FREED_VICTIMS, entries.unquarantined)
    for identifier in entries.quarantined:
        await connection.execute(_QUARANTINE, identifier.key, identifier.type, identifier.value, batch_id)
    if entries.affected_identifiers:
        first = {(one.quarantined, one.affected): one.at for one in sorted(entries.affected_identifiers, reverse=True)}
        keys = sorted(first)
        await connection.execute(
            _VICTIMS, [key for key, _ in keys], [victim for _, victim in keys], [first[key] for key in keys]
        )


async def _fence(connection: asyncpg.Connection, batch: Batch, seals: list[bytes]) -> tuple[int, list[bytes]]:
    """Move the partitions on. Returns the batch's id and the chain of each partition."""
    advances = batch.advances
    content = content_of(
        [(block.bucket, block.root) for block in batch.blocks],
        [(*letter[:2], seal) for letter, seal in zip(batch.dead_letters, seals, strict=True)],
        sorted(batch.holes),
        batch.removal.records if batch.removal is not None else [],
    )
    links = [link_of(content, _step(advance)) for advance in advances]
    row = await connection.fetchrow(_FENCE, *_columns(advances, 9), links)
    assert row is not None, "an aggregate always returns a row"
    chains, batch_id = row[0] or [], row[1]
    if len(chains) != len(advances):
        raise Fenced(
            f"another worker has taken over {len(advances) - len(chains)} of this batch's {len(advances)} partitions: "
            "nothing was written"
        )
    return int(batch_id), chains


def _step(advance: Advance) -> Step:
    return Step(advance.partition_id, *advance[2:4], *advance[5:])


async def _write_leaf(
    connection: asyncpg.Connection, advances: list[Advance], chains: list[bytes], batch_id: int
) -> None:
    """Nobody commits between this statement and the end: leaves are numbered in the order of commits."""
    await connection.execute(_BATCHES, batch_id, *_columns([_step(advance) for advance in advances], 7), chains)


async def _write_events(connection: asyncpg.Connection, batch: Batch, batch_id: int) -> None:
    if batch.events:
        await _write_new_events(connection, batch.events)
    if batch.superseded:
        await _expect(connection, len(batch.superseded), _SUPERSEDE, *_columns(batch.superseded, 4), batch_id)
    if batch.blocks:
        blocks = [(*block, batch_id) for block in batch.blocks]
        await connection.copy_records_to_table("archive", records=blocks, columns=_BLOCK_COLUMNS)


async def _write_new_events(connection: asyncpg.Connection, events: bytes) -> None:
    """The key is the last word on duplicates: events were looked up before, another worker may have come since.

    The table fills in the batch id.
    """
    try:
        await connection.copy_to_table("events", source=BytesIO(events), columns=EventRow._fields, format="binary")
    except asyncpg.UniqueViolationError as error:
        raise Stale(_STALE) from error


async def write_journeys(
    connection: asyncpg.Connection, journeys: list[JourneyRow], gone: list[Gone], moved: list[Move]
) -> None:
    """Write what the fold has changed. Raises Stale where another worker changed it, too; then roll back."""
    if gone:
        await _expect(connection, len(gone), _GONE, *_columns(gone, len(Gone._fields))[:2])
    if journeys:
        staged = [_staged(row) for row in journeys]
        await connection.copy_records_to_table("staged_journeys", records=staged, columns=_JOURNEY_COLUMNS)
        await _expect(connection, len(staged), _JOURNEYS)
    await _write_identifiers(connection, moved)


async def _write_identifiers(connection: asyncpg.Connection, moves: list[Move]) -> None:
    """Each identifier must find what it found when this batch was folded; else two workers would share it."""
    fresh = [(move.key, move.now) for move in moves if move.before is None]
    if fresh:
        try:
            await connection.copy_records_to_table("identifiers", records=fresh, columns=("key", "journey_id"))
        except asyncpg.UniqueViolationError as error:
            raise Stale(_STALE) from error
    if len(fresh) == len(moves):
        return
    moved = [move for move in moves if move.before is not None and move.now is not None]
    if moved:
        await _expect(connection, len(moved), _MOVED, *_columns(moved, 3))
    unused = [move for move in moves if move.now is None]
    if unused:
        await _expect(connection, len(unused), _UNUSED, *_columns(unused, 3)[:2])


def _staged(row: JourneyRow) -> tuple[object, ...]:
    """The row with arrays and maps as text, which the server turns into what the table has."""
    due = orjson.dumps(row.due).decode() if row.due else None
    value = orjson.dumps(row.value, option=orjson.OPT_SORT_KEYS).decode() if row.value else "{}"
    stays = orjson.dumps([tuple(stay) for stay in row.stays]).decode() if row.stays else None
    reached = ",".join(["NULL" if at is None else str(at) for at in row.reached])
    return (
        *row[:5],
        due,
        f"{{{reached}}}",
        *row[7:15],
        stays,
        row.score,
        value,
        row.audiences,
        len(row.handoffs),
        row.state,
    )


async def _write_leftovers(connection: asyncpg.Connection, batch: Batch, seals: list[bytes], batch_id: int) -> None:
    if batch.dead_letters:
        await connection.execute(_DEAD_LETTERS, *_columns(batch.dead_letters, 8), seals, batch_id)
    if batch.holes:
        await connection.execute(_HOLES, *_columns(batch.holes, 3), batch_id)


async def _expect(connection: asyncpg.Connection, rows: int, statement: str, *columns: object) -> None:
    """Run a statement that must write exactly so many rows; fewer means that this worker's copy is old."""
    status = await connection.execute(statement, *columns)
    if int(status.rsplit(" ", 1)[1]) != rows:
        raise Stale(_STALE)


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    """Rows turned into the column arrays that unnest takes."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
