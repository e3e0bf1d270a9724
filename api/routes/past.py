"""The past over HTTP: a journey as of a time, what made the difference between two, and why it is in its stages."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from fastapi import Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import record, window_of
from api.access.redaction import Veil, refuse_veiled, veil_over
from api.context import Context, context_of
from api.http.identifiers import key_of
from api.http.strict_parameters import strict_router
from api.http.times import instant
from audit.difference import difference
from audit.past import NoSuchPoint, Point, Recorded, check_point, distinct, fold_at, recorded_of, rules_known
from projections.fold import subject_of
from projections.identifiers import key_at
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.journey.life import copy_of
from projections.journey.lifecycle import advance
from projections.playbook.rules import Rules
from projections.text import id_text, micros, time_text
from projections.views.journey import journey_view
from projections.views.reasons import Reason, reasons_of
from schemas.times import NEVER
from store import identity as store

router = strict_router("/v1")

Time = Annotated[datetime | None, Query()]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Seen(NamedTuple):
    """A journey at a point in the past, or not there yet."""

    journey: Journey | None
    workspace: Workspace
    rules: Rules
    at: int  #: the time that it is seen at, in microseconds since 1970 UTC

    def view(self) -> dict[str, Any] | None:
        """As a JSON object."""
        return None if self.journey is None else journey_view(self.journey, self.rules, self.at)


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


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
    found = []
    async with context.raw_pool.acquire() as connection:
        recorded, erased = await recorded_of(connection, context.rules, key)
        for point in points:
            rules = await rules_known(connection, context.agreed.first, point.known_at)
            workspace = fold_at(recorded, rules, point, erased)
            at = point.at if point.at is not None else context.clock()
            if point.at is None and point.known_at is not None:
                at = micros(point.known_at)
            newest = key_at(key, NEVER, workspace.register.releases)
            journey = workspace.journey_of(newest) or workspace.journey_of(key)
            found.append(Seen(journey, workspace, workspace.rules, at))
    return recorded, found


async def journey_as_of(request: Request, identifier: str, at: datetime | None, known_at: datetime | None) -> Response:
    """A journey at a point in the past, through the caller's window."""
    context = context_of(request)
    key = key_of(identifier, context.rules)
    point = await point_of(context, at, known_at)
    _, [seen] = await as_of(context, key, point)
    veil = await _veil_of_today(request, identifier, key, [seen])
    view = seen.view()
    if view is None:
        raise HTTPException(404, f"no event has named {identifier} by then")
    view["known_at"] = None if point.known_at is None else time_text(micros(point.known_at))
    await record(request, [view["journey_id"]])
    return _json(window_of(request).veil(view, *veil))


async def _veil_of_today(request: Request, identifier: str, key: bytes, seen: list[Seen]) -> Veil:
    """What people consent to today decides what is hidden of their past, and who may ask for it. Raises Refused."""
    context, window = context_of(request), window_of(request)
    keys = {key, *(known for one in seen for known in one.workspace.home)}
    async with context.raw_pool.acquire() as connection:
        today = await store.load_tied(connection, context.rules, sorted(keys))
    newest = key_at(key, NEVER, today.register.releases)
    refuse_veiled(window, today.journey_of(newest) or today.journey_of(key), identifier, key)
    return veil_over(today, window)


