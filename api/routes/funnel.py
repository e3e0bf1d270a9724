"""`GET /v1/funnel`: how many journeys reached each stage."""

from typing import Annotated, Literal

from fastapi import Query, Request
from starlette.responses import Response

from api.access.caller import refuse_hidden, window_of
from api.context import context_of
from api.http.answers import answer
from api.http.strict_parameters import strict_router
from api.projection_scope import Beside, reading
from schemas.answers.funnel import Funnel, FunnelGroup
from store import funnel as store

router = strict_router("/v1")


@router.get("/funnel", operation_id="get_funnel", summary="Count how many journeys reached each stage")
async def funnel(
    request: Request,
    by: Annotated[Literal["channel", "campaign"] | None, Query()] = None,
    projection: Beside = None,
) -> Response:
    """Counts, conversion and median time between the stages of the main line; split by first touchpoint.

    `projection`: the name of one beside the live one.
    """
    refuse_hidden(request, *([by] if by else []))
    context = context_of(request)
    async with reading(context, projection) as asked_of:
        total = await store.funnel(*asked_of, None)
        groups = await store.funnel(*asked_of, by) if by else []
    everybody = total[0] if total else FunnelGroup(journeys=0, stages=[], beside={}, value={})
    return answer(window_of(request).show(Funnel(total=everybody, by=by, groups=groups)))
