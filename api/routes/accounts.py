"""`GET /v1/accounts`: what an account's journeys add up to."""

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import refuse_hidden, window_of
from api.context import context_of
from api.http.answers import answer
from api.http.strict_parameters import strict_router
from projections.identifiers import normalise
from store import accounts as store

router = strict_router("/v1")


@router.get(
    "/accounts/{account:path}",
    operation_id="get_account",
    summary="Add up an account's journeys",
    responses={404: {"description": "No event names this account"}},
)
async def account(request: Request, account: str) -> Response:
    """`account` as the sources write it."""
    refuse_hidden(request, "account")
    context = context_of(request)
    normal = normalise("account", account[:512]) if "\0" not in account else None
    async with context.pool.acquire() as connection:
        rollup = (
            await store.account_rollup(connection, context.rules, context.clock(), normal.value) if normal else None
        )
    if rollup is None:
        raise HTTPException(404, f"no account found for {account[:64]}")
    return answer(window_of(request).show(rollup))
