"""The one transaction of a batch: fence first, effects, the feed's counter last. Law 3 is this file."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import orjson

from projections.row import JourneyRow
from projections.workspace import Gone
from schemas.errors import TandemError


class Fenced(TandemError):
    """Another worker owns a partition of this batch, or has committed past it. Nothing was written."""


class Stale(TandemError):
    """A journey or event was changed by another worker since it was read. Nothing was written; fold again."""


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


class Hole(NamedTuple):
    """Offsets that the log did not hold."""

    partition_id: int
    from_offset: int
    to_offset: int  #: exclusive


class Change(NamedTuple):
    """One row of the change feed, before it has its number."""

    journey_id: bytes
    kind: int
    stage_from: int | None
    stage_to: int | None
    successor: bytes | None


#: Kinds of change.
CHANGED, CREATED, MERGED, VANISHED = range(4)


class Batch(NamedTuple):
    """All effects of one batch. Lists are sorted by their keys, so that every worker locks in the same order."""

    advances: list[Advance]
    events: list[EventRow]
    superseded: list[EventRow]  #: known events whose body was replaced by the rule for conflicts
    blocks: list[tuple[int, int, bytes]]  #: (bucket, events, payload)
    journeys: list[JourneyRow]
    gone: list[Gone]
    moved: list[tuple[bytes, bytes | None]]  #: (identifier key, journey id; None: nobody uses it any more)
    dead_letters: list[DeadLetter]
    holes: list[Hole]
    changes: list[Change]


_FENCE = """
    WITH fenced AS (
        UPDATE partitions p SET
            next_offset = u.to_offset, witness = coalesce(u.witness, p.witness), applied = p.applied + u.applied,
            duplicates = p.duplicates + u.duplicates, dead = p.dead + u.dead, holes = p.holes + u.holes
        FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::int[], $8::int[],
                    $9::bigint[])
             AS u (partition_id, epoch, from_offset, to_offset, witness, applied, duplicates, dead, holes)
        WHERE p.partition_id = u.partition_id AND p.epoch = u.epoch AND p.next_offset = u.from_offset
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM fenced), nextval('batch_ids')
"""

_BATCHES = """
    INSERT INTO batches (batch_id, partition_id, from_offset, to_offset, applied, duplicates, dead, holes)
    SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::int[], $8::bigint[])
"""

_SUPERSEDE = """
    UPDATE events e SET body_hash = u.body_hash, bucket = u.bucket, batch_id = $5
    FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::smallint[]) AS u (id, source_id, body_hash, bucket)
    WHERE e.id = u.id AND e.source_id = u.source_id
"""

_JOURNEYS = """
    INSERT INTO journeys (journey_id, component, rev, stage, stage_since, due, reached, first_seen, last_seen, events,
                          channel, campaign, owner, account, score, value, state)
    SELECT journey_id, component, rev, stage, stage_since, due::jsonb, reached::bigint[], first_seen, last_seen, events,
           channel, campaign, owner, account, score, value::jsonb, state
    FROM staged_journeys
    ON CONFLICT (journey_id) DO UPDATE SET
        component = excluded.component, rev = excluded.rev, stage = excluded.stage,
        stage_since = excluded.stage_since, due = excluded.due, reached = excluded.reached,
        first_seen = excluded.first_seen, last_seen = excluded.last_seen, events = excluded.events,
        channel = excluded.channel, campaign = excluded.campaign, owner = excluded.owner,
        account = excluded.account, score = excluded.score, value = excluded.value, state = excluded.state
    WHERE journeys.rev = excluded.rev - 1
"""

_GONE = """
    DELETE FROM journeys j USING unnest($1::uuid[], $2::bigint[]) AS u (journey_id, rev)
    WHERE j.journey_id = u.journey_id AND j.rev = u.rev
"""

_MOVED = """
    INSERT INTO identifiers (key, journey_id) SELECT key, journey_id FROM staged_identifiers
    ON CONFLICT (key) DO UPDATE SET journey_id = excluded.journey_id
"""

_UNUSED = "DELETE FROM identifiers WHERE key = ANY ($1::uuid[])"

_DEAD_LETTERS = """
    INSERT INTO dead_letters (partition_id, record_offset, reason, field, message, payload, recorded_at, batch_id)
    SELECT *, $8::bigint
    FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bigint[])
"""

_HOLES = """
    INSERT INTO holes (partition_id, from_offset, to_offset, batch_id)
    SELECT *, $4::bigint FROM unnest($1::int[], $2::bigint[], $3::bigint[])
