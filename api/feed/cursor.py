"""Cursors of the change feed: opaque to subscribers, a place in the feed of one epoch to us."""

import base64
import binascii
from typing import NamedTuple
from uuid import UUID

from schemas.errors import TandemError

_FEED, _SNAPSHOT = 24, 40  #: bytes of a cursor, without and with a place in a snapshot


class InvalidCursor(TandemError):
    """The text is not a cursor of this API."""


class Cursor(NamedTuple):
    """All changes up to a number were told; `after`, within a snapshot: and all journeys up to that id."""

    epoch: UUID
    seq: int
    after: UUID | None = None

    def __str__(self) -> str:
        after = b"" if self.after is None else self.after.bytes
        raw = self.epoch.bytes + self.seq.to_bytes(8, "big") + after
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parse_cursor(text: str) -> Cursor:
    """The cursor that a text is. Raises InvalidCursor."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor("invalid cursor: take it from an answer of this API, as it is") from error
    seq = int.from_bytes(raw[16:24], "big")
    if len(raw) not in (_FEED, _SNAPSHOT) or seq >= 1 << 63:
        raise InvalidCursor("invalid cursor: take it from an answer of this API, as it is")
    return Cursor(UUID(bytes=raw[:16]), seq, UUID(bytes=raw[24:]) if len(raw) == _SNAPSHOT else None)
