"""Event ids for sources that have ids of their own."""

from uuid import NAMESPACE_URL, UUID, uuid5

NAMESPACE = uuid5(NAMESPACE_URL, "https://tandem.dev/events")


def event_id(source: str, own_id: str) -> UUID:
    """The id of the event that `source` knows as `own_id`: always the same, so sending it twice changes nothing."""
    return uuid5(NAMESPACE, f"{source}\n{own_id}")


def format_id(raw: bytes) -> str:
    """A UUID's 16 bytes as text."""
    return str(UUID(bytes=raw))
