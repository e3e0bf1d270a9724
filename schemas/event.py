"""Events as the fold sees them."""

import msgspec

#: Law 2's order of events: occurred_at in microseconds since 1970 UTC, event id, source.
Order = tuple[int, bytes, str]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One fact, checked against its contract and upcast to its type's current version."""

    id: bytes  #: 16 bytes of the UUID
    source: str
    type: str
    version: int  #: as in the log, before upcasting
    occurred_at: int  #: microseconds since 1970 UTC; the source's claim
    #: (type, value) as the source wrote them; integers as decimal text, without nulls
    identities: tuple[tuple[str, str], ...]
    consent: dict[str, bool]
    #: the Struct of the type's current version; a dict for custom types
    data: object

    @property
    def order(self) -> Order:
        """The event's place in law 2's order."""
        return (self.occurred_at, self.id, self.source)
