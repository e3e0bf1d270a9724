"""Hand-offs over HTTP: the queue, one of them with its history, and decisions; and audiences."""

import base64
import uuid
from typing import Annotated, Any, Literal

import orjson
from fastapi import Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import record, window_of
from api.access.on_behalf_of import Department, speaker
from api.access.policy import DEPARTMENTS
from api.context import Context, context_of
from api.http.problems import problem
from api.http.strict_parameters import strict_router
from projections.journey.handoffs import ACCEPTED, OFFERED, SUPERSEDED, Handoff, Happening, happenings
from projections.journey.journey import Journey, decode_journey
from projections.journey.life import copy_of
from projections.journey.lifecycle import advance
from projections.text import time_text
from projections.views.feed import feed_journey_view
from projections.views.handoffs import handoff_view
from projections.views.summary import contact_view
from store import audiences as audience_store
from store import handoffs as store
from store.handoff_report import handoff_report
from store.handoffs import Waiting
from streams.gateway import BrokerUnavailable

router = strict_router("/v1")

Limit = Annotated[int, Query(ge=1, le=200)]
Name = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str | None, Query(max_length=128)]
Words = Annotated[str, Field(min_length=1, max_length=2048)]
_TYPES = {"accept": "handoff_accepted", "reject": "handoff_rejected", "withdraw": "handoff_withdrawn"}
_WRONG_CURSOR = "the cursor is none that this API gave out"
_FIRST = uuid.UUID(int=0)


class HandoffDecision(BaseModel):
    """What one department decides about a hand-off."""

    model_config = ConfigDict(strict=True, extra="forbid")

    decision: Literal["accept", "reject", "withdraw"]
    department: Department | None = None
    reason: Words | None = None
    by: Annotated[str, Field(min_length=1, max_length=256)] | None = None


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


@router.get("/handoffs", summary="Hand-offs that wait for somebody, the most overdue first")
async def queue(
    request: Request,
    team: Name = None,
    kind: Name = None,
    overdue: bool = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """By the deadline that they wait for; those without one come last. `overdue`: only those that missed theirs."""
    context = context_of(request)
    at = context.clock()
    async with context.pool.acquire() as connection:
        found = await store.queue(connection, at, team, kind, overdue, _after(cursor), limit + 1)
    items = [item for one in found[:limit] if (item := _item(one, context, at)) is not None]
    await record(request, [item["journey"]["journey_id"] for item in items])
    next_ = _cursor(found[limit - 1]) if len(found) > limit else None
    return _json(window_of(request).show({"items": items, "next_cursor": next_}))


@router.get("/handoffs/report", summary="How hand-offs went, by kind and tier")
async def report(request: Request) -> Response:
    """Offered, accepted, rejected, resolved, expired; deadlines met and missed by now. Superseded ones do not count."""
    context = context_of(request)
    async with context.pool.acquire() as connection:
        items = await handoff_report(connection, context.clock())
    return _json({"items": items})


@router.get("/handoffs/{handoff}", summary="One hand-off, with what happened to it")
async def handoff(request: Request, handoff: uuid.UUID) -> Response:
    """`history`: all that has happened to it, in order."""
    context = context_of(request)
    at = context.clock()
    found = await _find(context, handoff)
    item = _item(found, context, at)
    if item is None:
        raise HTTPException(404, f"there is no hand-off {handoff}")
    one = _handoff_of(found, context, at)
    assert one is not None, "it was shown"
    item["history"] = [_happening(happening) for happening in happenings(one) if happening.at <= at]
    await record(request, [item["journey"]["journey_id"]])
    return _json(window_of(request).show(item))


@router.post(
    "/handoffs/{handoff}/decisions",
    summary="Accept, reject or withdraw a hand-off",
    responses={
        201: {"description": "Published as a joint event"},
        409: {"description": "It would not count; the answer says why"},
        503: {"description": "The broker did not acknowledge; look at the hand-off before you send it again"},
    },
)
async def decide(request: Request, handoff: uuid.UUID, wanted: Annotated[HandoffDecision, Body()]) -> Response:
    """Who receives accepts or rejects, who gave withdraws. The fold decides what counts, by the time it happened."""
    context = context_of(request)
    said_by = speaker(request, wanted.department, wanted.by, DEPARTMENTS)
    found = await _find(context, handoff)
    one = _handoff_of(found, context, context.clock())
    if one is None:
        raise HTTPException(404, f"there is no hand-off {handoff}")
    _refuse_void(one, wanted.decision, said_by, context)
    if wanted.decision == "reject" and wanted.reason is None:
        raise HTTPException(422, "reason: say why")
    data: dict[str, Any] = {"handoff": str(handoff), **said_by}
    if wanted.reason is not None:
        data["reason"] = wanted.reason
    identities = [_identity(decode_journey(found.journey_id.bytes, 0, found.state))]
    await record(request, [found.journey_id])
    return await _publish(context, _TYPES[wanted.decision], data, identities)


def _refuse_void(one: Handoff, decision: str, said_by: dict[str, str], context: Context) -> None:
    """Raises HTTPException where the decision would not count."""
    side = one.from_ if decision == "withdraw" else one.to
    if said_by["department"] != side:
        raise HTTPException(409, f"it is {side}'s to {decision}")
    terms = context.rules.at(context.clock()).handoffs
    kind = None if terms is None else terms.kinds.get(one.kind)
    if decision != "withdraw" and kind is not None and kind.members and said_by["by"] not in kind.members:
        raise HTTPException(409, f"{said_by['by']} is not of the team {one.team}")
    fitting = {"accept": (OFFERED, SUPERSEDED), "reject": (OFFERED,), "withdraw": (OFFERED, ACCEPTED)}
    if one.state not in fitting[decision]:
        view = handoff_view(one, context.clock()) or {"state": "not offered yet"}
        raise HTTPException(409, f"the hand-off is {view['state']}: it cannot be {_TYPES[decision].partition('_')[2]}")


def _identity(journey: Journey) -> dict[str, str]:
    """One identifier that finds the journey: its own first one."""
    known = journey.identifiers.get(journey.journey_id) or min(journey.identifiers.values())
    return {"type": known.type, "value": known.value}


def _handoff_of(found: Waiting, context: Context, at: int) -> Handoff | None:
    journey = decode_journey(found.journey_id.bytes, 0, found.state)
    assert journey.life is not None, "a stored journey has a lifecycle"
    life = copy_of(journey.life)
    advance(life, at, context.rules)
    return next((one for one in life.handoffs if one.id == found.handoff_id.bytes), None)


def _item(found: Waiting, context: Context, at: int) -> dict[str, Any] | None:
    one = _handoff_of(found, context, at)
    view = None if one is None else handoff_view(one, at)
    if view is None:
        return None
    return {"handoff": view, "journey": {"journey_id": str(found.journey_id), **contact_view(found.state)}}


def _happening(happening: Happening) -> dict[str, Any]:
    return {"at": time_text(happening.at), "what": happening.what, "by_time": happening.by_time}


async def _find(context: Context, handoff: uuid.UUID) -> Waiting:
    async with context.pool.acquire() as connection:
        found = await store.find_handoff(connection, handoff)
    if found is None:
        raise HTTPException(404, f"there is no hand-off {handoff}")
    return found


def _cursor(last: Waiting) -> str:
    return base64.urlsafe_b64encode(last.due_at.to_bytes(8, "big") + last.handoff_id.bytes).decode().rstrip("=")


def _after(cursor: str | None) -> tuple[int, uuid.UUID] | None:
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "==")
        return int.from_bytes(raw[:8], "big", signed=True), uuid.UUID(bytes=raw[8:])
    except (ValueError, UnicodeEncodeError) as error:
        raise HTTPException(422, _WRONG_CURSOR) from error


