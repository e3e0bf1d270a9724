"""Hand-offs: rows written with their journeys, the queue, and what time alone does to them.

What happens to a hand-off is told in the feed once. What an event did is told with the batch that brought the event;
what time does is told by the ticker when its time has come. What was told and is not so after a late event is told as
retracted.
"""

import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

import asyncpg
import orjson

from projections.journey.handoffs import Handoff, Happening, happenings, next_due, open_until
from projections.journey.row import JourneyRow
from projections.text import id_text
from schemas.times import NEVER
from store.changes import EVENT, HANDOFF, TIME, Change, write_changes
from store.session import Connection

_AT_ONCE = 1_000

_FOUND = """
    SELECT handoff_id, journey_id, kind, team, told FROM handoffs
    WHERE journey_id = ANY ($1::uuid[]) OR handoff_id = ANY ($2::uuid[])
"""
_DELETE = "DELETE FROM handoffs WHERE handoff_id = ANY ($1::uuid[])"
_WRITE = """
    INSERT INTO handoffs SELECT * FROM jsonb_populate_recordset(NULL::handoffs, $1::jsonb)
    ON CONFLICT (handoff_id) DO UPDATE SET
        journey_id = excluded.journey_id, tier = excluded.tier, owner = excluded.owner, state = excluded.state,
        since = excluded.since, offered_at = excluded.offered_at, touched_at = excluded.touched_at,
        touch_due = excluded.touch_due, resolution_due = excluded.resolution_due, expires_at = excluded.expires_at,
        due_at = excluded.due_at, open_until = excluded.open_until,
        note = excluded.note, rival = excluded.rival, successor = excluded.successor,
        alarms = excluded.alarms, told = excluded.told, alarm_at = excluded.alarm_at
    WHERE handoffs IS DISTINCT FROM excluded
"""
_DUE = """
    SELECT handoff_id, h.journey_id, kind, team, alarms, told, j.stage
    FROM handoffs h JOIN journeys j USING (journey_id) WHERE alarm_at <= $1
    ORDER BY alarm_at LIMIT $2 FOR UPDATE OF h SKIP LOCKED
"""
_TOLD = """
    UPDATE handoffs h SET told = h.told || u.more, alarm_at = u.alarm_at
    FROM (
        SELECT handoff_id, ARRAY(SELECT jsonb_array_elements_text(more::jsonb)) AS more, alarm_at
        FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS u (handoff_id, more, alarm_at)
    ) AS u
    WHERE h.handoff_id = u.handoff_id
"""
_NUMBER = "UPDATE projection SET feed_seq = feed_seq + $1 RETURNING feed_seq"

#: Those that wait for somebody, the most overdue first. An offer that has expired or lies in the future does not wait.
_QUEUE = """
    SELECT h.journey_id, h.handoff_id, h.due_at, j.state FROM handoffs h JOIN journeys j USING (journey_id)
    WHERE h.open_until > $1 AND h.offered_at <= $1
      AND ($2::text IS NULL OR team = $2) AND ($3::text IS NULL OR kind = $3)
      AND ($4::boolean IS FALSE OR h.due_at <= $1)
      AND (h.due_at, h.handoff_id) > (coalesce($5, -1), coalesce($6, '00000000-0000-0000-0000-000000000000'::uuid))
    ORDER BY h.due_at, h.handoff_id LIMIT $7
"""
_ONE = """
    SELECT h.journey_id, h.handoff_id, h.due_at, j.state FROM handoffs h JOIN journeys j USING (journey_id)
    WHERE h.handoff_id = $1
"""


class Waiting(NamedTuple):
    """A hand-off's place in the queue, and the stored state of its journey, which has all of it."""

    journey_id: uuid.UUID
    handoff_id: uuid.UUID
    due_at: int  #: microseconds since 1970 UTC
    state: bytes


async def write_handoffs(
    connection: asyncpg.Connection, rows: Iterable[JourneyRow], had: Iterable[bytes]
) -> list[Change]:
    """Write the hand-offs of journeys whose hand-offs have changed. Returns their changes for the feed.

    `had`: journeys that had others before, also those that are gone.
    """
    now = {one.id: (row, one) for row in rows for one in row.handoffs}
    had = sorted(had)
    if not now and not had:
        return []
    stored = {row["handoff_id"]: row for row in await connection.fetch(_FOUND, had, sorted(now))}
    changes, records = list[Change](), list[dict[str, Any]]()
    gone = sorted(stored.keys() - now.keys())
    for handoff_id in gone:
        row = stored[handoff_id]
        if row["told"]:
            changes.append(
                _change(row["journey_id"], None, handoff_id, row["kind"], row["team"], "vanished", None, EVENT)
            )
    for handoff_id in sorted(now):
        journey, one = now[handoff_id]
        told = stored[handoff_id]["told"] if handoff_id in stored else []
        record, news = _record(journey, one, told)
        records.append(record)
        changes += news
    if gone:
        await connection.execute(_DELETE, gone)
    if records:
        await connection.execute(_WRITE, orjson.dumps(records).decode())
    return changes


