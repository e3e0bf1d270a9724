"""The joint playbook over HTTP: what is in force, what is proposed, what people say of it; and what it would do.

Whatever is decided is an event in the joint topic. What could not count is refused before it is published; what both
departments send at the same moment is judged by the fold, and kept with the reason where it does not count.
"""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.on_behalf_of import speaker
from api.access.policy import PLANS_FOR
from api.context import Context, context_of
from api.http.answers import answer
from api.http.parameters import Somebody, Words
from api.http.strict_parameters import strict_router
from api.http.times import instant
from api.joint_events import publish_joint
from projections.playbook.model import InvalidPlaybook, to_yaml
from projections.playbook.proposals import Proposal, digest_of_text, objection, proposals_of, read_proposal, stray
from projections.text import micros
from projections.views.playbook import proposal_view, stray_view, terms_view
from schemas.answers.playbook import ProposalList, ProposalPublished
from schemas.departments import Department

router = strict_router("/v1/playbook")

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
    by: Somebody | None = None  #: of a token it is the subject


class DecisionRequest(BaseModel):
    """What one department says of a proposal."""

    model_config = ConfigDict(strict=True, extra="forbid")

    decision: Literal["approve", "reject", "comment"]
    department: Department | None = None
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None  #: of the text that is approved
    text: Words | None = None  #: the reason of a rejection, the comment
    by: Somebody | None = None


@router.get("", operation_id="get_playbook", summary="Get the playbook in force, now or at a time")
async def in_force(request: Request, at: Annotated[datetime | None, Query()] = None) -> Response:
    """With its text in YAML, and which playbooks are agreed to follow."""
    context = context_of(request)
    time = context.clock() if at is None else micros(instant(at, "at"))
    terms = context.rules.at(time)
    text = next((one.text for one in context.agreed.said if one.proposal == terms.proposal), None)
    return answer(terms_view(context.rules, time, context.agreed.sweeping, text or to_yaml(terms.playbook)))


@router.get("/proposals", operation_id="list_proposals", summary="List all proposals and what was said of them")
async def proposals(request: Request) -> Response:
    """The log of joint planning, in order. `stray`: words about proposals that do not exist."""
    context = context_of(request)
    items = [proposal_view(one, context.clock()) for one in _proposals(context)]
    return answer(ProposalList(items=items, stray=stray_view(stray(context.agreed.said))))


@router.get(
    "/proposals/{proposal}",
    operation_id="get_proposal",
    summary="Get one proposal, with its text",
    responses={404: {"description": "There is no such proposal, or it is not projected yet"}},
)
async def proposal(request: Request, proposal: uuid.UUID) -> Response:
    """`proposal` is the id of the event that proposed."""
    context = context_of(request)
    stated = _find(context, proposal)
    return answer(proposal_view(stated, context.clock(), stated.event.text))


@router.post(
    "/proposals",
    operation_id="propose_playbook",
    summary="Propose a playbook",
    status_code=201,
    responses={
        201: {"description": "Published: the event's id is the proposal's"},
        422: {"description": "It can never come into force; `detail` says where and why"},
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
        raise HTTPException(422, "effective_at is in the past: what has happened is judged by the rules of its time")
    data = {
        "digest": digest_of_text(wanted.playbook),
        "playbook": wanted.playbook,
        **speaker(request, wanted.department, wanted.by, PLANS_FOR),
        **({} if wanted.effective_at is None else {"effective_at": wanted.effective_at}),
        **({} if wanted.comment is None else {"comment": wanted.comment}),
    }
    event = await publish_joint(context, "playbook_proposed", data, [], now, "the proposals")
    return answer(ProposalPublished(event=event, proposal=event.id), 201)


@router.post(
    "/proposals/{proposal}/decisions",
    operation_id="decide_proposal",
    summary="Approve, reject or comment on a proposal",
    status_code=201,
    responses={
        201: {"description": "Published"},
        404: {"description": "There is no such proposal, or it is not projected yet"},
        409: {"description": "It would not count; `detail` says why"},
        503: {"description": "The broker did not acknowledge; look at the proposal before you send it again"},
    },
)
async def decide(request: Request, proposal: uuid.UUID, wanted: Annotated[DecisionRequest, Body()]) -> Response:
    """An approval is of the text with this digest; without one, of the text that the proposal has."""
    context = context_of(request)
    stated = _find(context, proposal)
    said_by = speaker(request, wanted.department, wanted.by, PLANS_FOR)
    type_, digest = _TYPES[wanted.decision], wanted.digest or stated.event.digest
    reason = objection(stated, type_, said_by["department"], digest)
    if reason is not None:
        raise HTTPException(409, f"the decision would not count: {reason}")
    if wanted.decision != "approve" and wanted.text is None:
        raise HTTPException(422, "text: say why, or what")
    data: dict[str, Any] = {"proposal": str(proposal), **said_by}
    if wanted.decision == "approve":
        data["digest"] = digest
    else:
        data["reason" if wanted.decision == "reject" else "comment"] = wanted.text
    event = await publish_joint(context, type_, data, [], context.clock(), "the proposal")
    return answer(ProposalPublished(event=event, proposal=str(proposal)), 201)


def _time(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise HTTPException(422, "effective_at: write a time as in 2026-03-01T00:00:00Z") from error
    return micros(instant(time, "effective_at"))


def _proposals(context: Context) -> list[Proposal]:
    return proposals_of(context.agreed.said, context.rules.playbook)


def _find(context: Context, proposal: uuid.UUID) -> Proposal:
    stated = next((one for one in _proposals(context) if one.event.proposal == proposal.bytes), None)
    if stated is None:
        raise HTTPException(404, f"there is no proposal {proposal}, or none that has been projected yet")
    return stated
