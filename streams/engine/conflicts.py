"""Conflicts: two bodies under one event id. Exactly one of them is the event, whichever came first. Pure."""

from enum import Enum, auto
from hashlib import blake2b

from schemas.canonical import canonical
from schemas.event import Event
from schemas.rejection import Rejection


class Verdict(Enum):
    """What becomes of an event whose id is known with other bytes."""

    ERASED = auto()  #: the known event was erased, so nothing of this one is kept
    DUPLICATE = auto()  #: both say the same in other words
    LOST = auto()  #: the known event stays
    WON = auto()  #: this event takes the known one's place


def judge(body: bytes, body_hash: int, known: bytes | None, known_hash: int) -> Verdict:
    """Compare an event's body with the archived one under the same id; `known` is None where that was erased."""
    if known is None:
        return Verdict.ERASED
    if known_hash == body_hash or same_body(known, body):
        return Verdict.DUPLICATE
    if precedes(known, body):
        return Verdict.LOST
    return Verdict.WON


def same_body(one: bytes, other: bytes) -> bool:
    """Whether two encodings say the same."""
    return canonical(one) == canonical(other)


def precedes(one: bytes, other: bytes) -> bool:
    """Of two bodies under one event id, whether `one` is the event: the smaller BLAKE2b of the canonical body.

    The order of arrival does not decide: it differs from partition to partition and from replay to replay.
    """
    return _rank(one) < _rank(other)


def _rank(body: bytes) -> tuple[bytes, bytes]:
    content = canonical(body)
    return (blake2b(content, digest_size=16).digest(), content)


def conflict(event: Event) -> Rejection:
    """The reason for the dead letter of the body that lost."""
    return Rejection(
        "conflict",
        "id",
        f"another event of {event.source} has the same id and other content; one of the two is applied, "
        "the same one in whatever order they come; send this one again under an id of its own",
    )
