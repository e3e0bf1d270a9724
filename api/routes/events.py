"""`POST /v1/events`."""

import zlib
from functools import cache
from typing import Annotated

import structlog
from fastapi import Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import Refused, caller_of
from api.access.policy import may_publish
from api.access.publishing import admission_of
from api.context import context_of
from api.http.answers import answer
from api.http.problems import problem
from api.http.strict_parameters import strict_router
from api.joint_events import NO_BROKER, NotPublished
from schemas.answers.events import Published
from schemas.departments import TopicDepartment
from streams.gateway import MAX_BODY, BrokerUnavailable, InvalidBody

log = structlog.get_logger(__name__)
router = strict_router()


class TooLarge(Exception):
    """The body is larger than a request may be."""


@router.post(
    "/v1/events",
    operation_id="publish_events",
    summary="Publish one event or an array of events",
    responses={
        200: {"description": "One result per event, in order: accepted (acknowledged by the broker) or rejected"},
        400: {"description": "The body as a whole is not JSON"},
        413: {"description": "The body is too large"},
        503: {"description": "The broker did not acknowledge; send the same events again"},
    },
)
async def publish(
    request: Request,
    department: Annotated[TopicDepartment | None, Query(description="Whose topic: required")] = None,
    owner: Annotated[TopicDepartment | None, Query(deprecated=True, description="Use `department`")] = None,
) -> Response:
    """Each event gets its own result: a bad one does not cost its neighbours. The content type does not matter."""
    topic = _topic(department, owner)
    caller = caller_of(request)
    key = None if caller is None else caller.key
    if caller is not None and not may_publish(caller.roles, key.department if key else None, topic):
        raise Refused(403, "another department's topic")
    gateway = context_of(request).gateway
    if gateway is None:
        raise NotPublished("No broker", NO_BROKER, 60)
    try:
        results = await gateway.publish(topic, await _body(request), admission_of(caller))
    except TooLarge:
        return problem(413, "Too large", f"a request has at most {MAX_BODY} bytes: send fewer events at once")
    except (InvalidBody, zlib.error, EOFError) as error:
        return problem(400, "Not JSON", str(error))
    except BrokerUnavailable as error:
        raise NotPublished("Broker unavailable", str(error), 1) from error
    response = answer(Published(results=results))
    if owner is not None:
        response.headers["Deprecation"] = "true"
    return response


def _topic(department: TopicDepartment | None, owner: TopicDepartment | None) -> TopicDepartment:
    """Whose topic is meant. Raises HTTPException 422."""
    if owner is not None:
        _warn_of_owner()
    if department is not None and owner is not None:
        raise HTTPException(422, "give `department` alone: `owner` is its old name")
    topic = department or owner
    if topic is None:
        raise HTTPException(422, "query.department: give marketing, sales or joint")
    return topic


@cache
def _warn_of_owner() -> None:
    """Once for the process."""
    log.warning("a client publishes with the parameter `owner`, which ends with the next release: use `department`")


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
