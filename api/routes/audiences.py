"""`GET /v1/audiences`: whom the departments may turn to."""

import uuid

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import record, window_of
from api.context import context_of
from api.http.answers import answer
from api.http.cursors import id_behind, id_cursor
from api.http.parameters import Cursor, Limit
from api.http.strict_parameters import strict_router
from projections.views.feed import feed_journey_view
from schemas.answers.audiences import AudienceList, AudiencePage, AudienceSize
from store import audiences as store

router = strict_router("/v1")

_FIRST = uuid.UUID(int=0)


@router.get("/audiences", operation_id="list_audiences", summary="List the playbook's audiences and their sizes")
async def audiences(request: Request) -> Response:
    """As of now."""
    context = context_of(request)
    at = context.clock()
    async with context.pool.acquire() as connection:
        sizes = await store.audience_sizes(connection, at)
    items = [
        AudienceSize(
            audience=one.name,
            members=sizes.get(one.name, 0),
            stages=[context.rules.names[n] for n in sorted(one.stages)],
        )
        for one in context.rules.at(at).audiences
    ]
    return answer(AudienceList(items=items))


@router.get(
    "/audiences/{name}",
    operation_id="list_audience_members",
    summary="List who is in an audience, in pages",
    responses={404: {"description": "The playbook has no such audience"}},
)
async def members(request: Request, name: str, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Journeys in short, with identifiers and consent, in the order of their ids."""
    context = context_of(request)
    at = context.clock()
    if name not in {one.name for one in context.rules.at(at).audiences}:
        raise HTTPException(404, f"the playbook has no audience {name[:64]!r}")
    after = id_behind(cursor) or _FIRST
    async with context.pool.acquire() as connection:
        rows = await store.audience_members(connection, at, name, after, limit + 1)
    items = [feed_journey_view(journey, context.rules, at) for journey in rows[:limit]]
    await record(request, [item.journey_id for item in items])
    more = id_cursor(items[-1].journey_id) if len(rows) > limit else None
    return answer(window_of(request).show(AudiencePage(items=items, next_cursor=more)))
