"""Which points in the past a question is about, and a journey as it was there."""

from datetime import datetime
from typing import NamedTuple

import msgspec
from fastapi import Request
from starlette.exceptions import HTTPException

from api.access.caller import window_of
from api.access.redaction import Veil, refuse_veiled, veil_over
from api.context import Context, context_of
from api.http.times import instant
from audit.past import NoSuchPoint, Point, Recorded, check_point, fold_at, recorded_of, rules_known
from projections.identifiers import newest_key
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.playbook.rules import Rules
from projections.text import micros, time_text
from projections.views.journey import journey_view
from schemas.answers import journeys as answers
from store import identity as store


class Seen(NamedTuple):
    """A journey at a point in the past, or not there yet."""

    journey: Journey | None
    workspace: Workspace
    rules: Rules
    at: int  #: the time that it is seen at, in microseconds since 1970 UTC
    known_at: datetime | None

    def view(self) -> answers.Journey | None:
        """As it is shown."""
        return None if self.journey is None else journey_view(self.journey, self.rules, self.at)

    def view_known_at(self) -> answers.Journey | None:
        """As it is shown, with what the answer knows: by which time."""
        view = self.view()
        known_at = None if self.known_at is None else time_text(micros(self.known_at))
        return None if view is None else msgspec.structs.replace(view, known_at=known_at)


async def point_of(context: Context, at: datetime | None, known_at: datetime | None) -> Point:
    """A point in the past that there was. Raises HTTPException 422 for one in the future or before the log."""
    happened = None if at is None else micros(instant(at, "at"))
    point = Point(happened, None if known_at is None else instant(known_at, "known_at"))
    try:
        await check_point(context.pool, point, context.clock())
    except NoSuchPoint as error:
        raise HTTPException(422, str(error)) from error
    return point


async def as_of(context: Context, key: bytes, *points: Point) -> tuple[list[Recorded], list[Seen]]:
    """(all events of those who were ever tied to an identifier, its journey at each point)."""
    seen = []
    async with context.raw_pool.acquire() as connection:
        recorded, erased = await recorded_of(connection, context.rules, key)
        for point in points:
            rules = await rules_known(connection, context.agreed.first, point.known_at)
            workspace = fold_at(recorded, rules, point, erased)
            at = point.at if point.at is not None else context.clock()
            if point.at is None and point.known_at is not None:
                at = micros(point.known_at)
            newest = newest_key(key, workspace.register.releases)
            journey = workspace.journey_of(newest) or workspace.journey_of(key)
            seen.append(Seen(journey, workspace, workspace.rules, at, point.known_at))
    return recorded, seen


async def veil_of_today(request: Request, identifier: str, key: bytes, seen: list[Seen]) -> Veil:
    """What people consent to today decides what is hidden of their past, and who may ask for it. Raises Refused."""
    context, window = context_of(request), window_of(request)
    keys = {key, *(known for one in seen for known in one.workspace.home)}
    async with context.raw_pool.acquire() as connection:
        today = await store.load_tied(connection, context.rules, sorted(keys))
    newest = newest_key(key, today.register.releases)
    refuse_veiled(window, today.journey_of(newest) or today.journey_of(key), identifier, key)
    return veil_over(today, window)
