"""`GET /v1/changes`: the change feed, as server-sent events or as JSON that waits for news."""

import asyncio
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Header, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import caller_of, record, refuse_hidden, window_of
from api.access.redaction import refuse_veiled
from api.context import Context, context_of
from api.feed.cursor import InvalidCursor, parse_cursor
from api.feed.hub import Message
from api.http.identifiers import key_of
from api.http.parameters import Text
from api.http.problems import problem
from api.http.strict_parameters import strict_router
from api.server_sent_events import MEDIA_TYPE, EventStream
from api.subscription import FAILURES, FeedNotReady, FeedReset, Following
from projections.identifiers import normalise
from projections.playbook.windows import Window
from projections.views.feed import KINDS
from projections.views.interest import Interest
from schemas.answers.changes import Change, ChangeKind, Reset
from schemas.answers.export import schema_of
from schemas.answers.journeys import FeedJourney
from schemas.departments import Department

router = strict_router("/v1")

_RECORDED = 5_000  #: journeys that a stream remembers to have recorded, at most
_RECORDED_SECONDS = 60.0  #: after which it forgets them
#: What a stream tells, for its readers.
_EVENTS = (
    "Server-sent events; each `id` is the cursor behind it. `journey`: one of a snapshot. `live`: the snapshot is "
    "complete. `change`: a change. `progress`: nothing new up to here. `reset`: start over with snapshot=true"
)
_X_EVENTS = {
    "journey": schema_of((FeedJourney,)),
    "change": schema_of((Change,)),
    "reset": schema_of((Reset,)),
    "live": {"type": "object"},
    "progress": {"type": "object"},
}


@router.get(
    "/changes",
    operation_id="list_changes",
    summary="Follow the change feed",
    responses={
        200: {
            "description": "Changes in the order of their commits",
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "description": _EVENTS}, "x-events": _X_EVENTS}},
        },
        404: {"description": "No event names this person"},
        410: {"description": "The cursor is too old, or of another feed: start over with snapshot=true"},
        503: {"description": "No worker has run yet, or the database does not answer"},
    },
)
async def changes(
    request: Request,
    department: Annotated[Department | None, Query()] = None,
    stage: Text = None,
    journey: Text = None,
    account: Text = None,
    kind: Annotated[ChangeKind | None, Query()] = None,
    cursor: Text = None,
    snapshot: bool = False,
    wait: Annotated[float, Query(ge=0, le=30)] = 0,
    last_event_id: Annotated[str | None, Header(max_length=512)] = None,
) -> Response:
    """Each change once, in order, without gaps: from now on, or after a `cursor` (or `Last-Event-ID`).

    `snapshot=true` tells all journeys first. As `text/event-stream` (by `Accept`) it never ends; as JSON it answers
    with what there is, after waiting for news for at most `wait` seconds.
    """
    context, window = context_of(request), window_of(request)
    if account is not None:
        refuse_hidden(request, "account")
    interest = Interest(
        stages=_stages(context, department, stage),
        journey=None if journey is None else await _journey_id(context, window, journey),
        account=_account(account),
        kind=None if kind is None else KINDS.index(kind),
    )
    try:
        following, reads = Following(context, interest, window), _Reads(request)
        given = last_event_id or cursor
        start = await following.start(snapshot=snapshot) if given is None else parse_cursor(given)
        if MEDIA_TYPE in request.headers.get("accept", ""):
            return EventStream(following, reads.note, start)
        # who gives no cursor needs one first
        batch = await following.batch(start, wait if cursor else 0)
        await reads.note(batch)
        return _answer(batch)
    except InvalidCursor as error:
        raise HTTPException(422, str(error)) from error
    except FeedReset as error:
        return problem(410, "Reset", str(error))
    except (FeedNotReady, *FAILURES) as error:
        detail = str(error) if isinstance(error, FeedNotReady) else "the database does not answer"
        return problem(503, "Not ready", detail, Retry_After="1")


def _stages(context: Context, department: str | None, stage: str | None) -> frozenset[int] | None:
    rules = context.rules
    stages = None if department is None else rules.at(context.clock()).concerns.get(department, frozenset())
    if stage is None:
        return stages
    if stage not in rules.names:
        raise HTTPException(422, f"there is no stage {stage[:64]!r}: choose one of {', '.join(rules.names)}")
    one = frozenset({rules.names.index(stage)})
    return one if stages is None else stages & one


def _account(name: str | None) -> str | None:
    if name is None:
        return None
    normal = normalise("account", name)
    if normal is None:
        raise HTTPException(422, f"{name[:64]!r} is not an account name")
    return normal.value


async def _journey_id(context: Context, window: Window, identifier: str) -> UUID:
    key = key_of(identifier, context.rules)
    journey = await context.lookup.journey(key)
    refuse_veiled(window, journey, identifier, key)
    if journey is None:
        raise HTTPException(404, f"no journey found for {identifier}")
    return UUID(bytes=journey.journey_id)


class _Reads:
    """The record of whose data one subscriber was told, before it is told. What is told again within a minute is not
    recorded again: a busy feed would write more records than changes."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._recorded: set[UUID] = set()
        self._forget_at = 0.0

    async def note(self, batch: list[Message]) -> None:
        """Record the journeys of a batch that are not recorded yet. Raises Refused (503)."""
        if caller_of(self._request) is None:
            return
        now = asyncio.get_running_loop().time()
        if now >= self._forget_at or len(self._recorded) > _RECORDED:
            self._recorded.clear()
            self._forget_at = now + _RECORDED_SECONDS
        fresh = {message.journey_id for message in batch if message.journey_id is not None} - self._recorded
        if fresh:
            await record(self._request, fresh)
            self._recorded |= fresh


def _answer(batch: list[Message]) -> Response:
    """A ChangePage, put together from messages that are encoded already."""
    journeys, changes = (b",".join(one.data for one in batch if one.event == kind) for kind in ("journey", "change"))
    cursor = batch[-1].cursor
    end = orjson.dumps({"cursor": str(cursor), "live": cursor.after is None})
    body = b'{"journeys":[%b],"changes":[%b],%b' % (journeys, changes, end[1:])
    return Response(body, media_type="application/json")
