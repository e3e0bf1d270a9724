"""Decisions of people as joint events: rulings, decisions about hand-offs, proposals and what is said of them."""

import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException

from api.context import Context
from projections.text import time_text
from schemas.answers.events import Accepted, Rejected
from streams.gateway import BrokerUnavailable

NO_BROKER = "this API was started without a broker"


class NotPublished(Exception):
    """The broker did not take it. `detail` says what to do, `retry_after` when, in seconds."""

    def __init__(self, title: str, detail: str, retry_after: int) -> None:
        super().__init__(f"{title}: {detail}")
        self.title, self.detail, self.retry_after = title, detail, retry_after


async def publish_joint(
    context: Context, type_: str, data: Mapping[str, Any], identities: list[dict[str, str]], at: int, look_at: str
) -> Accepted:
    """Publish a joint event that happens at `at`, microseconds since 1970 UTC.

    `look_at`: where one sees whether it counts although the broker did not acknowledge it. Raises NotPublished, and
    HTTPException 422 where the event breaks its contract.
    """
    if context.gateway is None:
        raise NotPublished("No broker", NO_BROKER, 60)
    event = {
        "id": str(uuid.uuid4()),
        "type": type_,
        "source": "tandem-api",
        "occurred_at": time_text(at),
        "identities": identities,
        "data": data,
    }
    try:
        [result] = await context.gateway.publish("joint", orjson.dumps(event))
    except BrokerUnavailable as error:
        detail = f"{error}. It may count all the same: look at {look_at} before you send it again"
        raise NotPublished("Broker unavailable", detail, 1) from error
    if isinstance(result, Rejected):
        raise HTTPException(422, result.message)
    return result
