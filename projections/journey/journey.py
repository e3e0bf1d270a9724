"""A journey: one person's identifiers, links, moments and facts, and the lifecycle derived from them."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from sys import intern
from typing import NamedTuple

import msgspec

from projections.identifiers import RANK, Identifier
from projections.journey.arrays import is_empty, joined
from projections.journey.facts import Fact, FactPlace
from projections.journey.handoffs import Handoff
from projections.journey.life import Lifecycle
from projections.journey.links import CONTESTED, Known, Link
from projections.journey.moments import GroupKey, Moment
from schemas.errors import TandemError
from schemas.event import Order


class State(msgspec.Struct, array_like=True):
    """A journey as it is stored: every list sorted, so that equal journeys are equal bytes."""

    format: int
    identifiers: list[Known]
    links: list[Link]
    moments: list[Moment]
    facts: list[Fact]
    life: Lifecycle


class _LazyState(msgspec.Struct, array_like=True):
    """The same, with moments and life not decoded."""

    format: int
    identifiers: list[Known]
    links: list[Link]
    moments: msgspec.Raw
    facts: list[Fact]
    life: msgspec.Raw


_MOMENT_BYTES = 640  #: that a decoded moment takes in memory, about
FORMAT = 3  #: of State; journeys in another format must be rebuilt

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder, _lazy_decoder = msgspec.msgpack.Decoder(State), msgspec.msgpack.Decoder(_LazyState)
_moments_decoder, _life_decoder = msgspec.msgpack.Decoder(list[Moment]), msgspec.msgpack.Decoder(Lifecycle)


class UnknownStateFormat(TandemError):
    """The database holds journeys that another version of Tandem folded. Use that version, or a fresh database."""


class Stored(NamedTuple):
    """What a journey's stored row says: the feed tells what changed since."""

    stage: int
    audiences: Sequence[str]
    #: its stored hand-offs; None where only their rows would tell
    handoffs: Sequence[Handoff] | None
    credit: Mapping[tuple[str | None, str | None, str], int]


class Past(NamedTuple):
    """Stored moments that were not decoded yet: most journeys are folded on without a look at them."""

    moments: msgspec.Raw
    #: what stepping through them gives; None where that was under other terms
    life: msgspec.Raw | None
    #: time of the last event; microseconds since 1970 UTC
    until: int
    #: (account, since) of each change of account that they name
    stays: list[tuple[str, int]]

    def decode_moments(self) -> list[Moment]:
        """The moments, in order."""
        return _moments_decoder.decode(self.moments)

    def decode_life(self) -> Lifecycle | None:
        """A fresh copy of the lifecycle after them; None where it was under other terms."""
        return None if self.life is None else _life_decoder.decode(self.life)


