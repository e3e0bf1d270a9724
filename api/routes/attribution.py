"""`GET /v1/attribution`: credit for what was booked, by channel or campaign."""

import asyncio
from contextlib import aclosing
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from api.access.caller import refuse_hidden, window_of
from api.context import context_of
from api.http.answers import answer
from api.http.strict_parameters import strict_router
from projections.attribution.paths import moments_of
from projections.attribution.report import Attribution, By
from projections.playbook.model import AttributionModel
from store.scan import scan_pages

router = strict_router("/v1")


@router.get(
    "/attribution", operation_id="get_attribution", summary="Give channels or campaigns credit for what was booked"
)
async def attribution(
    request: Request,
    model: Annotated[AttributionModel | None, Query()] = None,
    by: Annotated[By, Query()] = "channel",
) -> Response:
    """Credit in minor units by currency, from all journeys as they are now; without `model`, by the playbook's."""
    refuse_hidden(request, by, "value")
    context = context_of(request)
    rules = context.rules.at(context.clock()).attribution
    report = Attribution(rules, model or rules.model, by)
    # It reads all journeys: one answer at a time, and beside the event loop.
    async with (
        context.attributing,
        context.pool.acquire() as connection,
        aclosing(scan_pages(connection)) as pages,
    ):
        async for states in pages:
            await asyncio.to_thread(_add, report, states)
    view = await asyncio.to_thread(report.view)
    return answer(window_of(request).show(view))


def _add(report: Attribution, states: list[bytes]) -> None:
    for state in states:
        report.add(moments_of(state))
