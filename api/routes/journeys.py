"""Queries: journeys, funnel, accounts, dead letters."""

import base64
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import caller_of, record, refuse_hidden, window_of
from api.access.policy import topics_of
from api.access.redaction import refuse_veiled
from api.context import context_of
from api.http.identifiers import key_of
from api.http.strict_parameters import strict_router
from api.http.times import instant
from api.projection_scope import Beside, reading
from api.routes.past import journey_as_of
from projections.identifiers import normalise
from projections.playbook.rules import Rules
from projections.text import time_text
from projections.views.journey import journey_view
from store import queries as store
from store.queries import Filter

router = strict_router("/v1")

Limit = Annotated[int, Query(ge=1, le=200)]
Text = Annotated[str | None, Query(max_length=512, pattern=r"^[^\x00]*$")]


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


@router.get("/journeys/{identifier:path}", summary="One journey, by any identifier or journey id it has or had")
async def journey(
    request: Request,
    identifier: str,
    at: Annotated[datetime | None, Query()] = None,
    known_at: Annotated[datetime | None, Query()] = None,
) -> Response:
    """`identifier` is `type:value`, such as `email:ana@example.com`, or `journey:` with an id.

    `at`: as it was true then, by all that is known today. `known_at`: as Tandem knew it then.
    """
    if at is not None or known_at is not None:
        return await journey_as_of(request, identifier, at, known_at)
    context = context_of(request)
    key = key_of(identifier, context.rules)
    found = await context.lookup.journey(key)
    if found is None:
        raise HTTPException(404, f"no event has named {identifier}")
    refuse_veiled(window_of(request), found, identifier, key)
    view = journey_view(found, context.rules, context.clock())
    await record(request, [view["journey_id"]])
    return _json(window_of(request).show(view))


@router.get("/journeys", summary="Journeys, in pages")
async def journeys(
    request: Request,
    stage: Text = None,
    account: Text = None,
    channel: Text = None,
    owner: Text = None,
    changed_since: Annotated[datetime | None, Query()] = None,
    projection: Beside = None,
    cursor: Text = None,
    limit: Limit = 50,
) -> Response:
    """In the order of journey ids. `next_cursor` is null on the last page. `projection`: one beside the live one."""
    asked = {"account": account, "channel": channel, "owner": owner}
    refuse_hidden(request, *(name for name, value in asked.items() if value is not None))
    context = context_of(request)
    since = None if changed_since is None else instant(changed_since, "changed_since")
    async with reading(context, projection) as asked_of:
        wanted = Filter(_stage(stage, asked_of.rules), account, channel, owner, since)
        items = await store.list_journeys(*asked_of, wanted, _after(cursor), limit + 1)
    more = len(items) > limit
    items = items[:limit]
    await record(request, [item["journey_id"] for item in items])
    page = {"items": items, "next_cursor": _cursor(items[-1]["journey_id"]) if more else None}
    return _json(window_of(request).show(page))


def _stage(name: str | None, rules: Rules) -> int | None:
    if name is None:
        return None
    if name not in rules.names:
        raise HTTPException(422, f"there is no stage {name[:64]!r}: choose one of {', '.join(rules.names)}")
    return rules.names.index(name)


def _cursor(journey_id: str) -> str:
    return base64.urlsafe_b64encode(uuid.UUID(journey_id).bytes).decode().rstrip("=")


def _after(cursor: str | None) -> uuid.UUID | None:
    if cursor is None:
        return None
    try:
        return uuid.UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, UnicodeEncodeError) as error:
        raise HTTPException(422, "the cursor is none that this API gave out") from error


@router.get("/funnel", summary="How many journeys reached each stage")
async def funnel(
    request: Request,
    by: Annotated[Literal["channel", "campaign"] | None, Query()] = None,
    projection: Beside = None,
) -> Response:
    """Counts, conversion and median time between the stages of the main line; split by first touchpoint.

    `projection`: one beside the live one.
    """
    refuse_hidden(request, *([by] if by else []))
    context = context_of(request)
    async with reading(context, projection) as asked_of:
        total = await store.funnel(*asked_of, None)
        groups = await store.funnel(*asked_of, by) if by else []
    empty: dict[str, Any] = {"journeys": 0, "stages": [], "beside": {}, "value": {}}
    return _json(window_of(request).show({"total": total[0] if total else empty, "by": by, "groups": groups}))


@router.get("/accounts/{account:path}", summary="What an account's journeys add up to")
async def account(request: Request, account: str) -> Response:
    """`account` as the sources write it."""
    refuse_hidden(request, "account")
    context = context_of(request)
    found = normalise("account", account[:512]) if "\0" not in account else None
    async with context.pool.acquire() as connection:
        rollup = await store.account_rollup(connection, context.rules, context.clock(), found.value) if found else None
    if rollup is None:
        raise HTTPException(404, f"no event has named the account {account[:64]}")
    return _json(window_of(request).show(rollup))


@router.get("/dead-letters", summary="Records that could not be applied, and why")
async def dead_letters(request: Request, reason: Text = None, cursor: Text = None, limit: Limit = 50) -> Response:
    """In the order of partitions and offsets. A department sees those of its own topic."""
    async with context_of(request).pool.acquire() as connection:
        rows = await store.list_dead_letters(connection, reason, _owners(request), _place(cursor), limit + 1)
    items = [
        {
            "topic": row["topic"],
            "partition": row["partition"],
            "offset": row["record_offset"],
            "reason": row["reason"],
            "field": row["field"],
            "message": row["message"],
            "bytes": row["bytes"],
            "recorded_at": time_text(row["recorded_at"]),
        }
        for row in rows[:limit]
    ]
    await record(request)
    last = rows[limit - 1] if len(rows) > limit else None
    return _json({"items": items, "next_cursor": f"{last['partition_id']}-{last['record_offset']}" if last else None})


def _owners(request: Request) -> list[str] | None:
    """Whose dead letters the caller may see: they hold what was written, byte for byte. None for everybody's."""
    caller = caller_of(request)
    return None if caller is None else topics_of(caller.roles)


def _place(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return (-1, -1)
    partition, dash, offset = cursor.partition("-")
    if not (dash and partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
        raise HTTPException(422, "the cursor is none that this API gave out")
    if int(partition) >= 2**31 or int(offset) >= 2**63:
        raise HTTPException(422, "the cursor is none that this API gave out")
    return (int(partition), int(offset))


@router.get("/dead-letters/{topic}/{partition}/{offset}", summary="A dead letter's original bytes")
async def dead_letter(
    request: Request,
    topic: str,
    partition: Annotated[int, Path(ge=0, le=2**31 - 1)],
    offset: Annotated[int, Path(ge=0, le=2**63 - 1)],
) -> Response:
    """The bytes as Kafka had them; none for a tombstone."""
    if "\0" in topic:
        raise HTTPException(404, "there is no such topic")
    async with context_of(request).pool.acquire() as connection:
        found, payload = await store.dead_letter_bytes(connection, topic, partition, offset, _owners(request))
    if not found:
        raise HTTPException(404, f"there is no dead letter at {topic} {partition} {offset}")
    await record(request)
    return Response(payload or b"", media_type="application/octet-stream")
