"""The change feed over server-sent events: cuts are mended, no change comes twice, none is missed."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

import httpx
import msgspec

from tandem.answers import RETRIED, checked, pause_before, retry_after
from tandem.errors import ApiError, FeedReset

log = logging.getLogger(__name__)

Jitter = Callable[[], float]

_STREAM = "text/event-stream"
_SILENCE = 15.0  #: seconds without a byte (the API sends something every 5) after which a connection is given up
#: Not every error of transport: an address that is none gets no better.
_CUTS = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a journey, or a journey of a snapshot. docs/reference/api.md says what is in it."""

    #: `created`, `changed`, `merged`, `split`, `vanished`; with a detail `handoff`, `entered`, `left`, `credit`; of a
    #: snapshot `snapshot`, and `live` once it is complete; `reset` (from `follow` alone): a snapshot begins, and what
    #: it does not bring is no more
    kind: str
    cursor: str  #: of who has this change and all before it
    journey_id: str | None = None  #: None with `live` and `reset`
    journey: dict[str, Any] | None = None  #: as it is now, which may be newer than the change; None where it is no more
    seq: int | None = None  #: its number; None in a snapshot, like all that follows
    at: str | None = None  #: when it was committed, RFC 3339
    cause: str | None = None  #: `event`, `identity`, `time` or `playbook`
    related: str | None = None  #: the journey that a merged one went into, or a split one came out of
    stage_from: str | None = None
    stage_to: str | None = None
    detail: dict[str, Any] | None = None  #: what happened to a hand-off, which audience, which credit


class _Message(NamedTuple):
    event: str
    cursor: str
    data: bytes


class Subscription:
    """Changes without end, for `async for`. `cursor` is where one may go on: None before the API has first answered.

    Waits out whatever passes. Raises FeedReset where one cannot go on from the cursor, ApiError for what does not pass.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        filters: Mapping[str, str],
        cursor: str | None,
        snapshot: bool,
        jitter: Jitter,
    ) -> None:
        self.cursor = cursor
        self._client = client
        self._filters = filters
        self._snapshot = snapshot
        self._jitter = jitter

    async def __aiter__(self) -> AsyncGenerator[Change, None]:
        async with aclosing(self.runs()) as runs:
            async for run in runs:
                reached = self.cursor
                for change in run:
                    self.cursor = change.cursor
                    yield change
                self.cursor = reached

    async def runs(self) -> AsyncGenerator[list[Change], None]:
        """The same, in lists of what came together; a list is empty where only the cursor has moved."""
        tries = 0
        while True:
            heard = 0
            try:
                async with aclosing(self._connect()) as received:
                    async for run, cursor in received:
                        heard += 1 + len(run)
                        self.cursor = cursor
                        yield run
                why, asked = "the stream ended", 0.0
            except httpx.HTTPStatusError as error:
                why, asked = f"the API answered {error.response.status_code}", retry_after(error.response)
            except _CUTS as error:
                why, asked = str(error) or type(error).__name__, 0.0
            # the first thing heard is only a greeting: it says nothing of whether the database answers
            tries = 0 if heard > 1 else tries + 1
            pause = max(asked, pause_before(tries, self._jitter()))
            log.warning("the change feed was cut (%s); on again in %.1f s", why, pause)
            await asyncio.sleep(pause)

    async def _connect(self) -> AsyncGenerator[tuple[list[Change], str], None]:
        """(what came together, the cursor then), over one connection."""
        place = {"snapshot": "true"} if self._snapshot else {}
        if self.cursor is not None:
            place = {"cursor": self.cursor}
        async with self._client.stream(
            "GET", "/v1/changes", params={**self._filters, **place}, headers={"Accept": _STREAM}, timeout=_SILENCE
        ) as answer:
            await _check(answer)
            async for messages in _messages(answer):
                run = [change for message in messages if (change := _change_of(message)) is not None]
                placed = [message.cursor for message in messages if message.cursor]
                if placed:
                    yield run, placed[-1]
                if messages[-1].event == "reset":
                    raise FeedReset(msgspec.json.decode(messages[-1].data)["reason"])


async def _check(answer: httpx.Response) -> None:
    """Raises HTTPStatusError for what passes, FeedReset, or ApiError."""
    if answer.status_code == httpx.codes.OK and answer.headers.get("content-type", "").startswith(_STREAM):
        return
    await answer.aread()
    if answer.status_code in RETRIED:
        answer.raise_for_status()
    if answer.status_code == httpx.codes.GONE:
        raise FeedReset("410 Gone")
    if not answer.is_success:
        checked(answer)
    raise ApiError(answer.status_code, "No stream", f"{answer.url} answers without a stream: is it Tandem's API?")


async def _messages(answer: httpx.Response) -> AsyncGenerator[list[_Message], None]:
    """Server-sent events, in lists of those that came together; what was cut in its middle is none."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *frames, rest = (rest + chunk).split(b"\n\n")
        messages = [message for frame in frames if (message := _message_of(frame)) is not None]
        if messages:
            yield messages


def _message_of(frame: bytes) -> _Message | None:
    fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line)
    if b"event" not in fields:
        return None
    return _Message(fields[b"event"].decode(), fields.get(b"id", b"").decode(), fields[b"data"])


def _change_of(message: _Message) -> Change | None:
    if message.event == "change":
        return msgspec.convert(msgspec.json.decode(message.data) | {"cursor": message.cursor}, Change)
    if message.event == "journey":
        journey = msgspec.json.decode(message.data)
        return Change(kind="snapshot", cursor=message.cursor, journey_id=journey["journey_id"], journey=journey)
    return Change(kind="live", cursor=message.cursor) if message.event == "live" else None
