"""The change feed: what a change is, and how it is read from server-sent events."""

import logging
from collections.abc import Callable
from typing import NamedTuple

import httpx
import msgspec

from tandem.answers import ChangeDetail, FeedJourney
from tandem.errors import ApiError, FeedReset
from tandem.responses import RETRIED, check, decoded

log = logging.getLogger("tandem.feed")

Jitter = Callable[[], float]  #: gives numbers from 0 to 1

CHANGES = "/v1/changes"
STREAM = "text/event-stream"
SILENCE = 15.0  #: seconds without a byte (the API sends something every 5) after which a connection is given up
#: Errors that pass. Not every error of transport does: an invalid address stays one.
CUTS = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a journey, or a journey of a snapshot."""

    #: `created`, `changed`, `merged`, `split`, `vanished`; with a detail `handoff`, `entered`, `left`, `credit`; of a
    #: snapshot `snapshot`, and `live` once it is complete; `reset` (from `follow` alone): a snapshot begins, and
    #: journeys that it does not bring no longer exist
    kind: str
    cursor: str = ""  #: of a reader who has this change and all before it
    journey_id: str | None = None  #: None with `live` and `reset`
    journey: FeedJourney | None = None  #: as it is now, perhaps newer than the change; None if it no longer exists
    seq: int | None = None  #: its number; None in a snapshot, like all that follows
    at: str | None = None  #: when it was committed, RFC 3339
    cause: str | None = None  #: `event`, `identity`, `time` or `playbook`
    related: str | None = None  #: the journey that a merged one went into, or that a split one came out of
    stage_from: str | None = None
    stage_to: str | None = None
    detail: ChangeDetail | None = None  #: what happened to a hand-off, which audience, which credit


class Message(NamedTuple):
    """One server-sent event."""

    event: str
    cursor: str
    data: bytes


class Messages:
    """Takes bytes as they come, and gives the messages that are complete; a message cut in its middle is none."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, chunk: bytes) -> list[Message]:
        """The messages that this chunk completes."""
        *frames, self._rest = (self._rest + chunk).split(b"\n\n")
        return [message for frame in frames if (message := _message_of(frame)) is not None]


def _message_of(frame: bytes) -> Message | None:
    fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line)
    if b"event" not in fields:
        return None
    return Message(fields[b"event"].decode(), fields.get(b"id", b"").decode(), fields[b"data"])


def changes_of(messages: list[Message]) -> list[Change]:
    """The changes among messages."""
    return [change for message in messages if (change := _change_of(message)) is not None]


def _change_of(message: Message) -> Change | None:
    if message.event == "change":
        return msgspec.structs.replace(decoded(message.data, Change), cursor=message.cursor)
    if message.event == "journey":
        journey = decoded(message.data, FeedJourney)
        return Change(kind="snapshot", cursor=message.cursor, journey_id=journey.journey_id, journey=journey)
    return Change(kind="live", cursor=message.cursor) if message.event == "live" else None


def cursor_of(messages: list[Message]) -> str | None:
    """The cursor after messages; None if they do not move it."""
    return next((message.cursor for message in reversed(messages) if message.cursor), None)


def refuse_reset(messages: list[Message]) -> None:
    """Raises FeedReset if the API said last that one cannot go on."""
    if messages and messages[-1].event == "reset":
        raise FeedReset(msgspec.json.decode(messages[-1].data)["reason"])


def is_stream(response: httpx.Response) -> bool:
    """Whether the response is the feed; otherwise read its body and `refuse` it."""
    return response.status_code == httpx.codes.OK and response.headers.get("content-type", "").startswith(STREAM)


def refuse(response: httpx.Response) -> None:
    """Raises HTTPStatusError for what passes, FeedReset, or ApiError."""
    if response.status_code in RETRIED:
        response.raise_for_status()
    if response.status_code == httpx.codes.GONE:
        raise FeedReset("410 Gone")
    check(response)
    raise ApiError(response.status_code, "No stream", f"{response.url} answers without a stream: is it Tandem's API?")
