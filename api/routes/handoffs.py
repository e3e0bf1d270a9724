"""`/v1/handoffs`: the queue, one hand-off with its history, the report, and decisions."""

import uuid
from typing import Annotated, Any, Literal

from fastapi import Body, Request
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import record, window_of
from api.access.on_behalf_of import speaker
from api.access.policy import DEPARTMENTS
from api.context import Context, context_of
from api.http.answers import answer
from api.http.cursors import cursor_of, place_of
from api.http.parameters import Cursor, Limit, Name, Somebody, Words
from api.http.strict_parameters import strict_router
from api.joint_events import publish_joint
from projections.journey.handoff_steps import Decision, objection
from projections.journey.handoffs import Handoff, Happening, happenings
from projections.journey.journey import Journey, decode_journey
from projections.journey.life import Lifecycle, copy_of
from projections.journey.lifecycle import advance
from projections.playbook.rules import Rules
from projections.text import time_text
from projections.views.handoffs import handoff_view
from projections.views.summary import contact_view
from schemas.answers import handoffs as answers
from schemas.departments import Department
from store import handoffs as store
from store.handoff_report import handoff_report
from store.handoffs import Waiting

router = strict_router("/v1")

_TYPES = {"accept": "handoff_accepted", "reject": "handoff_rejected", "withdraw": "handoff_withdrawn"}


class HandoffDecision(BaseModel):
    """What one department decides about a hand-off."""

    model_config = ConfigDict(strict=True, extra="forbid")

    decision: Literal["accept", "reject", "withdraw"]
    department: Department | None = None
    reason: Words | None = None
    by: Somebody | None = None


@router.get("/handoffs", operation_id="list_handoffs", summary="List open hand-offs, the most overdue first")
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
        waiting = await store.queue(connection, at, team, kind, overdue, _behind(cursor), limit + 1)
    items = [item for one in waiting[:limit] if (item := _item(one, context.rules, at)) is not None]
    await record(request, [item.journey.journey_id for item in items])
    more = _cursor(waiting[limit - 1]) if len(waiting) > limit else None
    return answer(window_of(request).show(answers.HandoffPage(items=items, next_cursor=more)))


@router.get("/handoffs/report", operation_id="get_handoff_report", summary="Report how hand-offs went")
async def report(request: Request) -> Response:
    """By kind and tier: deadlines met and missed by now. Superseded hand-offs do not count."""
    context = context_of(request)
    async with context.pool.acquire() as connection:
        items = await handoff_report(connection, context.clock())
    return answer(answers.HandoffReport(items=items))


@router.get(
    "/handoffs/{handoff}",
    operation_id="get_handoff",
    summary="Get one hand-off, with what happened to it",
    responses={404: {"description": "There is no such hand-off"}},
)
async def handoff(request: Request, handoff: uuid.UUID) -> Response:
    """`history`: all that has happened to it, in order."""
    context = context_of(request)
    at = context.clock()
    waiting = await _find(context, handoff)
    item, one = _item(waiting, context.rules, at), _handoff_of(waiting, _life_at(waiting, context.rules, at))
    if item is None or one is None:
        raise HTTPException(404, f"there is no hand-off {handoff}")
    history = [_happening(happening) for happening in happenings(one) if happening.at <= at]
    await record(request, [item.journey.journey_id])
    details = answers.HandoffDetails(handoff=item.handoff, journey=item.journey, history=history)
    return answer(window_of(request).show(details))


@router.post(
    "/handoffs/{handoff}/decisions",
    operation_id="decide_handoff",
    summary="Accept, reject or withdraw a hand-off",
    status_code=201,
    responses={
        201: {"description": "Published as a joint event"},
        404: {"description": "There is no such hand-off"},
        409: {"description": "It would not count; `detail` says why"},
        503: {"description": "The broker did not acknowledge; look at the hand-off before you send it again"},
    },
)
async def decide(request: Request, handoff: uuid.UUID, wanted: Annotated[HandoffDecision, Body()]) -> Response:
    """The department that receives accepts or rejects, the one that offers withdraws.

    The projection decides what counts, by the time of the decision.
    """
    context = context_of(request)
    said_by = speaker(request, wanted.department, wanted.by, DEPARTMENTS)
    waiting, at = await _find(context, handoff), context.clock()
    life = _life_at(waiting, context.rules, at)
    if _handoff_of(waiting, life) is None:
        raise HTTPException(404, f"there is no hand-off {handoff}")
    decision = Decision(str(handoff), _TYPES[wanted.decision], said_by["department"], said_by["by"])
    reason = objection(life.handoffs, decision, context.rules.at(at).handoffs)
    if reason is not None:
        raise HTTPException(409, f"the decision would not count: {reason}")
    if wanted.decision == "reject" and wanted.reason is None:
        raise HTTPException(422, "reason: say why")
    data: dict[str, Any] = {"handoff": str(handoff), **said_by}
    if wanted.reason is not None:
        data["reason"] = wanted.reason
    identities = [_identity(decode_journey(waiting.journey_id.bytes, 0, waiting.state))]
    await record(request, [waiting.journey_id])
    event = await publish_joint(context, decision.type, data, identities, at, "the hand-off")
    return answer(answers.HandoffDecided(event=event, handoff=str(handoff)), 201)


def _identity(journey: Journey) -> dict[str, str]:
    """One identifier that finds the journey: its own first one."""
    known = journey.identifiers.get(journey.journey_id) or min(journey.identifiers.values())
    return {"type": known.type, "value": known.value}


def _life_at(waiting: Waiting, rules: Rules, at: int) -> Lifecycle:
    """The lifecycle of a hand-off's journey at a time, microseconds since 1970 UTC."""
    journey = decode_journey(waiting.journey_id.bytes, 0, waiting.state)
    assert journey.life is not None, "a stored journey has a lifecycle"
    life = copy_of(journey.life)
    advance(life, at, rules)
    return life


def _handoff_of(waiting: Waiting, life: Lifecycle) -> Handoff | None:
    return next((one for one in life.handoffs if one.id == waiting.handoff_id.bytes), None)


def _item(waiting: Waiting, rules: Rules, at: int) -> answers.HandoffItem | None:
    one = _handoff_of(waiting, _life_at(waiting, rules, at))
    view = None if one is None else handoff_view(one, at)
    if view is None:
        return None
    return answers.HandoffItem(handoff=view, journey=contact_view(waiting.journey_id, waiting.state))


def _happening(happening: Happening) -> answers.Happening:
    return answers.Happening(at=time_text(happening.at), what=happening.what, by_time=happening.by_time)


async def _find(context: Context, handoff: uuid.UUID) -> Waiting:
    async with context.pool.acquire() as connection:
        waiting = await store.find_handoff(connection, handoff)
    if waiting is None:
        raise HTTPException(404, f"there is no hand-off {handoff}")
    return waiting


def _cursor(last: Waiting) -> str:
    return cursor_of(last.due_at.to_bytes(8, "big") + last.handoff_id.bytes)


def _behind(cursor: str | None) -> tuple[int, uuid.UUID] | None:
    if cursor is None:
        return None
    place = place_of(cursor, 24)
    return int.from_bytes(place[:8], "big", signed=True), uuid.UUID(bytes=place[8:])