def _record(journey: JourneyRow, one: Handoff, told: list[str]) -> tuple[dict[str, Any], list[Change]]:
    """(the row, its changes for the feed)."""
    all_ = happenings(one)
    names = {happening.what for happening in all_}
    retracted = [what for what in told if what not in names]
    fresh = [happening for happening in all_ if not happening.by_time and happening.what not in told]
    news = [(f"{what}-retracted", None) for what in retracted] + [(happening.what, happening.at) for happening in fresh]
    changes = [
        _change(journey.journey_id, journey.stage, one.id, one.kind, one.team, what, at, EVENT) for what, at in news
    ]
    now_told = [what for what in told if what in names] + [happening.what for happening in fresh]
    alarms = [happening for happening in all_ if happening.by_time]
    record = {
        "handoff_id": id_text(one.id),
        "journey_id": id_text(journey.journey_id),
        "kind": one.kind,
        "sender": one.from_,
        "receiver": one.to,
        "team": one.team,
        "tier": one.tier,
        "owner": one.owner,
        "state": one.state,
        "since": one.since,
        "offered_at": one.offered_at,
        "touched_at": one.touched_at,
        "touch_due": one.touch_due,
        "resolution_due": one.resolution_due,
        "expires_at": one.expires_at,
        "due_at": NEVER if (due := next_due(one)) is None else due,
        "open_until": open_until(one),
        "note": one.note,
        "rival": one.rival,
        "successor": None if one.successor is None else id_text(one.successor),
        "alarms": [[happening.at, happening.what] for happening in alarms],
        "told": now_told,
        "alarm_at": _next(alarms, now_told),
    }
    return record, changes


def _next(alarms: Iterable[Happening], told: Iterable[str]) -> int | None:
    done = set(told)
    return min((happening.at for happening in alarms if happening.what not in done), default=None)


def _change(
    journey_id: bytes,
    stage: int | None,
    handoff_id: bytes,
    kind: str,
    team: str,
    what: str,
    at: int | None,
    cause: int,
) -> Change:
    named = uuid.UUID(bytes=bytes(handoff_id)) if isinstance(handoff_id, bytes) else handoff_id
    detail = {"handoff": str(named), "kind": kind, "team": team, "what": what, "happened_at": at}
    return Change(
        journey_id=journey_id, kind=HANDOFF, stage_from=stage, stage_to=stage, related=None, cause=cause, detail=detail
    )


async def tell_alarms(connection: asyncpg.Connection, at: int) -> int:
    """Write feed rows for what time has done to hand-offs by `at`, microseconds since 1970 UTC.

    At most a thousand at once. Returns how many: call it again until there are none.
    """
    async with connection.transaction():
        due = await connection.fetch(_DUE, at, _AT_ONCE)
        if not due:
            return 0
        changes, told = list[Change](), list[tuple[object, str, int | None]]()
        for row in due:
            alarms = [Happening(when, what, by_time=True) for when, what in orjson.loads(row["alarms"])]
            fresh = [happening for happening in alarms if happening.at <= at and happening.what not in row["told"]]
            changes += [_change(*_whose(row), happening.what, happening.at, TIME) for happening in fresh]
            more = [happening.what for happening in fresh]
            next_ = _next(alarms, [*row["told"], *more])
            told.append((row["handoff_id"], orjson.dumps(more).decode(), next_))
        await connection.execute(_TOLD, *[list(column) for column in zip(*told, strict=True)])
        last = await connection.fetchval(_NUMBER, len(changes))
        await write_changes(connection, changes, last - len(changes) + 1, None)
    return len(due)


def _whose(row: asyncpg.Record) -> tuple[bytes, int, bytes, str, str]:
    return (row["journey_id"], row["stage"], row["handoff_id"], row["kind"], row["team"])


async def queue(
    connection: Connection,
    at: int,
    team: str | None,
    kind: str | None,
    overdue: bool,
    after: tuple[int, uuid.UUID] | None,
    limit: int,
) -> list[Waiting]:
    """Hand-offs that wait for somebody at a time, those due first before the others; those without deadline last."""
    place = after or (None, None)
    return [Waiting(*row) for row in await connection.fetch(_QUEUE, at, team, kind, overdue, *place, limit)]


async def find_handoff(connection: Connection, handoff_id: uuid.UUID) -> Waiting | None:
    """One hand-off, whatever its state."""
    row = await connection.fetchrow(_ONE, handoff_id)
    return None if row is None else Waiting(*row)
