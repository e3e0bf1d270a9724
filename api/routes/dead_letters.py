"""`GET /v1/dead-letters`: records that could not be applied, and their bytes."""

from typing import Annotated

import asyncpg
from fastapi import Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import caller_of, record
from api.access.policy import topics_of
from api.context import context_of
from api.http.answers import answer
from api.http.cursors import cursor_of, place_of
from api.http.parameters import Cursor, Limit, Text
from api.http.strict_parameters import strict_router
from projections.text import time_text
from schemas.answers.dead_letters import DeadLetter, DeadLetterPage
from store import dead_letters as store

router = strict_router("/v1")


@router.get("/dead-letters", operation_id="list_dead_letters", summary="List records that could not be applied")
async def dead_letters(request: Request, reason: Text = None, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """In the order of partitions and offsets. A department sees those of its own topic."""
    async with context_of(request).pool.acquire() as connection:
        rows = await store.list_dead_letters(connection, reason, _departments(request), _behind(cursor), limit + 1)
    await record(request)
    more = _cursor(rows[limit - 1]) if len(rows) > limit else None
    return answer(DeadLetterPage(items=[_view(row) for row in rows[:limit]], next_cursor=more))


def _view(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
        reason=row["reason"],
        field=row["field"],
        message=row["message"],
        bytes=row["bytes"],
        recorded_at=time_text(row["recorded_at"]),
    )


def _departments(request: Request) -> list[str] | None:
    """Whose dead letters the caller may see: they hold what was written, byte for byte. None for everybody's."""
    caller = caller_of(request)
    return None if caller is None else topics_of(caller.roles)


def _cursor(row: asyncpg.Record) -> str:
    return cursor_of(row["partition_id"].to_bytes(4, "big") + row["record_offset"].to_bytes(8, "big"))


def _behind(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return (-1, -1)
    place = place_of(cursor, 12)
    return (int.from_bytes(place[:4], "big", signed=True), int.from_bytes(place[4:], "big", signed=True))


@router.get(
    "/dead-letters/{topic}/{partition}/{offset}",
    operation_id="get_dead_letter",
    summary="Get a dead letter's original bytes",
    responses={404: {"description": "There is no such dead letter in the topics that the caller may see"}},
)
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
        exists, payload = await store.dead_letter_bytes(connection, topic, partition, offset, _departments(request))
    if not exists:
        raise HTTPException(404, f"there is no dead letter at {topic} {partition} {offset}")
    await record(request)
    return Response(payload or b"", media_type="application/octet-stream")
