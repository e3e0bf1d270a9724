"""What time alone does to journeys, told in the feed. The fold has no clock; `journeys.due` says what silence will do.

`announced` has the journeys of which the feed has last told a stage by silence, `journeys.due_at` when there will be
more to tell. Whoever writes here holds the journey's row, and takes the feed's counter last, as every commit does.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import asyncpg
import orjson

from projections.journey.row import JourneyRow
from store.changes import CHANGED, ENTERED, LEFT, MERGED, TIME, VANISHED, Change, audience_changes, write_changes

_AT_ONCE = 1_000
#: Kinds of change that go from what was told last.
_PUT_RIGHT = frozenset({CHANGED, MERGED, VANISHED, ENTERED, LEFT})

Due = Sequence[tuple[int, int, list[str]]]  #: (time, stage, audiences), in order


class _Told(NamedTuple):
    """What the feed says of a journey."""

    stage: int
    audiences: list[str]


_WITHDRAW = """
    DELETE FROM announced WHERE (SELECT EXISTS (SELECT FROM announced)) AND journey_id = ANY ($1::uuid[])
    RETURNING journey_id, stage, audiences
"""
_TOLD_UNTIL = "SELECT told_until FROM projection"
_ANNOUNCE = """
    INSERT INTO announced (journey_id, stage, audiences)
    SELECT journey_id, stage, ARRAY(SELECT jsonb_array_elements_text(audiences::jsonb))
    FROM unnest($1::uuid[], $2::smallint[], $3::text[]) AS u (journey_id, stage, audiences)
    ON CONFLICT (journey_id) DO UPDATE SET stage = excluded.stage, audiences = excluded.audiences
"""
_NEXT = """
    UPDATE journeys j SET due_at = u.due_at FROM unnest($1::uuid[], $2::bigint[]) AS u (journey_id, due_at)
    WHERE j.journey_id = u.journey_id
"""

_DUE = "SELECT journey_id FROM journeys WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
#: Who is being written by a batch is left for later: nobody waits, so nobody can wait in a circle.
_HOLD = """
    SELECT journey_id, due, stage, audiences FROM journeys
    WHERE journey_id = ANY ($1::uuid[]) AND due_at <= $2 ORDER BY journey_id FOR UPDATE SKIP LOCKED
"""
_TOLD = "SELECT journey_id, stage, audiences FROM announced WHERE journey_id = ANY ($1::uuid[])"
_NUMBER = """
    UPDATE projection SET feed_seq = feed_seq + $1, told_until = greatest(told_until, $2) RETURNING feed_seq
"""


async def retold(connection: asyncpg.Connection, changes: list[Change], rows: list[JourneyRow]) -> list[Change]:
    """The changes of a batch, corrected where the feed last told what silence did.

    They go from what was told, and to what silence has led to by the time the feed has told of.
    """
    known = sorted({one.journey_id for one in changes if one.kind in _PUT_RIGHT and one.stage_from is not None})
    withdrawn = await connection.fetch(_WITHDRAW, known) if known else []
    if not withdrawn:
        return changes
    told = {row["journey_id"]: _Told(row["stage"], row["audiences"]) for row in withdrawn}
    until = await connection.fetchval(_TOLD_UNTIL)
    concerned = {row.journey_id: row for row in rows if row.journey_id in told}
    passed = {key: _passed(row.due, until) for key, row in concerned.items()}
    still = {key: moves[-1] for key, moves in passed.items() if moves}
    await _announce(connection, [(key, still[key], _after(concerned[key].due, until)) for key in sorted(still)])
    corrected = list[Change]()
    for change in changes:
        key = change.journey_id
        if key not in told or change.kind not in _PUT_RIGHT:
            corrected.append(change)
        elif change.kind not in (ENTERED, LEFT):
            now = still[key].stage if key in still else change.stage_to
            corrected.append(change._replace(stage_from=told[key].stage, stage_to=now))
            audiences = still[key].audiences if key in still else concerned[key].audiences if key in concerned else []
            corrected += audience_changes(key, now, told[key].audiences, audiences, change.cause)
    return corrected


async def tell_silence(connection: asyncpg.Connection, at: int) -> int:
    """Write feed rows for what silence has done by `at`, microseconds since 1970 UTC.

    At most a thousand journeys at once. Returns how many: call it again until there are none.
    """
    async with connection.transaction():
        ids = [row["journey_id"] for row in await connection.fetch(_DUE, at, _AT_ONCE)]
        held = await connection.fetch(_HOLD, ids, at) if ids else []
        if not held:
            return 0
        told = {row["journey_id"]: _Told(row["stage"], row["audiences"]) for row in await connection.fetch(_TOLD, ids)}
        changes, news = list[Change](), list[tuple[bytes, _Told, int | None]]()
        for row in held:
            due: Due = orjson.loads(row["due"])
            journey_id = row["journey_id"]
            said = told.get(journey_id, _Told(row["stage"], row["audiences"]))
            for following in _passed(due, at):
                if following.stage != said.stage:
                    changes.append(
                        Change(
                            journey_id=journey_id,
                            kind=CHANGED,
                            stage_from=said.stage,
                            stage_to=following.stage,
                            related=None,
                            cause=TIME,
                        )
                    )
                changes += audience_changes(journey_id, following.stage, said.audiences, following.audiences, TIME)
                said = following
            news.append((journey_id, said, _after(due, at)))
        await _announce(connection, news)
        last = await connection.fetchval(_NUMBER, len(changes), at)
        await write_changes(connection, changes, last - len(changes) + 1, None)
    return len(held)


def _passed(due: Due, until: int) -> list[_Told]:
    return [_Told(stage, audiences) for at, stage, audiences in due if at <= until]


def _after(due: Due, until: int) -> int | None:
    return next((at for at, _, _ in due if at > until), None)


async def _announce(connection: asyncpg.Connection, news: Iterable[tuple[bytes, _Told, int | None]]) -> None:
    """Note (journey, what was told, when there is more to tell)."""
    news = list(news)
    if news:
        keys, told, next_ = [list(column) for column in zip(*news, strict=True)]
        audiences = [orjson.dumps(one.audiences).decode() for one in told]
        await connection.execute(_ANNOUNCE, keys, [one.stage for one in told], audiences)
        await connection.execute(_NEXT, keys, next_)
