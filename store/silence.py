"""What time alone does to journeys, told in the feed. The fold has no clock; `journeys.due` says what silence will do.

`announced` has the journeys of which the feed has last told a stage by silence, `journeys.due_at` when there will be
more to tell. Whoever writes here holds the journey's row, and takes the feed's counter last, as every commit does.
"""

from collections.abc import Iterable, Sequence

import asyncpg
import orjson

from projections.row import JourneyRow
from store.changes import CHANGED, TIME, Change, write_changes

_AT_ONCE = 1_000

Due = Sequence[tuple[int, int]]  #: (time, stage), in order

_WITHDRAW = """
    DELETE FROM announced WHERE (SELECT EXISTS (SELECT FROM announced)) AND journey_id = ANY ($1::uuid[])
    RETURNING journey_id, stage
"""
_TOLD_UNTIL = "SELECT told_until FROM projection"
_ANNOUNCE = """
    INSERT INTO announced (journey_id, stage) SELECT * FROM unnest($1::uuid[], $2::smallint[])
    ON CONFLICT (journey_id) DO UPDATE SET stage = excluded.stage
"""
_NEXT = """
    UPDATE journeys j SET due_at = u.due_at FROM unnest($1::uuid[], $2::bigint[]) AS u (journey_id, due_at)
    WHERE j.journey_id = u.journey_id
"""

_DUE = "SELECT journey_id FROM journeys WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
#: Who is being written by a batch is left for later: nobody waits, so nobody can wait in a circle.
_HOLD = """
    SELECT journey_id, due, stage FROM journeys
    WHERE journey_id = ANY ($1::uuid[]) AND due_at <= $2 ORDER BY journey_id FOR UPDATE SKIP LOCKED
"""
_TOLD = "SELECT journey_id, stage FROM announced WHERE journey_id = ANY ($1::uuid[])"
_NUMBER = """
    UPDATE projection SET feed_seq = feed_seq + $1, told_until = greatest(told_until, $2) RETURNING feed_seq
"""


async def retold(connection: asyncpg.Connection, changes: list[Change], rows: list[JourneyRow]) -> list[Change]:
    """The changes of a batch, put right where the feed has last told a stage by silence.

    They go from the stage that was told, and to the one that silence has led to by the time the feed has told of.
    """
    known = sorted(change.journey_id for change in changes if change.stage_from is not None)
    withdrawn = await connection.fetch(_WITHDRAW, known) if known else []
    if not withdrawn:
        return changes
    told = {row["journey_id"]: row["stage"] for row in withdrawn}
    until = await connection.fetchval(_TOLD_UNTIL)
    passed = {row.journey_id: _passed(row.due, until) for row in rows if row.journey_id in told and row.due}
    still = {journey_id: stages[-1] for journey_id, stages in passed.items() if stages}
    due = {row.journey_id: row.due for row in rows if row.journey_id in still}
    await _announce(connection, [(key, still[key], _after(due[key], until)) for key in sorted(still)])
    return [
        change._replace(stage_from=told[change.journey_id], stage_to=still.get(change.journey_id, change.stage_to))
        if change.journey_id in told
        else change
        for change in changes
    ]


async def tell_silence(connection: asyncpg.Connection, at: int) -> int:
    """Write feed rows for what silence has done by `at`, microseconds since 1970 UTC.

    At most a thousand journeys at once; returns of how many it told: call it again until there is nothing to tell.
    """
    async with connection.transaction():
        ids = [row["journey_id"] for row in await connection.fetch(_DUE, at, _AT_ONCE)]
        held = await connection.fetch(_HOLD, ids, at) if ids else []
        if not held:
            return 0
        told = {row["journey_id"]: row["stage"] for row in await connection.fetch(_TOLD, ids)}
        changes, news = list[Change](), list[tuple[bytes, int, int | None]]()
        for row in held:
            due: Due = orjson.loads(row["due"])
            stage = told.get(row["journey_id"], row["stage"])
            for following in _passed(due, at):
                if following != stage:
                    changes.append(Change(row["journey_id"], CHANGED, stage, following, None, TIME))
                stage = following
            news.append((row["journey_id"], stage, _after(due, at)))
        await _announce(connection, news)
        last = await connection.fetchval(_NUMBER, len(changes), at)
        await write_changes(connection, changes, last - len(changes) + 1, None)
    return len(held)


def _passed(due: Due, until: int) -> list[int]:
    return [stage for at, stage in due if at <= until]


def _after(due: Due, until: int) -> int | None:
    return next((at for at, _ in due if at > until), None)


async def _announce(connection: asyncpg.Connection, news: Iterable[tuple[bytes, int, int | None]]) -> None:
    """Note (journey, stage told, when there is more to tell)."""
    journeys, stages, next_ = [list(column) for column in zip(*news, strict=True)] or ([], [], [])
    if journeys:
        await connection.execute(_ANNOUNCE, journeys, stages)
        await connection.execute(_NEXT, journeys, next_)
