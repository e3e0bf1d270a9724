"""`GET /v1/journeys`: one journey, now or in the past, and journeys in pages."""

from datetime import datetime
from typing import Annotated

from fastapi import Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import record, refuse_hidden, window_of
from api.access.redaction import refuse_veiled
from api.context import context_of
from api.http.answers import answer
from api.http.cursors import id_behind, id_cursor
from api.http.identifiers import key_of
from api.http.parameters import Limit, Text
from api.http.strict_parameters import strict_router
from api.http.times import instant
from api.past_scope import as_of, point_of, veil_of_today
from api.projection_scope import Beside, reading
from projections.playbook.rules import Rules
from projections.views.journey import journey_view
from schemas.answers.journeys import JourneyPage
from store import journeys as store
from store.journeys import Filter

router = strict_router("/v1")


@router.get(
    "/journeys/{identifier:path}",
    operation_id="get_journey",
    summary="Get one journey, by any identifier or journey id it has or had",
    responses={404: {"description": "No event names this person"}},
)
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
        return await _of_the_past(request, identifier, at, known_at)
    context = context_of(request)
    key = key_of(identifier, context.rules)
    stored = await context.lookup.journey(key)
    if stored is None:
        raise HTTPException(404, f"no journey found for {identifier}")
    refuse_veiled(window_of(request), stored, identifier, key)
    view = journey_view(stored, context.rules, context.clock())
    await record(request, [view.journey_id])
    return answer(window_of(request).show(view))


async def _of_the_past(request: Request, identifier: str, at: datetime | None, known_at: datetime | None) -> Response:
    context = context_of(request)
    key = key_of(identifier, context.rules)
    point = await point_of(context, at, known_at)
    _, [seen] = await as_of(context, key, point)
    veil = await veil_of_today(request, identifier, key, [seen])
    view = seen.view_known_at()
    if view is None:
        raise HTTPException(404, f"no journey found for {identifier} at that time")
    await record(request, [view.journey_id])
    return answer(window_of(request).veil(view, *veil))


@router.get("/journeys", operation_id="list_journeys", summary="List journeys, in pages")
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
    """In the order of journey ids. All filters that are given must fit; `owner` is the person who owns the lead.

    `next_cursor` is null on the last page. `projection`: the name of one beside the live one.
    """
    asked = {"account": account, "channel": channel, "owner": owner}
    refuse_hidden(request, *(name for name, value in asked.items() if value is not None))
    context = context_of(request)
    since = None if changed_since is None else instant(changed_since, "changed_since")
    async with reading(context, projection) as asked_of:
        wanted = Filter(_stage(stage, asked_of.rules), account, channel, owner, since)
        summaries = await store.list_journeys(*asked_of, wanted, id_behind(cursor), limit + 1)
    items = summaries[:limit]
    await record(request, [item.journey_id for item in items])
    more = id_cursor(items[-1].journey_id) if len(summaries) > limit else None
    return answer(window_of(request).show(JourneyPage(items=items, next_cursor=more)))


def _stage(name: str | None, rules: Rules) -> int | None:
    if name is None:
        return None
    if name not in rules.names:
        raise HTTPException(422, f"there is no stage {name[:64]!r}: choose one of {', '.join(rules.names)}")
    return rules.names.index(name)
