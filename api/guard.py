"""What every request passes first: whoever may not, gets no further."""

import asyncio
import time

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.caller import Caller, Refused, identify
from api.access.policy import endpoints_of, is_open, may
from api.context import Context
from api.http.problems import problem
from streams.loopback import comes_from_here

log = structlog.get_logger(__name__)

_OFF = "access is off, and the request does not come from this machine: set TANDEM_ACCESS=on"


def guard(app: ASGIApp) -> ASGIApp:
    """Let through what the policy allows, and end it when its credentials end. There are no websockets."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        elif scope["type"] != "http":
            await app(scope, receive, send)
        else:
            try:
                caller = await _admit(scope)
            except Refused as refused:
                await refusal(refused, scope)(scope, receive, send)
            else:
                await _until_expired(app, caller, scope, receive, send)

    return guarded


async def _admit(scope: Scope) -> Caller | None:
    """Who asks, noted in the request's state; None while access is off. Raises Refused."""
    context: Context = scope["app"].state.context
    endpoints = endpoints_of(scope["method"], scope["path"])
    if is_open(endpoints):
        return None
    if context.access is None:
        if not comes_from_here(scope["headers"]):
            raise Refused(403, _OFF)
        return None
    caller = await identify(context.access, scope["headers"])
    if not may(caller.roles, endpoints):
        raise Refused(403, "no role that may" if endpoints else "no such endpoint")
    scope.setdefault("state", {}).update(caller=caller, endpoint=endpoints[0])
    return caller


async def _until_expired(app: ASGIApp, caller: Caller | None, scope: Scope, receive: Receive, send: Send) -> None:
    if caller is None or caller.until is None:
        await app(scope, receive, send)
        return
    started = False

    async def sending(message: Message) -> None:
        nonlocal started
        started = True
        await send(message)

    limit = asyncio.timeout(max(0.0, caller.until - time.time()))
    try:
        async with limit:
            await app(scope, receive, sending)
    except TimeoutError:
        if not limit.expired():
            raise
        if started:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await refusal(Refused(401, "the token has expired meanwhile"), scope)(scope, receive, send)


def refusal(refused: Refused, scope: Scope) -> Response:
    """The answer, which is the same for every reason; the log has the reason, and nothing of the request but that."""
    endpoints = endpoints_of(scope["method"], scope["path"])
    log.warning("request refused", status=refused.status, why=refused.why, endpoint=(endpoints or ["none"])[0])
    if refused.status == 401:
        detail = "give a valid token or API key: `Authorization: Bearer ...`"
        return problem(401, "Not authenticated", detail, WWW_Authenticate="Bearer")
    if refused.status == 403:
        # while access is off there are no secrets to hint at
        return problem(403, "Forbidden", _OFF if refused.why == _OFF else "the token or API key may not do this")
    return problem(
        503, "Authorization unavailable", "authorization is temporarily unavailable: try again", Retry_After="1"
    )
