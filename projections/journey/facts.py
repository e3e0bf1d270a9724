"""Facts: traits, consents and the owner, as single sources have stated them."""

from typing import Any

import msgspec

from projections.journey.sessions import SESSION_GAP
from schemas.event import Order

FactPlace = tuple[bytes, str, str, str, int]


class Fact(msgspec.Struct, array_like=True, order=True, gc=False):
    """The last value that one source gave for a trait, a consent or the owner; of some traits the first.

    A trait set to null stays as a fact with the value None, so that an older event cannot bring the value back.
    """

    anchor: bytes
    kind: str
    name: str
    at: int
    id: bytes
    source: str
    value: Any
    #: whether the anchor is a device: then facts of different half hours may go to different people
    device: bool

    @property
    def place(self) -> FactPlace:
        """One fact is kept for each place."""
        return (self.anchor, self.kind, self.name, self.source, self.at // SESSION_GAP if self.device else 0)

    @property
    def order(self) -> Order:
        """The order of the event behind it."""
        return (self.at, self.id, self.source)
