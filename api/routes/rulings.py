"""`POST /v1/identity/preview` and `/v1/identity/rulings`: what a ruling would move, and rulings."""

import uuid
from typing import Annotated, Literal

import msgspec
from fastapi import Body, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import caller_of, record, window_of
from api.access.redaction import refuse_veiled, veil_over
from api.context import Context, context_of
from api.http.answers import answer
from api.http.identifiers import key_of, newest_key_in_use
from api.http.parameters import Somebody
from api.http.problems import MEDIA_TYPE, as_problem
from api.http.strict_parameters import strict_router
from api.joint_events import NO_BROKER, NotPublished, publish_joint
from projections.identity.preview import Preview, preview
from projections.identity.register import Ruling
from projections.views.identity import preview_view
from schemas.answers.export import schema_of
from schemas.answers.identity import RulingPreview, RulingPublished, UnconfirmedRuling
from store import identity as store

router = strict_router("/v1/identity")

_TYPES = {"join": "identity_joined", "split": "identity_split", "release": "identifier_released"}


class RulingRequest(BaseModel):
    """A ruling: these are one person (join), are not (split), or belong to somebody else from now on (release)."""

    model_config = ConfigDict(strict=True, extra="forbid")

    ruling: Literal["join", "split", "release"]
    identifiers: Annotated[
        list[Annotated[str, Field(max_length=600, pattern=r"^[^\x00]*$")]], Field(min_length=1, max_length=32)
    ]
    reason: Annotated[str, Field(max_length=2048)] | None = None
    by: Somebody | None = None
    confirm: bool = False  #: move more than the playbook lets a ruling move unasked


@router.post("/preview", operation_id="preview_ruling", summary="Preview what a ruling would move")
async def preview_ruling(request: Request, wanted: Annotated[RulingRequest, Body()]) -> Response:
    """Nothing is published."""
    return answer((await _preview(request, wanted))[1])


@router.post(
    "/rulings",
    operation_id="publish_ruling",
    summary="Publish a ruling",
    status_code=201,
    responses={
        201: {"description": "Published; the preview says what it moves"},
        409: {
            "description": "It moves more than a ruling may move unasked: look at the preview, then set `confirm`",
            "content": {MEDIA_TYPE: {"schema": schema_of((UnconfirmedRuling,))}},
        },
        503: {"description": "The broker did not acknowledge; send the same ruling again"},
    },
)
async def publish_ruling(request: Request, wanted: Annotated[RulingRequest, Body()]) -> Response:
    """The ruling is an event in the joint topic: it holds as soon as the projector has read it."""
    context = context_of(request)
    if context.gateway is None:
        raise NotPublished("No broker", NO_BROKER, 60)
    preview, view = await _preview(request, wanted)
    fields = msgspec.structs.asdict(view)
    if preview.confirm and not wanted.confirm:
        moved = f"{preview.events_moved} events, {len(preview.before)} journeys become {len(preview.after)}"
        detail = f"the ruling moves much ({moved}): look at the preview, and confirm it"
        return as_problem(UnconfirmedRuling(title="Confirm", status=409, detail=detail, **fields), 409)
    caller = caller_of(request)
    by = wanted.by if caller is None else caller.name
    data = {name: value for name, value in (("reason", wanted.reason), ("by", by)) if value is not None}
    identities = [_identity(identifier, context) for identifier in wanted.identifiers]
    event = await publish_joint(context, _TYPES[wanted.ruling], data, identities, context.clock(), "`explain`")
    return answer(RulingPublished(event=event, **fields), 201)


def _identity(identifier: str, context: Context) -> dict[str, str]:
    key_of(identifier, context.rules)
    type_, _, value = identifier.partition(":")
    if type_ == "journey":
        raise HTTPException(422, "a ruling is about identifiers, not about journeys: name type:value")
    return {"type": type_, "value": value}


async def _preview(request: Request, wanted: RulingRequest) -> tuple[Preview, RulingPreview]:
    """What a join or split would move, taken now, and how it is shown. A release moves nothing that is known."""
    context, window = context_of(request), window_of(request)
    identities = [_identity(identifier, context) for identifier in wanted.identifiers]
    names = [f"{one['type']}:{one['value']}" for one in identities]
    keys = {name: key_of(name, context.rules) for name in names}
    if wanted.ruling != "release" and len(set(keys.values())) < 2:
        raise HTTPException(422, "a ruling is about two or more identifiers: name them")
    async with context.raw_pool.acquire() as connection:
        workspace = await store.load_tied(connection, context.rules, sorted(set(keys.values())))
    for name, key in keys.items():
        newest = newest_key_in_use(workspace, key)
        refuse_veiled(window, workspace.journey_of(newest), name, newest)
    veil = veil_over(workspace, window)
    if wanted.ruling == "release":
        found = Preview([], [], 0, confirm=False, warnings=[])
    else:
        order = (context.clock(), b"\xff" * 16, "tandem-api")
        ruling = Ruling(order, wanted.ruling == "join", tuple(sorted(set(keys.values()))))
        found = preview(workspace, ruling, context.rules)
    sides = [uuid.UUID(bytes=side.journey_id) for side in (*found.before, *found.after)]
    await record(request, sides, {"ruling": wanted.ruling, "identifiers": wanted.identifiers})
    return found, window.veil(preview_view(found), veil.names, veil.keep.union(map(str, sides)))
