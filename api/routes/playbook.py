"""The joint playbook over HTTP: what is in force, what is proposed, what people say of it; and what it would do.

Whatever is decided is an event in the joint topic. What could not count is refused before it is published; what both
departments send at the same moment is judged by the fold, and kept with the reason where it does not count.
"""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.on_behalf_of import Department, speaker
from api.access.policy import PLANS_FOR
from api.context import Context, context_of
from api.http.problems import problem
from api.http.strict_parameters import strict_router
from api.http.times import instant
from projections.playbook.model import InvalidPlaybook, to_yaml
from projections.playbook.proposals import Proposal, digest_of_text, proposals_of, read_proposal, stray
from projections.text import micros, time_text
from projections.views.playbook import proposal_view, state_of, stray_view, terms_view
from streams.gateway import BrokerUnavailable

router = strict_router("/v1/playbook")

By = Annotated[str, Field(min_length=1, max_length=256)]
Words = Annotated[str, Field(min_length=1, max_length=2048)]
PlaybookText = Annotated[str, Field(max_length=262_144)]
_TYPES = {"approve": "playbook_approved", "reject": "playbook_rejected", "comment": "playbook_commented"}


class ProposalRequest(BaseModel):
    """A playbook that one department proposes."""

    model_config = ConfigDict(strict=True, extra="forbid")

    playbook: PlaybookText  #: YAML
    department: Department | None = None  #: may be left out by who plans for one department only
    effective_at: Annotated[str, Field(max_length=40)] | None = (
        None  #: RFC 3339; at once, when both have approved, without
    )
    comment: Words | None = None
    by: By | None = None  #: of a token it is the subject


class DecisionRequest(BaseModel):
    """What one department says of a proposal."""

    model_config = ConfigDict(strict=True, extra="forbid")

    decision: Literal["approve", "reject", "comment"]
    department: Department | None = None
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None  #: of the text that is approved
    text: Words | None = None  #: the reason of a rejection, the comment
    by: By | None = None


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


@router.get("", summary="The playbook in force, now or at a time")
async def in_force(request: Request, at: Annotated[datetime | None, Query()] = None) -> Response:
    """With its text in YAML, and which playbooks are agreed to follow."""
    context = context_of(request)
    time = context.clock() if at is None else micros(instant(at, "at"))
    rules, terms = context.rules, context.rules.at(time)
    text = next((one.text for one in context.agreed.said if one.proposal == terms.proposal), None)
    view = terms_view(rules, time) | {"following": context.agreed.sweeping, "playbook": text or to_yaml(terms.playbook)}
    return _json(view)


@router.get("/proposals", summary="All proposals and what was said of them: the log of joint planning")
async def proposals(request: Request) -> Response:
    """In the order in which they were proposed. `stray`: words about proposals that there are none of."""
    context = context_of(request)
    items = [proposal_view(one, context.clock()) for one in _proposals(context)]
    return _json({"items": items, "stray": stray_view(stray(context.agreed.said))})


@router.get("/proposals/{proposal}", summary="One proposal, with its text")
async def proposal(request: Request, proposal: uuid.UUID) -> Response:
    """`proposal` is the id of the event that proposed."""
    context = context_of(request)
    found = _find(context, proposal)
    return _json(proposal_view(found, context.clock()) | {"playbook": found.event.text})


@router.post(
    "/proposals",
    summary="Propose a playbook",
    responses={
        201: {"description": "Published: the event's id is the proposal's"},
        422: {"description": "It can never come into force; the answer says where and why"},
        503: {"description": "The broker did not acknowledge; look at the proposals before you send it again"},
    },
)
async def propose(request: Request, wanted: Annotated[ProposalRequest, Body()]) -> Response:
    """It comes into force once both departments have approved it, from its effective time on."""
    context = context_of(request)
    now = context.clock()
    try:
        read_proposal(wanted.playbook, context.rules.playbook)
    except InvalidPlaybook as error:
        raise HTTPException(422, str(error)) from error
    if wanted.effective_at is not None and _time(wanted.effective_at) < now:
        raise HTTPException(422, "effective_at lies in the past: what has happened is judged by the rules of its time")
    data = {
        "digest": digest_of_text(wanted.playbook),
        "playbook": wanted.playbook,
        **speaker(request, wanted.department, wanted.by, PLANS_FOR),
        **({} if wanted.effective_at is None else {"effective_at": wanted.effective_at}),
        **({} if wanted.comment is None else {"comment": wanted.comment}),
    }
    return await _publish(context, "playbook_proposed", data, now)


@router.post(
    "/proposals/{proposal}/decisions",
    summary="Approve, reject or comment on a proposal",
    responses={
        201: {"description": "Published"},
        409: {"description": "It would not count; the answer says why"},
        503: {"description": "The broker did not acknowledge; look at the proposal before you send it again"},
    },
)
async def decide(request: Request, proposal: uuid.UUID, wanted: Annotated[DecisionRequest, Body()]) -> Response:
    """An approval is of the text with this digest; without one, of the text that the proposal has."""
    context = context_of(request)
    found = _find(context, proposal)
    said_by = speaker(request, wanted.department, wanted.by, PLANS_FOR)
    if wanted.decision != "comment":
        _refuse_void(found, wanted, said_by["department"], context.clock())
    if wanted.decision != "approve" and wanted.text is None:
        raise HTTPException(422, "text: say why, or what")
    data: dict[str, Any] = {"proposal": str(proposal), **said_by}
    if wanted.decision == "approve":
        data["digest"] = wanted.digest or found.event.digest
    else:
        data["reason" if wanted.decision == "reject" else "comment"] = wanted.text
    return await _publish(context, _TYPES[wanted.decision], data, context.clock())


def _refuse_void(found: Proposal, wanted: DecisionRequest, department: str, now: int) -> None:
    """Raises HTTPException where the decision would not count."""
    state = state_of(found, now)
    if state != "open":
        raise HTTPException(409, f"the proposal is {state}: nothing is to be decided any more")
    if wanted.decision == "approve" and department in found.approved:
        raise HTTPException(409, f"{department} has approved it already")
    if wanted.decision == "approve" and wanted.digest not in (None, found.event.digest):
        raise HTTPException(409, f"the proposal's text has the digest {found.event.digest}: look at it again")


def _time(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise HTTPException(422, "effective_at: write a time as in 2026-03-01T00:00:00Z") from error
    return micros(instant(found, "effective_at"))


def _proposals(context: Context) -> list[Proposal]:
    return proposals_of(context.agreed.said, context.rules.playbook)


def _find(context: Context, proposal: uuid.UUID) -> Proposal:
    found = next((one for one in _proposals(context) if one.event.proposal == proposal.bytes), None)
    if found is None:
        raise HTTPException(404, f"there is no proposal {proposal}, or none that has been projected yet")
    return found


async def _publish(context: Context, type_: str, data: dict[str, Any], now: int) -> Response:
    if context.gateway is None:
        return problem(503, "No broker", "this API was started without a broker", Retry_After="60")
    event = {
        "id": str(uuid.uuid4()),
        "type": type_,
        "source": "tandem-api",
        "occurred_at": time_text(now),
        "identities": [],
        "data": data,
    }
    try:
        [answer] = await context.gateway.publish("joint", orjson.dumps(event))
    except BrokerUnavailable as error:
        detail = f"{error}. It may count all the same: look at the proposals before you send it again"
        return problem(503, "Broker unavailable", detail, Retry_After="1")
    if answer["status"] != "accepted":
        raise HTTPException(422, answer["message"])
    return _json({"event": answer, "proposal": data.get("proposal", event["id"])}, 201)