class Journey:
    """The working copy of one journey. Only the fold changes it: journey/lifecycle.py adds moments and settles them.

    Invariants: `moments` holds one moment for each milestone and group. While `settled`, they are sorted by law 2's
    order and `life` is what stepping through them gives. While there is a `past`, it holds the moments up to a time
    and `recent` those after it: no group has moments in both.
    """

    __slots__ = (
        *("component", "day", "events", "facts", "groups", "identifiers", "inherited", "journey_id", "last_seen"),
        *("life", "links", "past", "recent", "rev", "scored", "settled", "stored", "weighed"),
    )

    def __init__(self, journey_id: bytes, rev: int = 0) -> None:
        self.journey_id = journey_id
        #: how often the row was written; 0: the journey is not stored yet
        self.rev = rev
        #: what the stored row says; None: the journey is not stored yet
        self.stored: Stored | None = None
        #: smallest id of the journeys that refused links tie together; None where there are none
        self.component: bytes | None = None
        self.identifiers: dict[bytes, Known] = {}
        self.links: dict[tuple[bytes, bytes], Link] = {}
        #: moments that were not decoded yet; None where there are none
        self.past: Past | None = None
        #: all other moments, and those of them that belong to a group
        self.recent: list[Moment] = []
        self.groups: dict[GroupKey, Moment] = {}
        self.facts: dict[FactPlace, Fact] = {}
        self.life: Lifecycle | None = None
        self.settled = False
        #: distinct events folded, and the time of the last one in microseconds since 1970 UTC (0: none)
        self.events = 0
        self.last_seen = 0
        #: the last day, and what has scored on it; None where that must be worked out first
        self.day: int | None = None
        self.scored: set[tuple[str, str | None, str | None]] = set()
        #: its weight when the cache weighed it last
        self.weighed = 0
        #: a journey that this one took something from, or gave something to, since the row was written
        self.inherited: bytes | None = None

    @property
    def moments(self) -> list[Moment]:
        """All moments; decodes the stored ones."""
        if self.past is not None:
            self.recollect(self.past)
        return self.recent

    @moments.setter
    def moments(self, moments: list[Moment]) -> None:
        self.past, self.recent = None, moments

    def recollect(self, past: Past) -> None:
        """Decode the stored moments."""
        stored = past.decode_moments()
        for moment in stored:
            share(moment, self.identifiers)
        groups = {group: moment for moment in stored if (group := moment.group) is not None}
        self.past, self.recent, self.groups = None, stored + self.recent, groups | self.groups

    @property
    def empty(self) -> bool:
        """Whether there are no moments: events named its identifiers only in links that were refused."""
        return not self.recent and self.past is None

    @property
    def weight(self) -> int:
        """Its size in memory, in moments."""
        return len(self.recent) + (0 if self.past is None else memoryview(self.past.moments).nbytes // _MOMENT_BYTES)

    @property
    def refused(self) -> list[Link]:
        """Links that join nobody; each has its reason."""
        return [link for link in self.links.values() if link.refused is not None]

    @property
    def contested(self) -> bool:
        """Whether this is the journey of a device that several people use."""
        return any(link.refused == CONTESTED and link.b in self.identifiers for link in self.links.values())

    def record_identifier(self, identifier: Identifier, order: Order) -> None:
        """Note that an event named an identifier: its first and its last event are kept."""
        key, known = identifier.key, self.identifiers.get(identifier.key)
        if known is None:
            self.identifiers[key] = Known(key, identifier.type, identifier.value, *order, order[0])
        elif order < known.order:
            self.identifiers[key] = Known(key, identifier.type, identifier.value, *order, known.last)
            self.settled = self.settled and not self.empty  # a journey without moments begins where it was first named
        else:
            known.last = max(known.last, order[0])

    def learn(self, fact: Fact, first_traits: frozenset[str]) -> None:
        """Keep a fact unless its source stated another one later; of `first_traits`, earlier."""
        place = fact.place
        known = self.facts.get(place)
        if known is None:
            self.facts[place] = fact
        elif fact.kind == "trait" and fact.name in first_traits:
            if (fact.value is None, fact.order) < (known.value is None, known.order):
                self.facts[place] = fact
        elif known.order < fact.order:
            self.facts[place] = fact

    def unsettle(self) -> None:
        """Note that other terms are in force: everything must be derived again."""
        self.settled = False
        if self.past is not None:
            self.past = self.past._replace(life=None)

    def count(self) -> None:
        """Count events and find the last one again, after moments came from other journeys."""
        self.events = sum(moment.count for moment in self.moments)
        self.last_seen = max((moment.last for moment in self.moments), default=0)

    def with_id(self, journey_id: bytes) -> "Journey":
        """A copy under an id, without identifiers and links, that shares moments and facts. A new id has no row."""
        copy = Journey(journey_id)
        if journey_id == self.journey_id:
            copy.rev, copy.stored, copy.inherited = self.rev, self.stored, self.inherited
        copy.past, copy.recent, copy.groups, copy.facts = self.past, self.recent, self.groups, self.facts
        copy.life, copy.settled, copy.day, copy.scored = self.life, self.settled, self.day, self.scored
        copy.events, copy.last_seen = self.events, self.last_seen
        return copy

    def same(self, other: "Journey") -> bool:
        """Whether both have the very same moments, and equal facts, identifiers and links."""
        return (
            self.identifiers == other.identifiers
            and self.links == other.links
            and self.facts == other.facts
            and self.past is other.past
            and (
                self.recent is other.recent
                or {id(moment) for moment in self.recent} == {id(moment) for moment in other.recent}
            )
        )

    def encode(self) -> bytes:
        """The stored bytes."""
        assert self.life is not None, "a journey is derived before it is stored"
        assert self.settled, "a journey is settled before it is stored"
        identifiers, links = sorted(self.identifiers.values()), sorted(self.links.values(), key=_ends)
        facts = [self.facts[place] for place in sorted(self.facts)]
        if self.past is None:
            return _encoder.encode(State(FORMAT, identifiers, links, self.recent, facts, self.life))
        moments = joined(self.past.moments, _encoder.encode(self.recent))
        life = msgspec.Raw(_encoder.encode(self.life))
        return _encoder.encode(_LazyState(FORMAT, identifiers, links, moments, facts, life))


def earliest(identifiers: Iterable[Known]) -> Known:
    """The identifier named first; where one event named several, the strongest. Its key is the journey's id."""
    return min(identifiers, key=_seniority)


def _seniority(known: Known) -> tuple[int, bytes, str, int, str, bytes]:
    return (known.at, known.id, known.source, RANK[known.type], known.value, known.key)


_ends = attrgetter("a", "b")


def decode_journey(journey_id: bytes, rev: int, state: bytes) -> Journey:
    """A stored journey to read; `resume` gives one to fold on. Raises UnknownStateFormat."""
    stored = _decoder.decode(state)
    journey = _read(journey_id, rev, stored)
    journey.recent, journey.life = stored.moments, stored.life
    journey.count()
    return journey


def resume(
    journey_id: bytes, rev: int, state: bytes, events: int, last_seen: int, stays: list[tuple[str, int]]
) -> Journey:
    """A stored journey to fold on. With the other columns of its row it need not decode its moments.

    `stays`: (account, since) of the accounts that events named. Raises UnknownStateFormat.
    """
    stored = _lazy_decoder.decode(state)
    journey = _read(journey_id, rev, stored)
    journey.life = _life_decoder.decode(stored.life)
    if not is_empty(stored.moments):
        journey.past = Past(stored.moments, stored.life, last_seen, stays)
        journey.events, journey.last_seen = events, last_seen
    return journey


def _read(journey_id: bytes, rev: int, stored: State | _LazyState) -> Journey:
    """The journey without moments and life."""
    if stored.format != FORMAT:
        raise UnknownStateFormat(
            f"the journeys are stored in format {stored.format}, this version reads format {FORMAT}: use the version "
            "that wrote them, or rebuild the projection"
        )
    journey = Journey(journey_id, rev)
    journey.identifiers = {known.key: known for known in stored.identifiers}
    journey.links = {(link.a, link.b): link for link in stored.links}
    journey.facts = {fact.place: fact for fact in stored.facts}
    journey.settled = True
    return journey


def share(moment: Moment, identifiers: Mapping[bytes, Known]) -> None:
    """Let equal values of many moments be one object in memory: each decoded moment has its own copies."""
    moment.source, moment.type = intern(moment.source), intern(moment.type)
    if moment.channel is not None:
        moment.channel = intern(moment.channel)
    if moment.campaign is not None:
        moment.campaign = intern(moment.campaign)
    anchor = identifiers.get(moment.anchor)
    if anchor is not None:
        moment.anchor = anchor.key
    device = None if moment.device is None else identifiers.get(moment.device)
    if device is not None:
        moment.device = device.key
