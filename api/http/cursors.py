"""Cursors of pages: opaque to whoever asks, the place of the last item to us."""

import base64
import binascii
import uuid

from starlette.exceptions import HTTPException

INVALID = "invalid cursor: take it from the page before, as it is"


def cursor_of(place: bytes) -> str:
    """The cursor of a place."""
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def place_of(cursor: str, size: int) -> bytes:
    """The place of a cursor, which has so many bytes. Raises HTTPException 422."""
    try:
        place = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise HTTPException(422, INVALID) from error
    if len(place) != size:
        raise HTTPException(422, INVALID)
    return place


def id_cursor(id_: str) -> str:
    """The cursor behind an item with this UUID."""
    return cursor_of(uuid.UUID(id_).bytes)


def id_behind(cursor: str | None) -> uuid.UUID | None:
    """The UUID of the item that a cursor is behind; None without a cursor. Raises HTTPException 422."""
    return None if cursor is None else uuid.UUID(bytes=place_of(cursor, 16))
