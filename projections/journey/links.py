"""A journey's identifiers, and the links between them."""

import msgspec

from schemas.event import Order

#: Why links are refused, besides the type of a limit. As they are stored; UNJUDGED never is.
CONTESTED = "contested"  #: several people use the device
CLAIM = "claim"  #: a form alone does not join anybody to a known person
SPLIT = "split"  #: a ruling separates them
QUARANTINED = "breaker"  #: one of the identifiers is in quarantine
UNJUDGED = "unjudged"


class Known(msgspec.Struct, array_like=True, order=True, gc=False):
    """An identifier of a journey, and the first event that named it. Times are microseconds since 1970 UTC."""

    key: bytes
    type: str
    value: str
    at: int
    id: bytes
    source: str
    #: time of the last event that named it; the fold updates it in place
    last: int

    @property
    def order(self) -> Order:
        """The order of the first event."""
        return (self.at, self.id, self.source)


class Link(msgspec.Struct, array_like=True, order=True, gc=False):
    """Two identifiers that an event says are one person; `a` is the strongest identifier of the event.

    Of several events that say the same, the first by (authority, order) is kept: the others change nothing.
    """

    a: bytes
    b: bytes
    #: projections/subjects.py: smaller is stronger
    authority: int
    at: int
    id: bytes
    source: str
    #: why it joins nobody: the identifier type whose limit it breaks, or a reason above; None where it holds
    refused: str | None = None

    @property
    def order(self) -> Order:
        """The order of the event that is kept."""
        return (self.at, self.id, self.source)

    @property
    def strength(self) -> tuple[int, int, bytes, str]:
        """Links are judged in this order."""
        return (self.authority, self.at, self.id, self.source)
