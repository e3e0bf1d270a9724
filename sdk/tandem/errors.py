"""What can go wrong, by name."""

from collections.abc import Sequence

import msgspec

from tandem.answers import RulingPreview


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says of an error (RFC 9457)."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"


class TandemError(Exception):
    """The root of the SDK's errors."""


class InvalidEvent(TandemError):
    """An event breaks its contract and was not sent. `field` is a dotted path: correct this field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class BufferFull(TandemError):
    """No place in the buffer became free in time; the event was not taken: emit it again later."""


class DeliveryFailed(TandemError):
    """An event was not delivered. `reason` is the server's word for a refused event, else the error's name."""

    def __init__(self, event_id: str, reason: str, message: str) -> None:
        super().__init__(f"event {event_id} was not delivered ({reason}): {message}")
        self.event_id = event_id
        self.reason = reason


class Undelivered(TandemError):
    """The producer was closed while events had failed; `events` holds (id, bytes) of each: keep or send them again."""

    def __init__(self, events: Sequence[tuple[str, bytes]]) -> None:
        ids = ", ".join(event_id for event_id, _ in events[:5])
        super().__init__(f"{len(events)} events were not delivered: {ids}{', ...' if len(events) > 5 else ''}")
        self.events = tuple(events)


class ApiError(TandemError):
    """The API refused a request: `status` is the HTTP status, `title` the kind of error, `detail` says what to do."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail


class NotFound(ApiError):
    """The API knows nothing of this name: check it, or wait until the first event about it has been read."""


class ConfirmationNeeded(ApiError):
    """A ruling moves more than it may without confirmation. `preview` says what; rule again with `confirm=True`."""

    def __init__(self, status: int, title: str, detail: str, preview: RulingPreview) -> None:
        super().__init__(status, title, detail)
        self.preview = preview


class FeedReset(TandemError):
    """A subscription cannot go on from its cursor: subscribe again with `snapshot=True`.

    `reason`: `too_old`, `other_epoch`, `ahead`, or what the API said instead.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the feed cannot go on from this cursor ({reason}): subscribe again with snapshot=True")
        self.reason = reason


class FollowedTwice(TandemError):
    """Another process moves the cursor of this name; nothing was written. Stop one, or give them different names."""

    def __init__(self, name: str) -> None:
        super().__init__(f"another process follows as {name!r}: stop one of the two, or give them different names")
        self.name = name
