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
    """The root of the SDK's errors. Catch it to catch all of them."""


class InvalidEvent(TandemError):
    """An event breaks its contract and was not sent; `field` is a dotted path. Correct the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class BufferFull(TandemError):
    """The buffer had no room in time; the event was not taken. Emit it again later, or raise `max_events`."""


class DeliveryFailed(TandemError):
    """An event was not delivered; `reason` is the server's word, else the error's name.

    Correct a refused event; send others again with the same id.
    """

    def __init__(self, event_id: str, reason: str, message: str) -> None:
        super().__init__(f"event {event_id} was not delivered ({reason}): {message}")
        self.event_id = event_id
        self.reason = reason


class Undelivered(TandemError):
    """The producer was closed while events had failed; `events` holds (id, bytes) of each.

    Store them, and send them again.
    """

    def __init__(self, events: Sequence[tuple[str, bytes]]) -> None:
        ids = ", ".join(event_id for event_id, _ in events[:5])
        super().__init__(f"{len(events)} events were not delivered: {ids}{', ...' if len(events) > 5 else ''}")
        self.events = tuple(events)


class ApiError(TandemError):
    """The API answered with an error. Do what its `detail` says."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail


class NotFound(ApiError):
    """The API knows no such journey or account. Check the identifier: no event has named it yet."""


class ConfirmationNeeded(ApiError):
    """A ruling moves more than may be moved unasked; `preview` says what. Publish it again with `confirm=True`."""

    def __init__(self, status: int, title: str, detail: str, preview: RulingPreview) -> None:
        super().__init__(status, title, detail)
        self.preview = preview


class FeedReset(TandemError):
    """The cursor cannot be resumed; `reason` is `too_old`, `other_epoch`, `ahead`, or what the API said.

    Subscribe again with `snapshot=True`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the feed cannot go on from this cursor ({reason}): subscribe again with snapshot=True")
        self.reason = reason


class FollowedTwice(TandemError):
    """Another process moves the cursor of this name; nothing was written.

    Stop one of the two, or give them different names.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"another process follows as {name!r}: stop one of the two, or give them different names")
        self.name = name