@router.get("/diff/{identifier:path}", summary="What changed in a journey between two times, and which events did it")
async def diff(
    request: Request,
    identifier: str,
    start: Annotated[datetime, Query(alias="from")],
    end: Annotated[datetime | None, Query(alias="to")] = None,
    axis: Annotated[Literal["true", "known"], Query()] = "true",
) -> Response:
    """`axis=true`: what was true at both times, by all that is known today; `axis=known`: what Tandem knew then."""
    context = context_of(request)
    key = key_of(identifier, context.rules)
    end = end or _EPOCH + timedelta(microseconds=context.clock())
    if instant(end, "to") < instant(start, "from"):
        raise HTTPException(422, "to lies before from: turn the two around")
    points = [await point_of(context, *((time, None) if axis == "true" else (None, time))) for time in (start, end)]
    recorded, (before, now) = await as_of(context, key, *points)
    veil = await _veil_of_today(request, identifier, key, [before, now])
    if before.journey is None and now.journey is None:
        raise HTTPException(404, f"no event has named {identifier} by then")
    members = {known for seen in (before, now) if seen.journey is not None for known in seen.journey.identifiers}
    window = window_of(request)
    shown = [None if (view := seen.view()) is None else window.veil(view, *veil) for seen in (before, now)]
    ids = {view["journey_id"] for seen in (before, now) if (view := seen.view()) is not None}
    await record(request, ids)
    return _json(
        {
            "axis": axis,
            "from": time_text(micros(instant(start, "from"))),
            "to": time_text(micros(instant(end, "to"))),
            "differences": difference(*shown),
            "events": _made_it(recorded, points, members, context.rules),
            **({"hidden": shown[1]["hidden"]} if shown[1] and "hidden" in shown[1] else {}),
        }
    )


def _made_it(
    recorded: Collection[Recorded], points: list[Point], members: set[bytes], rules: Rules
) -> list[dict[str, Any]]:
    """The events that one point has and the other has not, of the people concerned."""
    one, other = ({(e.event.id, e.event.source): e for e in distinct(recorded, point)} for point in points)
    found = []
    for key in one.keys() ^ other.keys():
        event = one.get(key) or other[key]
        subject = subject_of(event.event, rules)
        if subject is not None and any(person.key in members for person in subject.persons):
            found.append((event, key in other))
    found.sort(key=lambda entry: (entry[0].event.occurred_at, entry[0].event.id))
    return [event_view(event) | {"added": added} for event, added in found]


def event_view(one: Recorded) -> dict[str, Any]:
    """An event and where it lies, without what is in it."""
    return {
        "id": id_text(one.event.id),
        "source": one.event.source,
        "type": one.event.type,
        "occurred_at": time_text(one.event.occurred_at),
        "committed_at": time_text(micros(one.committed_at)),
        "topic": one.partition.topic,
        "partition": one.partition.partition,
        "offset": one.archived.offset,
    }


@router.get("/explain/{identifier:path}", summary="Why a journey is in its stages: events, rules, playbook")
async def explain_journey(
    request: Request, identifier: str, stage: Annotated[str | None, Query(max_length=64)] = None
) -> Response:
    """For each stage, or one: the event with its place in the log, the rule in words, and the playbook in force."""
    context = context_of(request)
    key = key_of(identifier, context.rules)
    journey = await context.lookup.journey(key)
    if journey is None or journey.life is None:
        raise HTTPException(404, f"no event has named {identifier}")
    refuse_veiled(window_of(request), journey, identifier, key)
    if stage is not None and stage not in context.rules.names:
        raise HTTPException(422, f"there is no stage {stage!r}: choose one of {', '.join(context.rules.names)}")
    life = copy_of(journey.life)
    advance(life, context.clock(), context.rules)
    items = []
    async with context.raw_pool.acquire() as connection:
        for reason in reasons_of(journey, life, context.rules):
            name = context.rules.names[reason.entry.stage]
            if stage is None or name == stage:
                found = None
                if reason.entry.id is not None and reason.entry.source is not None:
                    found = await store.find_event(connection, reason.entry.id, reason.entry.source)
                items.append(_reason_view(reason, name, found))
    journey_id = id_text(journey.journey_id)
    await record(request, [journey_id])
    return _json({"journey_id": journey_id, "stages": items})


def _reason_view(reason: Reason, stage: str, found: store.LoggedEvent | None) -> dict[str, Any]:
    entry, terms = reason.entry, reason.terms
    return {
        "stage": stage,
        "at": time_text(entry.at),
        "because": reason.because,
        "event": None
        if entry.id is None
        else {
            "id": id_text(entry.id),
            "source": entry.source,
            "type": None if found is None else found.event.type,
            "topic": None if found is None else found.topic,
            "partition": None if found is None else found.partition,
            "offset": None if found is None else found.offset,
        },
        "playbook": {
            "digest": terms.digest,
            "proposal": None if terms.proposal is None else id_text(terms.proposal),
            "in_force_since": None if terms.proposal is None else time_text(terms.since),
        },
    }
