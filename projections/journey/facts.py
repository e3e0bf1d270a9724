"""Facts: traits, consents and the owner, as single sources have stated them."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from projections.identifiers import ANONYMOUS
from projections.journey.sessions import SESSION_GAP
from projections.subjects import Subject
from schemas.event import Event, Order

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


@cache
def _may_state_facts(kind: type) -> bool:
    """Whether data of this class may state facts."""
    return hasattr(kind, "owner") or hasattr(kind, "traits")


def facts_of(event: Event, subject: Subject) -> Sequence[Fact]:
    """The facts that the event states, by anchor: after a split they stay with the anchor's person."""
    data: Any = event.data
    if not event.consent and not _may_state_facts(data.__class__):
        return ()
    order, anchor = event.order, subject.anchor
    key, device = anchor.key, anchor.type == ANONYMOUS
    facts = [Fact(key, "consent", purpose, *order, granted, device) for purpose, granted in event.consent.items()]
    owner = getattr(data, "owner", None)
    if owner is not None:
        facts.append(Fact(key, "owner", "", *order, owner, device))
    traits = (getattr(data, "traits", None) or {}).items()
    return facts + [Fact(key, "trait", name, *order, value, device) for name, value in traits]