async def _publish(context: Context, type_: str, data: dict[str, Any], identities: list[dict[str, str]]) -> Response:
    if context.gateway is None:
        return problem(503, "No broker", "this API was started without a broker", Retry_After="60")
    event = {
        "id": str(uuid.uuid4()),
        "type": type_,
        "source": "tandem-api",
        "occurred_at": time_text(context.clock()),
        "identities": identities,
        "data": data,
    }
    try:
        [answer] = await context.gateway.publish("joint", orjson.dumps(event))
    except BrokerUnavailable as error:
        detail = f"{error}. It may count all the same: look at the hand-off before you send it again"
        return problem(503, "Broker unavailable", detail, Retry_After="1")
    if answer["status"] != "accepted":
        raise HTTPException(422, answer["message"])
    return _json({"event": answer, "handoff": data["handoff"]}, 201)


@router.get("/audiences", summary="The playbook's audiences, and how many are in each")
async def audiences(request: Request) -> Response:
    """As of now."""
    context = context_of(request)
    at = context.clock()
    async with context.pool.acquire() as connection:
        sizes = await audience_store.audience_sizes(connection, at)
    items = [
        {
            "audience": one.name,
            "members": sizes.get(one.name, 0),
            "stages": [context.rules.names[n] for n in sorted(one.stages)],
        }
        for one in context.rules.at(at).audiences
    ]
    return _json({"items": items})


@router.get("/audiences/{name}", summary="Who is in an audience, in pages")
async def members(request: Request, name: str, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Journeys in short, with identifiers and consent, in the order of their ids."""
    context = context_of(request)
    at = context.clock()
    if name not in {one.name for one in context.rules.at(at).audiences}:
        raise HTTPException(404, f"the playbook has no audience {name[:64]!r}")
    try:
        after = _FIRST if cursor is None else uuid.UUID(cursor)
    except ValueError as error:
        raise HTTPException(422, _WRONG_CURSOR) from error
    async with context.pool.acquire() as connection:
        found = await audience_store.audience_members(connection, at, name, after, limit + 1)
    items = [feed_journey_view(journey, context.rules, at) for journey in found[:limit]]
    await record(request, [item["journey_id"] for item in items])
    next_ = items[-1]["journey_id"] if len(found) > limit else None
    return _json(window_of(request).show({"items": items, "next_cursor": next_}))
