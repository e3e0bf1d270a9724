"""A signed webhook: one delivery, tried until the receiver accepts it."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import structlog

from streams.agents.settings import Webhook

log = structlog.get_logger(__name__)

_ANSWER_BYTES = 65_536  #: of an answer that are read, at most
_LONGEST_WISH = 3_600.0  #: seconds that a Retry-After may ask for


class _NotTaken(Exception):
    """The receiver answered, and not with 2xx."""

    def __init__(self, status: int, retry_after: float) -> None:
        super().__init__(f"HTTP {status}")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one try may take, and how long to wait between two. Seconds."""

    timeout: float = 15.0
    first: float = 0.5  #: pause after the first failure; doubles with each
    longest: float = 60.0

    def pause(self, failures: int, jitter: float) -> float:
        """The pause after so many failures in a row; `jitter` from 0 to 1 spreads it over its upper half."""
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 32)) * (0.5 + 0.5 * jitter)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of Tandem-Signature: HMAC-SHA256 over timestamp, a dot and the body."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


async def deliver(
    client: httpx.AsyncClient,
    webhook: Webhook,
    alert_id: str,
    body: bytes,
    *,
    patience: Patience,
    jitter: Callable[[], float],
    now: Callable[[], datetime],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """POST the body until the receiver answers 2xx. Anything else, a redirect too, is tried again, for ever."""
    failures = 0
    while True:
        try:
            async with asyncio.timeout(patience.timeout):
                return await _post(client, webhook, alert_id, body, now())
        except (_NotTaken, httpx.HTTPError, TimeoutError, OSError) as error:
            failures += 1
            wished = error.retry_after if isinstance(error, _NotTaken) else 0.0
            pause = max(patience.pause(failures, jitter()), wished)
            log.warning(
                "alert not taken", alert=alert_id, error=f"{type(error).__name__} {error}", pause=round(pause, 1)
            )
            await sleep(pause)


async def _post(client: httpx.AsyncClient, webhook: Webhook, alert_id: str, body: bytes, at: datetime) -> None:
    timestamp = str(int(at.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "Tandem-Alert-Id": alert_id,
        "Tandem-Timestamp": timestamp,
        "Tandem-Signature": signature(webhook.secret, timestamp, body),
    }
    async with client.stream("POST", webhook.url, content=body, headers=headers, follow_redirects=False) as answer:
        read = 0
        async for chunk in answer.aiter_raw():  # an incomplete answer does not count
            read += len(chunk)
            if read > _ANSWER_BYTES:
                break
    if not answer.is_success:
        raise _NotTaken(answer.status_code, _retry_after(answer.headers.get("Retry-After"), at))


def _retry_after(text: str | None, now: datetime) -> float:
    """Seconds that the receiver asks us to wait: a number, or a date. 0 where it does not, or not legibly."""
    if text is None:
        return 0.0
    try:
        if text.strip().isdecimal():
            return min(_LONGEST_WISH, float(text))
        at = parsedate_to_datetime(text)
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return min(_LONGEST_WISH, max(0.0, seconds))
