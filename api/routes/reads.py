"""`GET /v1/reads`: who has read personal data. For auditors."""

import uuid
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import record
from api.context import Context, context_of
from api.http.answers import answer
from api.http.identifiers import key_of
from api.http.parameters import Limit
from api.http.strict_parameters import strict_router
from api.http.times import instant
from projections.text import micros, time_text
from schemas.answers.reads import Read, ReadPage
from store.reads import ReadEntry, ReadFilter, list_reads

router = strict_router("/v1")

Text = Annotated[str | None, Query(max_length=600, pattern=r"^[^\x00]*$")]


@router.get("/reads", operation_id="list_reads", summary="List who has read personal data")
async def reads(
    request: Request,
    person: Text = None,
    reader: Text = None,
    since: Annotated[datetime | None, Query()] = None,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Limit = 50,
) -> Response:
    """The newest first. `person` (type:value) has those whose answers held data of this person's journey."""
    context = context_of(request)
    journeys = None if person is None else await _ever(context, key_of(person, context.rules))
    wanted = ReadFilter(journeys, reader, None if since is None else instant(since, "since"))
    async with context.pool.acquire() as connection:
        rows = await list_reads(connection, wanted, cursor, limit + 1)
    page = rows[:limit]
    await record(request, journeys or ())
    more = str(page[-1].read_id) if len(rows) > limit else None
    return answer(ReadPage(items=[_read_view(one) for one in page], next_cursor=more))


async def _ever(context: Context, key: bytes) -> list[uuid.UUID]:
    """All ids that the person's journey may have had: each identifier gives one. Raises HTTPException 404."""
    journey = await context.lookup.journey(key)
    if journey is None:
        raise HTTPException(404, "no journey found for this person")
    return [uuid.UUID(bytes=one) for one in sorted({journey.journey_id, *journey.identifiers})]


def _read_view(read: ReadEntry) -> Read:
    return Read(
        at=time_text(micros(read.read_at)),
        reader=read.reader,
        role=read.role,
        endpoint=read.endpoint,
        asked=orjson.loads(read.asked),
        journeys=[str(one) for one in read.journeys],
    )