"""

_STALE = "another worker has changed what this batch read: nothing was written, fold again"

_NUMBER = "UPDATE projection SET feed_seq = feed_seq + $1 RETURNING feed_seq"

_EVENT_COLUMNS = (*EventRow._fields, "batch_id")
_JOURNEY_COLUMNS = JourneyRow._fields
_CHANGE_COLUMNS = ("seq", *Change._fields, "batch_id")


async def commit_batch(connection: asyncpg.Connection, batch: Batch) -> int:
    """Write a batch in one transaction and return its id.

    Raises Fenced where a partition is no longer this worker's, Stale where another worker changed a journey or applied
    an event meanwhile; then nothing was written. After a connection error the outcome is unknown: read the fence.
    """
    async with connection.transaction():
        batch_id = await _fence(connection, batch.advances)
        await _write_events(connection, batch, batch_id)
        await _write_journeys(connection, batch)
        await _write_leftovers(connection, batch, batch_id)
        if batch.changes:
            last = await connection.fetchval(_NUMBER, len(batch.changes))
            first = last - len(batch.changes) + 1
            numbered = [(first + n, *change, batch_id) for n, change in enumerate(batch.changes)]
            await connection.copy_records_to_table("changes", records=numbered, columns=_CHANGE_COLUMNS)
    return batch_id


async def _fence(connection: asyncpg.Connection, advances: list[Advance]) -> int:
    columns = _columns(advances, 9)
    row = await connection.fetchrow(_FENCE, *columns)
    assert row is not None, "an aggregate always returns a row"
    fenced, batch_id = row
    if fenced != len(advances):
        raise Fenced(
            f"another worker has taken over {len(advances) - fenced} of this batch's {len(advances)} partitions: "
            "nothing was written"
        )
    await connection.execute(_BATCHES, batch_id, columns[0], columns[2], columns[3], *columns[5:])
    return int(batch_id)


async def _write_events(connection: asyncpg.Connection, batch: Batch, batch_id: int) -> None:
    if batch.events:
        await _write_new_events(connection, batch.events, batch_id)
    if batch.superseded:
        await _expect(connection, len(batch.superseded), _SUPERSEDE, *_columns(batch.superseded, 4), batch_id)
    if batch.blocks:
        blocks = [(*block, batch_id) for block in batch.blocks]
        await connection.copy_records_to_table(
            "archive", records=blocks, columns=("bucket", "events", "payload", "batch_id")
        )


async def _write_new_events(connection: asyncpg.Connection, events: list[EventRow], batch_id: int) -> None:
    """The key is the last word on duplicates: events were looked up before, another worker may have come since."""
    rows = [(*event, batch_id) for event in events]
    try:
        await connection.copy_records_to_table("events", records=rows, columns=_EVENT_COLUMNS)
    except asyncpg.UniqueViolationError as error:
        raise Stale(_STALE) from error


async def _write_journeys(connection: asyncpg.Connection, batch: Batch) -> None:
    if batch.gone:
        await _expect(connection, len(batch.gone), _GONE, *_columns(batch.gone, 3)[:2])
    if batch.journeys:
        staged = [_staged(row) for row in batch.journeys]
        await connection.copy_records_to_table("staged_journeys", records=staged, columns=_JOURNEY_COLUMNS)
        await _expect(connection, len(staged), _JOURNEYS)
    homes = [(key, home) for key, home in batch.moved if home is not None]
    if homes:
        await connection.copy_records_to_table("staged_identifiers", records=homes, columns=("key", "journey_id"))
        await connection.execute(_MOVED)
    if len(homes) < len(batch.moved):
        await connection.execute(_UNUSED, [key for key, home in batch.moved if home is None])


def _staged(row: JourneyRow) -> JourneyRow:
    """The row with arrays and maps as text, which the server turns into what the table has."""
    due = orjson.dumps(row.due).decode() if row.due else None
    value = orjson.dumps(row.value, option=orjson.OPT_SORT_KEYS).decode() if row.value else "{}"
    reached = ",".join(["NULL" if at is None else str(at) for at in row.reached])
    return JourneyRow(*row[:5], due, f"{{{reached}}}", *row[7:15], value, row.state)  # type: ignore[arg-type]


async def _write_leftovers(connection: asyncpg.Connection, batch: Batch, batch_id: int) -> None:
    if batch.dead_letters:
        await connection.execute(_DEAD_LETTERS, *_columns(batch.dead_letters, 7), batch_id)
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
