"""Identity over HTTP: who is who, why, since when; and rulings, with what they would move."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import caller_of, record, window_of
from api.access.redaction import Veil, merged, refuse_veiled, veil_over
from api.context import Context, context_of
from api.http.identifiers import key_of
from api.http.problems import problem
from api.http.strict_parameters import strict_router
from api.routes.past import point_of
from audit.past import NOW, fold_at, recorded_of, rules_known
from projections.identifiers import key_at
from projections.identity.explain import Explanation, Step, explain
from projections.identity.preview import Preview, preview
from projections.identity.register import Ruling
from projections.identity.workspace import Workspace
from projections.journey.links import QUARANTINED
from projections.text import id_text, micros, time_text
from projections.views.identity import AUTHORITIES, identity_view, preview_view, reason_text
from schemas.event import Order
from store import identity as store
from store.session import Connection
from streams.gateway import BrokerUnavailable

router = strict_router("/v1/identity")

_Identifier = Annotated[str, Field(max_length=600, pattern=r"^[^\x00]*$")]
Identifier = Annotated[str, Query(max_length=600, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str | None, Query(max_length=64)]
Limit = Annotated[int, Query(ge=1, le=200)]
_WRONG_CURSOR = "the cursor is none that this API gave out"
_JOINT = {"join": "identity_joined", "split": "identity_split", "release": "identifier_released"}


class RulingRequest(BaseModel):
    """A ruling: these are one person (join), are not (split), or belong to somebody else from now on (release)."""

    model_config = ConfigDict(strict=True, extra="forbid")

    ruling: Literal["join", "split", "release"]
    identifiers: Annotated[list[_Identifier], Field(min_length=1, max_length=32)]
    reason: Annotated[str, Field(max_length=2048)] | None = None
    by: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    confirm: bool = False  #: move more than the playbook lets a ruling move unasked


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


@router.get("/conflicts", summary="Links that were refused, for people to look at")
async def conflicts(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """In the order of journeys; each link once. `next_cursor` is null on the last page."""
    context = context_of(request)
    window = window_of(request)
    first, given = _conflict_after(cursor)
    items: list[tuple[str, dict[str, Any]]] = []
    veils: list[Veil] = []
    async with context.raw_pool.acquire() as connection:
        start: bytes | None = first
        while start is not None and len(items) <= limit:
            ids = await store.conflicting(connection, start, limit)
            workspace = await store.load_tied(connection, context.rules, ids)
            veils.append(veil_over(workspace, window))
            for journey_id in ids:
                for number, one in enumerate(_own_conflicts(workspace, journey_id)):
                    if journey_id != first or number >= given:
                        items.append((f"{journey_id.hex()}.{number + 1}", _conflict(workspace, one)))
            start = _next_key(ids[-1]) if len(ids) == limit else None
    page = items[:limit]
    await record(request, {journey for _, item in page for journey in item["journeys"]})
    body = {"items": [item for _, item in page], "next_cursor": page[-1][0] if len(items) > limit else None}
    return _json(window.veil(body, *merged(veils)))


def _conflict_after(cursor: str | None) -> tuple[bytes, int]:
    """(the journey to go on with, how many of its conflicts were given)."""
    journey, _, number = (cursor or f"{'00' * 16}.0").partition(".")
    if not number.isascii() or not number.isdigit():
        raise HTTPException(422, _WRONG_CURSOR)
    return _after(journey), int(number)


def _next_key(key: bytes) -> bytes | None:
    following = int.from_bytes(key, "big") + 1
    return following.to_bytes(16, "big") if following < 1 << 128 else None


def _own_conflicts(workspace: Workspace, journey_id: bytes) -> list[Step]:
    journey = workspace.journeys.get(journey_id)
    if journey is None:
        return []
    own = [link for link in sorted(journey.refused) if link.refused != QUARANTINED and link.a in journey.identifiers]
    return [Step(link.a, link.b, link.authority, link.order, link.refused) for link in own]


def _conflict(workspace: Workspace, step: Step) -> dict[str, Any]:
    return {
        "identifiers": [_name(workspace, step.a), _name(workspace, step.b)],
        "journeys": [id_text(workspace.home[end]) for end in (step.a, step.b)],
        **_step(step),
    }


def _step(step: Step) -> dict[str, Any]:
    at, id_, source = step.order
    return {
        "authority": AUTHORITIES[step.authority],
        "at": time_text(at),
        "event": {"id": id_text(id_), "source": source},
        "holds": step.refused is None,
        "reason": step.refused,
    }


@router.get("/quarantine", summary="Identifiers that too many others are linked to")
async def quarantine(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """In the order of their keys, with the number of their victims."""
    async with context_of(request).raw_pool.acquire() as connection:
        found = await store.list_quarantine(connection, _after(cursor), limit)
    items = [
        {
            "identifier": f"{entry.type}:{entry.value}",
            "victims": entry.victims,
            "since": None if entry.since is None else time_text(micros(entry.since)),
            "released_at": None if entry.released_at is None else time_text(entry.released_at),
        }
        for entry in found
    ]
    await record(request)
    return _json({"items": items, "next_cursor": found[-1].key.hex() if len(found) == limit else None})


@router.get("/victims", summary="Whom events linked to an identifier in quarantine")
async def victims(request: Request, identifier: Identifier, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """In the order of keys: the journey of each, and when the link was first stated."""
    context = context_of(request)
    key = key_of(identifier, context.rules)
    async with context.raw_pool.acquire() as connection:
        found = await store.list_victims(connection, key, _after(cursor), limit)
    items = [{"journey_id": id_text(entry.journey_id), "at": time_text(entry.at)} for entry in found]
    await record(request, [item["journey_id"] for item in items])
    return _json({"items": items, "next_cursor": found[-1].key.hex() if len(found) == limit else None})


@router.get("/explain", summary="Why two identifiers are one person, or why not")
async def explain_two(request: Request, a: Identifier, b: Identifier) -> Response:
    """The shortest chain of links between the two, with the events behind them and their places in the log."""
    context = context_of(request)
    keys = [key_of(one, context.rules) for one in (a, b)]
    async with context.raw_pool.acquire() as connection:
        workspace = await store.load_tied(connection, context.rules, keys)
        own = [_newest(workspace, key) for key in keys]
        for name, key in zip((a, b), own, strict=True):
            refuse_veiled(window_of(request), workspace.journey_of(key), name, key)
        answer = explain(workspace, own[0], own[1])
        path = [await _placed(connection, workspace, step) for step in answer.path]
        ruling = None if answer.ruling is None else await _ruling_view(connection, *answer.ruling)
    unknown = [name for name, key in zip((a, b), own, strict=True) if key not in workspace.home]
    body = {
        "identifiers": [a, b],
        "journeys": [_journey_id(workspace, key) for key in own],
        "one_person": answer.one_person,
        "because": _because(answer, unknown, own),
        "ruling": ruling,
        "path": path,
    }
    await record(request, _journeys(workspace, (end for step in answer.path for end in (step.a, step.b)), own))
    return _json(window_of(request).veil(body, *veil_over(workspace, window_of(request))))


def _journeys(workspace: Workspace, *keys: Iterable[bytes]) -> list[uuid.UUID]:
    """The journeys that keys are of."""
    homes = {workspace.home[key] for some in keys for key in some if key in workspace.home}
    return [uuid.UUID(bytes=home) for home in sorted(homes)]


def _newest(workspace: Workspace, key: bytes) -> bytes:
    """The key that an identifier has since its last release, if anybody has used it since."""
    times = workspace.register.releases.get(key, [])
    later = [key_at(key, at, workspace.register.releases) for at in reversed(times)]
    return next((one for one in later if one in workspace.home), key)


def _journey_id(workspace: Workspace, key: bytes) -> str | None:
    home = workspace.home.get(key)
    return None if home is None else id_text(home)


def _because(answer: Explanation, unknown: list[str], keys: list[bytes]) -> str:
    if unknown:
        return f"no event has named {' and '.join(unknown)}"
    if keys[0] == keys[1]:
        return "they are the same identifier"
    refused = [step.refused for step in answer.path if step.refused is not None]
    if answer.ruling is not None and not answer.ruling[0] and not answer.one_person:
        return "a ruling says that they are not one person"
    if not answer.path:
        return "no event links them, neither directly nor through others"
    if answer.one_person:
        return "a chain of links holds" if not refused else "they were named in one session of a shared device"
    return "; ".join(dict.fromkeys(reason_text(reason) for reason in refused)) or "a limit keeps them apart"


async def _placed(connection: Connection, workspace: Workspace, step: Step) -> dict[str, Any]:
    found = await store.find_event(connection, step.order[1], step.order[2])
    named = {"from": _name(workspace, step.a), "to": _name(workspace, step.b)}
    return {**named, **_step(step), "place": None if found is None else _place(found)}


async def _ruling_view(connection: Connection, joined: bool, order: Order) -> dict[str, Any]:
    """The ruling on two identifiers, with what was said for it."""
    at, id_, source = order
    found = await store.find_event(connection, id_, source)
    said = None if found is None else found.event.data
    return {
        "ruling": "join" if joined else "split",
        "at": time_text(at),
        "reason": getattr(said, "reason", None),
        "by": getattr(said, "by", None),
        "event": {"id": id_text(id_), "source": source},
        "place": None if found is None else _place(found),
    }


def _place(found: store.LoggedEvent) -> dict[str, Any]:
    return {
        "topic": found.topic,
        "partition": found.partition,
        "offset": found.offset,
        "recorded_at": time_text(found.recorded_at),
    }


def _name(workspace: Workspace, key: bytes) -> str:
    unknown = "in quarantine" if key in workspace.register.quarantined else key.hex()
    return workspace.text_of(key) or unknown


@router.get("/persons/{identifier:path}", summary="Who an identifier is, today or as of a time")
async def person(
    request: Request,
    identifier: str,
    at: Annotated[datetime | None, Query()] = None,
    known_at: Annotated[datetime | None, Query()] = None,
) -> Response:
    """`at`: by what had happened at that time. `known_at`: by what Tandem had committed at that time."""
    context = context_of(request)
    key = key_of(identifier, context.rules)
    point = await point_of(context, at, known_at)
    async with context.raw_pool.acquire() as connection:
        if point == NOW:
            today = workspace = await store.load_tied(connection, context.rules, [key])
        else:
            recorded, erased = await recorded_of(connection, context.rules, key)
            rules = await rules_known(connection, context.agreed.first, point.known_at)
            workspace = fold_at(recorded, rules, point, erased)
            today = await store.load_tied(connection, context.rules, [key, *workspace.home])  # for consents of today
    now = _newest(today, key)
    refuse_veiled(window_of(request), today.journey_of(now), identifier, now)
    journey = workspace.journey_of(_newest(workspace, key))
    if journey is None:
        raise HTTPException(404, f"no event has named {identifier}" + (" by then" if point != NOW else ""))
    view = identity_view(journey, workspace)
    ends = (end for link in journey.links.values() for end in (link.a, link.b))
    await record(request, {uuid.UUID(bytes=journey.journey_id), *_journeys(workspace, ends)})
    return _json(window_of(request).veil(view, *veil_over(today, window_of(request))))


@router.post("/preview", summary="What a ruling would move")
async def preview_ruling(request: Request, wanted: Annotated[RulingRequest, Body()]) -> Response:
    """Nothing is published."""
    return _json((await _preview(request, wanted))[1])


@router.post(
    "/rulings",
    summary="Publish a ruling",
    responses={
        201: {"description": "Published; the preview says what it moves"},
        409: {"description": "It moves more than a ruling may move unasked: look at the preview, then set `confirm`"},
        503: {"description": "The broker did not acknowledge; send the same ruling again"},
    },
)
async def publish_ruling(request: Request, wanted: Annotated[RulingRequest, Body()]) -> Response:
    """The ruling is an event in the joint topic: it holds as soon as the projector has read it."""
    context = context_of(request)
    if context.gateway is None:
        return problem(503, "No broker", "this API was started without a broker", Retry_After="60")
    found, view = await _preview(request, wanted)
    if found.confirm and not wanted.confirm:
        moved = f"{found.events_moved} events, {len(found.before)} journeys become {len(found.after)}"
        detail = f"the ruling moves much ({moved}): look at the preview, and confirm it"
        return _json({"type": "about:blank", "title": "Confirm", "status": 409, "detail": detail, **view}, 409)
    caller = caller_of(request)
    by = wanted.by if caller is None else caller.name
    data = {name: value for name, value in (("reason", wanted.reason), ("by", by)) if value is not None}
    event = {
        "id": str(uuid.uuid4()),
        "type": _JOINT[wanted.ruling],
        "source": "tandem-api",
        "occurred_at": time_text(context.clock()),
        "identities": [_identity(identifier, context) for identifier in wanted.identifiers],
        "data": data,
    }
    try:
        [answer] = await context.gateway.publish("joint", orjson.dumps(event))
    except BrokerUnavailable as error:
        detail = f"{error}. The ruling may take effect all the same: look at `explain` before you send it again"
        return problem(503, "Broker unavailable", detail, Retry_After="1")
    if answer["status"] != "accepted":
        raise HTTPException(422, answer["message"])
    return _json({"event": answer, **view}, 201)


def _identity(identifier: str, context: Context) -> dict[str, str]:
    key_of(identifier, context.rules)
    type_, _, value = identifier.partition(":")
    if type_ == "journey":
        raise HTTPException(422, "a ruling is about identifiers, not about journeys: name type:value")
    return {"type": type_, "value": value}


async def _preview(request: Request, wanted: RulingRequest) -> tuple[Preview, dict[str, Any]]:
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
        newest = _newest(workspace, key)
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


def _after(cursor: str | None) -> bytes:
    try:
        found = bytes.fromhex(cursor or "00" * 16)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise HTTPException(422, _WRONG_CURSOR)
    return found
