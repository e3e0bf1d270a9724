"""`POST /v1/events`."""

import zlib
from typing import Annotated, Literal

import orjson
from fastapi import Query, Request
from starlette.responses import Response

from api.access.caller import Refused, caller_of
from api.access.policy import may_publish
from api.access.publishing import admission_of
from api.context import context_of
from api.http.problems import problem
from api.http.strict_parameters import strict_router
from streams.gateway import MAX_BODY, BrokerUnavailable, InvalidBody

router = strict_router()


class TooLarge(Exception):
    """The body is larger than a request may be."""


@router.post(
    "/v1/events",
    summary="Publish one event or an array of events",
    responses={
        200: {"description": "One answer per event, in order: accepted (acknowledged by the broker) or rejected"},
        400: {"description": "The body as a whole is not JSON"},
        413: {"description": "The body is too large"},
        503: {"description": "The broker did not acknowledge; send the same events again"},
    },
)
async def publish(request: Request, owner: Annotated[Literal["marketing", "sales", "joint"], Query()]) -> Response:
    """Each event is answered for itself: a bad one does not cost its neighbours. The content type is not looked at."""
    caller = caller_of(request)
    key = None if caller is None else caller.key
    if caller is not None and not may_publish(caller.roles, key.department if key else None, owner):
        raise Refused(403, "another department's topic")
    gateway = context_of(request).gateway
    if gateway is None:
        return problem(503, "No broker", "this API was started without a broker", Retry_After="60")
    try:
        answers = await gateway.publish(owner, await _body(request), admission_of(caller))
    except TooLarge:
        return problem(413, "Too large", f"a request has at most {MAX_BODY} bytes: send fewer events at once")
    except (InvalidBody, zlib.error, EOFError) as error:
        return problem(400, "Not JSON", str(error))
    except BrokerUnavailable as error:
        return problem(503, "Broker unavailable", str(error), Retry_After="1")
    return Response(orjson.dumps({"results": answers}), media_type="application/json")


async def _body(request: Request) -> bytes:
    """The request's body, decompressed. Raises TooLarge as soon as it is."""
    gzip = request.headers.get("content-encoding", "").lower() == "gzip"
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if gzip else None
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        part = inflate.decompress(chunk, MAX_BODY + 1 - size) if inflate else chunk
        parts.append(part)
        size += len(part)
        if size > MAX_BODY:
            raise TooLarge
    return b"".join(parts)
