"""`/v1/identity`: who is who, why, since when; what was refused, and what is in quarantine."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import record, window_of
from api.access.redaction import Veil, merged, refuse_veiled, veil_over
from api.context import context_of
from api.http.answers import answer
from api.http.cursors import cursor_of, place_of
from api.http.identifiers import key_of, newest_key_in_use
from api.http.parameters import Cursor, Identifier, Limit
from api.http.strict_parameters import strict_router
from api.past_scope import point_of
from audit.past import NOW, fold_at, recorded_of, rules_known
from projections.identity.explain import Explanation, Step, explain
from projections.identity.workspace import Workspace
from projections.journey.links import QUARANTINED
from projections.text import id_text, micros, time_text
from projections.views.authorities import AUTHORITIES
from projections.views.identity import identity_view, reason_text
from schemas.answers import identity as answers
from schemas.answers.parts import EventRef, LogPlace
from schemas.event import Order
from store import identity as store
from store.session import Connection

router = strict_router("/v1/identity")

_FIRST = bytes(16)  #: before all keys


@router.get("/conflicts", operation_id="list_conflicts", summary="List refused links, for people to look at")
async def conflicts(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """In the order of journeys; each link once. `next_cursor` is null on the last page."""
    context = context_of(request)
    window = window_of(request)
    first, given = _conflict_behind(cursor)
    items: list[tuple[str, answers.Conflict]] = []
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
                        items.append((_conflict_cursor(journey_id, number + 1), _conflict(workspace, one)))
            start = _next_key(ids[-1]) if len(ids) == limit else None
    page = items[:limit]
    await record(request, {journey for _, item in page for journey in item.journeys})
    more = page[-1][0] if len(items) > limit else None
    body = answers.ConflictPage(items=[item for _, item in page], next_cursor=more)
    return answer(window.veil(body, *merged(veils)))


def _conflict_cursor(journey_id: bytes, given: int) -> str:
    return cursor_of(journey_id + given.to_bytes(4, "big"))


def _conflict_behind(cursor: str | None) -> tuple[bytes, int]:
    """(the journey to go on with, how many of its conflicts were given)."""
    if cursor is None:
        return _FIRST, 0
    place = place_of(cursor, 20)
    return place[:16], int.from_bytes(place[16:], "big")


def _next_key(key: bytes) -> bytes | None:
    following = int.from_bytes(key, "big") + 1
    return following.to_bytes(16, "big") if following < 1 << 128 else None


def _own_conflicts(workspace: Workspace, journey_id: bytes) -> list[Step]:
    journey = workspace.journeys.get(journey_id)
    if journey is None:
        return []
    own = [link for link in sorted(journey.refused) if link.refused != QUARANTINED and link.a in journey.identifiers]
    return [Step(link.a, link.b, link.authority, link.order, link.refused) for link in own]


def _conflict(workspace: Workspace, step: Step) -> answers.Conflict:
    return answers.Conflict(
        identifiers=[_name(workspace, step.a), _name(workspace, step.b)],
        journeys=[id_text(workspace.home[end]) for end in (step.a, step.b)],
        **_step(step),
    )


def _step(step: Step) -> dict[str, Any]:
    """What conflicts and the steps of a path say alike."""
    at, id_, source = step.order
    return {
        "authority": AUTHORITIES[step.authority],
        "at": time_text(at),
        "event": EventRef(id=id_text(id_), source=source),
        "holds": step.refused is None,
        "reason": step.refused,
    }


@router.get(
    "/quarantine", operation_id="list_quarantine", summary="List identifiers that too many others are linked to"
)
async def quarantine(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """In the order of their keys, with the number of identifiers that events linked to each."""
    async with context_of(request).raw_pool.acquire() as connection:
        entries = await store.list_quarantine(connection, _behind(cursor), limit)
    items = [
        answers.QuarantinedIdentifier(
            identifier=f"{entry.type}:{entry.value}",
            victims=entry.victims,
            since=None if entry.since is None else time_text(micros(entry.since)),
            released_at=None if entry.released_at is None else time_text(entry.released_at),
        )
        for entry in entries
    ]
    await record(request)
    more = cursor_of(entries[-1].key) if len(entries) == limit else None
    return answer(answers.QuarantinePage(items=items, next_cursor=more))


@router.get("/victims", operation_id="list_victims", summary="List whom events linked to an identifier in quarantine")
async def victims(request: Request, identifier: Identifier, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """In the order of keys: the journey of each, and when the link was first stated."""
    context = context_of(request)
    key = key_of(identifier, context.rules)
    async with context.raw_pool.acquire() as connection:
        entries = await store.list_victims(connection, key, _behind(cursor), limit)
    items = [answers.Victim(journey_id=id_text(entry.journey_id), at=time_text(entry.at)) for entry in entries]
    await record(request, [item.journey_id for item in items])
    more = cursor_of(entries[-1].key) if len(entries) == limit else None
    return answer(answers.VictimPage(items=items, next_cursor=more))


@router.get(
    "/explain", operation_id="explain_identity", summary="Explain why two identifiers are one person, or why not"
)
async def explain_two(request: Request, a: Identifier, b: Identifier) -> Response:
    """The shortest chain of links between the two, with the events behind them and their places in the log."""
    context = context_of(request)
    keys = [key_of(one, context.rules) for one in (a, b)]
    async with context.raw_pool.acquire() as connection:
        workspace = await store.load_tied(connection, context.rules, keys)
        own = [newest_key_in_use(workspace, key) for key in keys]
        for name, key in zip((a, b), own, strict=True):
            refuse_veiled(window_of(request), workspace.journey_of(key), name, key)
        explanation = explain(workspace, own[0], own[1])
        path = [await _placed(connection, workspace, step) for step in explanation.path]
        ruling = None if explanation.ruling is None else await _ruling_view(connection, *explanation.ruling)
    unknown = [name for name, key in zip((a, b), own, strict=True) if key not in workspace.home]
    body = answers.IdentityExplanation(
        identifiers=[a, b],
        journeys=[_journey_id(workspace, key) for key in own],
        one_person=explanation.one_person,
        because=_because(explanation, unknown, own),
        ruling=ruling,
        path=path,
    )
    await record(request, _journeys(workspace, (end for step in explanation.path for end in (step.a, step.b)), own))
    return answer(window_of(request).veil(body, *veil_over(workspace, window_of(request))))


def _journeys(workspace: Workspace, *keys: Iterable[bytes]) -> list[uuid.UUID]:
    """The journeys that keys are of."""
    homes = {workspace.home[key] for some in keys for key in some if key in workspace.home}
    return [uuid.UUID(bytes=home) for home in sorted(homes)]


def _journey_id(workspace: Workspace, key: bytes) -> str | None:
    home = workspace.home.get(key)
    return None if home is None else id_text(home)


def _because(explanation: Explanation, unknown: list[str], keys: list[bytes]) -> str:
    if unknown:
        return f"no journey found for {' and '.join(unknown)}"
    if keys[0] == keys[1]:
        return "they are the same identifier"
    refused = [step.refused for step in explanation.path if step.refused is not None]
    if explanation.ruling is not None and not explanation.ruling[0] and not explanation.one_person:
        return "a ruling says that they are not one person"
    if not explanation.path:
        return "no event links them, neither directly nor through others"
    if explanation.one_person:
        return "a chain of links holds" if not refused else "they were named in one session of a shared device"
    return "; ".join(dict.fromkeys(reason_text(reason) for reason in refused)) or "a limit keeps them apart"


async def _placed(connection: Connection, workspace: Workspace, step: Step) -> answers.PathStep:
    logged = await store.find_event(connection, step.order[1], step.order[2])
    return answers.PathStep(
        from_=_name(workspace, step.a),
        to=_name(workspace, step.b),
        **_step(step),
        place=None if logged is None else _place(logged),
    )


async def _ruling_view(connection: Connection, joined: bool, order: Order) -> answers.Ruling:
    """The ruling on two identifiers, with what was said for it."""
    at, id_, source = order
    logged = await store.find_event(connection, id_, source)
    said = None if logged is None else logged.event.data
    return answers.Ruling(
        ruling="join" if joined else "split",
        at=time_text(at),
        reason=getattr(said, "reason", None),
        by=getattr(said, "by", None),
        event=EventRef(id=id_text(id_), source=source),
        place=None if logged is None else _place(logged),
    )


def _place(logged: store.LoggedEvent) -> LogPlace:
    return LogPlace(
        topic=logged.topic,
        partition=logged.partition,
        offset=logged.offset,
        recorded_at=time_text(logged.recorded_at),
    )


def _name(workspace: Workspace, key: bytes) -> str:
    unknown = "in quarantine" if key in workspace.register.quarantined else key.hex()
    return workspace.text_of(key) or unknown


@router.get(
    "/persons/{identifier:path}",
    operation_id="get_person",
    summary="Get who an identifier is, today or as of a time",
    responses={404: {"description": "No event names this person"}},
)
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
    now = newest_key_in_use(today, key)
    refuse_veiled(window_of(request), today.journey_of(now), identifier, now)
    journey = workspace.journey_of(newest_key_in_use(workspace, key))
    if journey is None:
        raise HTTPException(404, f"no journey found for {identifier}" + (" at that time" if point != NOW else ""))
    view = identity_view(journey, workspace)
    ends = (end for link in journey.links.values() for end in (link.a, link.b))
    await record(request, {uuid.UUID(bytes=journey.journey_id), *_journeys(workspace, ends)})
    return answer(window_of(request).veil(view, *veil_over(today, window_of(request))))


def _behind(cursor: str | None) -> bytes:
    return _FIRST if cursor is None else place_of(cursor, 16)
