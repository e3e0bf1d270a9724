"""A journey: one person's identifiers, links, moments and facts, and the lifecycle derived from them."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from sys import intern
from typing import Any, NamedTuple

import msgspec

from projections.identifiers import RANK, Identifier
from projections.journey.arrays import is_empty, joined
from projections.journey.handoffs import Handoff
from projections.journey.lifecycle import Lifecycle, begin, hear, step
from projections.journey.moments import SESSION_GAP, GroupKey, Moment, absorb
from projections.milestones import MILESTONES
from projections.playbook.model import Rules
from projections.playbook.terms import DAY
from schemas.errors import TandemError

Order = tuple[int, bytes, str]  #: law 2's order: occurred_at in microseconds, event id, source

#: Why links are refused, beside the type of a limit: several people use the device; a form alone does not join
#: anybody to a known person; a ruling parted them; the identifier is in quarantine. UNJUDGED is never stored.
CONTESTED, CLAIM, SPLIT, BREAKER = "contested", "claim", "split", "breaker"
UNJUDGED = "unjudged"


class Known(msgspec.Struct, array_like=True, order=True, gc=False):
    """An identifier of a journey, and the first event that named it. Times are microseconds since 1970 UTC."""

    key: bytes
    type: str
    value: str
    at: int
    id: bytes
    source: str
    #: time of the last event that named it; the fold moves it in place
    last: int

    @property
    def order(self) -> Order:
        """Law 2's order."""
        return (self.at, self.id, self.source)


class Link(msgspec.Struct, array_like=True, order=True, gc=False):
    """Two identifiers that an event says are one person; `a` is the strongest one of the event.

    Of several events that say the same, the first by (authority, order) is kept: the others change nothing.
    """

    a: bytes
    b: bytes
    #: projections/subjects.py: smaller is stronger
    authority: int
    at: int
    id: bytes
    source: str
    #: why it joins nobody: the identifier type whose limit it breaks, or one of the reasons above; None where it holds
    refused: str | None = None

    @property
    def order(self) -> Order:
        """Law 2's order, of the statement that counts."""
        return (self.at, self.id, self.source)

    @property
    def strength(self) -> tuple[int, int, bytes, str]:
        """Links are judged in this order."""
        return (self.authority, self.at, self.id, self.source)


FactPlace = tuple[bytes, str, str, str, int]


class Fact(msgspec.Struct, array_like=True, order=True, gc=False):
    """What one source said last about a trait, a consent or the owner; of some traits, what it said first.

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
        """One fact is kept for each."""
        return (self.anchor, self.kind, self.name, self.source, self.at // SESSION_GAP if self.device else 0)

    @property
    def order(self) -> Order:
        """Law 2's order."""
        return (self.at, self.id, self.source)


class State(msgspec.Struct, array_like=True):
    """A journey as it is stored: every list sorted, so that equal journeys are equal bytes."""

    format: int
    identifiers: list[Known]
    links: list[Link]
    moments: list[Moment]
    facts: list[Fact]
    life: Lifecycle


class _Unread(msgspec.Struct, array_like=True):
    """The same, of which moments and life are as they are stored."""

    format: int
    identifiers: list[Known]
    links: list[Link]
    moments: msgspec.Raw
    facts: list[Fact]
    life: msgspec.Raw


_MOMENT_BYTES = 640  #: of a moment that was decoded, about
FORMAT = 3  #: of State; a reader that meets another one must rebuild

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder, _unread = msgspec.msgpack.Decoder(State), msgspec.msgpack.Decoder(_Unread)
_moments, _life = msgspec.msgpack.Decoder(list[Moment]), msgspec.msgpack.Decoder(Lifecycle)


class UnknownStateFormat(TandemError):
    """The database holds journeys that another version of Tandem folded. Use that version, or a fresh database."""


class Stored(NamedTuple):
    """What a journey's stored row says, as far as the feed tells what became of it."""

    stage: int
    audiences: Sequence[str]
    #: that are stored for it; None where only a look at their rows would tell
    handoffs: Sequence[Handoff] | None
    credit: Mapping[tuple[str | None, str | None, str], int]


class Past(NamedTuple):
    """What a journey remembers as it is stored: most of what is folded on never asks for it."""

    moments: msgspec.Raw
    #: what stepping through them gives; None where that was by other terms
    life: msgspec.Raw | None
    #: time of the last event; microseconds since 1970 UTC
    until: int
    #: (account, since) of each change of account that they name
    stays: list[tuple[str, int]]


class Journey:
    """The working copy of one journey. Only the fold changes it.

    Invariants: `moments` holds one moment for each milestone and group. While `settled`, they are sorted by law 2's
    order and `life` is what stepping through them gives. While there is a `past`, it holds the moments up to a time,
    and `recent` those after it: no group has some of both.
    """

    __slots__ = (
        *("component", "day", "events", "facts", "groups", "identifiers", "inherited", "journey_id", "last_seen"),
        *("life", "links", "past", "recent", "rev", "scored", "settled", "stored", "weighed"),
    )

    def __init__(self, journey_id: bytes, rev: int = 0) -> None:
        self.journey_id = journey_id
        #: how often the stored row was written; 0 for a journey that is not stored yet
        self.rev = rev
        #: what the stored row says; None for a journey that is not stored yet
        self.stored: Stored | None = None
        #: smallest id of the journeys that refused links tie together; None where there are none
        self.component: bytes | None = None
        self.identifiers: dict[bytes, Known] = {}
        self.links: dict[tuple[bytes, bytes], Link] = {}
        #: moments that were not decoded yet; None: there are none
        self.past: Past | None = None
        #: the others, and those of them that are of groups
        self.recent: list[Moment] = []
        self.groups: dict[GroupKey, Moment] = {}
        self.facts: dict[FactPlace, Fact] = {}
        self.life: Lifecycle | None = None
        self.settled = False
        #: distinct events folded, and the time of the last one in microseconds since 1970 UTC (0: none)
        self.events = 0
        self.last_seen = 0
        #: what has scored on the last day; None where that must be found out first
        self.day: int | None = None
        self.scored: set[tuple[str, str | None, str | None]] = set()
        #: what the cache took it for
        self.weighed = 0
        #: a journey that this one has something of, or gave something to, since the stored row was written
        self.inherited: bytes | None = None

    @property
    def moments(self) -> list[Moment]:
        """All moments. Those that were not decoded yet are, now."""
        if self.past is not None:
            self._recollect(self.past)
        return self.recent

    @moments.setter
    def moments(self, moments: list[Moment]) -> None:
        self.past, self.recent = None, moments

    def _recollect(self, past: Past) -> None:
        stored = _moments.decode(past.moments)
        for moment in stored:
            share(moment, self.identifiers)
        groups = {group: moment for moment in stored if (group := moment.group) is not None}
        self.past, self.recent, self.groups = None, stored + self.recent, groups | self.groups

    @property
    def empty(self) -> bool:
        """Whether there are no moments: events have only named its identifiers, in links that were refused."""
        return not self.recent and self.past is None

    @property
    def weight(self) -> int:
        """What it takes in memory, in moments."""
        return len(self.recent) + (0 if self.past is None else memoryview(self.past.moments).nbytes // _MOMENT_BYTES)

    @property
    def refused(self) -> list[Link]:
        """Links that join nobody, each with the reason."""
        return [link for link in self.links.values() if link.refused is not None]

    @property
    def contested(self) -> bool:
        """Whether this is the own journey of a device that several people use."""
        return any(link.refused == CONTESTED and link.b in self.identifiers for link in self.links.values())

    def name(self, identifier: Identifier, order: Order) -> None:
        """Keep when an identifier was named first, and last."""
        key, known = identifier.key, self.identifiers.get(identifier.key)
        if known is None:
            self.identifiers[key] = Known(key, identifier.type, identifier.value, *order, order[0])
        elif order < known.order:
            self.identifiers[key] = Known(key, identifier.type, identifier.value, *order, known.last)
            self.settled = self.settled and not self.empty  # without moments it begins where it was first named
        else:
            known.last = max(known.last, order[0])

    def add(self, moment: Moment, rules: Rules) -> None:
        """Take one event's moment. The newest steps the lifecycle on, in O(1); a late one leaves it to `settle`.

        Both give the same bytes; tests/laws/test_convergence.py proves it.
        """
        self.events += 1
        self.last_seen = max(self.last_seen, moment.at)
        if self.past is not None and moment.kin_since <= self.past.until:
            self._recollect(self.past)  # it may be of a group that there is
        group = moment.group
        if group is not None:
            known = self.groups.get(group)
            if known is not None:
                self._repeat(known, moment, rules)
                return
            share(moment, self.identifiers)
            self.groups[moment.group or group] = moment  # the group, made of what is shared by now
        self.recent.append(moment)
        if self.settled and self.life is not None and self._newest():
            self._step(self.life, moment, rules)
        else:
            self.settled = False

    def _step(self, life: Lifecycle, moment: Moment, rules: Rules) -> None:
        """Step the lifecycle on. What repeats scores once a day, whichever identifiers it names."""
        terms = rules.at(moment.at)
        scores = moment.type in terms.points
        if scores and moment.type not in MILESTONES:
            day = moment.at // DAY
            if self.day is None:
                self._recall(day, rules)
            elif self.day != day:
                self.day, self.scored = day, set()
            what = (moment.type, moment.channel, moment.campaign)
            scores = what not in self.scored
            self.scored.add(what)
        step(life, moment, rules, terms, scores)

    def _recall(self, day: int, rules: Rules) -> None:
        """Find what has scored on a day, all but the last moment being settled."""
        self.day, self.scored = day, set()
        whole = self.past is not None and self.past.until // DAY >= day
        for moment in reversed((self.moments if whole else self.recent)[:-1]):
            if moment.at // DAY != day:
                return
            if moment.type in rules.at(moment.at).points and moment.type not in MILESTONES:
                self.scored.add((moment.type, moment.channel, moment.campaign))

    def _newest(self) -> bool:
        """Whether the last moment of the list is the last by law 2's order."""
        if len(self.recent) < 2:
            return self.past is not None  # then it comes after all that is stored
        before, last = self.recent[-2], self.recent[-1]
        return before.at < last.at or (before.at == last.at and before.order < last.order)

    def _repeat(self, known: Moment, moment: Moment, rules: Rules) -> None:
        """Another event of a group that is there already."""
        if (moment.at <= known.at and moment.order < known.order) or moment.quantity is not None:
            self.settled = False
        elif moment.at > known.last and known.type in rules.shortest_silence:
            # A later moment may have been judged under the shorter silence.
            self.settled &= self.recent[-1].at < known.last + rules.shortest_silence[known.type]
            if self.settled and self.life is not None:
                hear(self.life, moment)
        absorb(known, moment)

    def settle(self, rules: Rules) -> None:
        """Step through all moments again, in order, if some came late: once for however many came."""
        if not self.settled:
            self.derive(rules)

    def learn(self, fact: Fact, rules: Rules) -> None:
        """Keep a fact unless its source has said otherwise later, or earlier where the first value holds."""
        place = fact.place
        known = self.facts.get(place)
        if known is None:
            self.facts[place] = fact
        elif fact.kind == "trait" and fact.name in rules.first_traits:
            if (fact.value is None, fact.order) < (known.value is None, known.order):
                self.facts[place] = fact
        elif known.order < fact.order:
            self.facts[place] = fact

    def derive(self, rules: Rules) -> None:
        """Sort the moments and step through all of them again, or through those after what is stored.

        A journey without moments begins where it was first named.
        """
        self.recent.sort(key=_order)
        past, moments = self.past, self.recent
        if past is not None and past.life is not None and moments and moments[0].at // DAY > past.until // DAY:
            self.life = _life.decode(past.life)
        else:
            moments = self.moments
            first = moments[0].order if moments else earliest(self.identifiers.values()).order
            self.life = begin(rules, *first)
        self.day, self.scored = -1, set()
        for moment in moments:
            self._step(self.life, moment, rules)
        self.settled = True

    def unsettle(self) -> None:
        """Note that other terms hold: everything must be derived again."""
        self.settled = False
        if self.past is not None:
            self.past = self.past._replace(life=None)

    def count(self) -> None:
        """Count events and find the last one again, after moments came from other journeys."""
        self.events = sum(moment.count for moment in self.moments)
        self.last_seen = max((moment.last for moment in self.moments), default=0)

    def renamed(self, journey_id: bytes) -> "Journey":
        """A copy that shares what it remembers, under an id; a new id has no stored row."""
        copy = Journey(journey_id)
        if journey_id == self.journey_id:
            copy.rev, copy.stored, copy.inherited = self.rev, self.stored, self.inherited
        copy.past, copy.recent, copy.groups, copy.facts = self.past, self.recent, self.groups, self.facts
        copy.life, copy.settled, copy.day, copy.scored = self.life, self.settled, self.day, self.scored
        copy.events, copy.last_seen = self.events, self.last_seen
        return copy

    def same(self, other: "Journey") -> bool:
        """Whether both are made of the very same moments and facts, identifiers and links."""
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
        return _encoder.encode(_Unread(FORMAT, identifiers, links, moments, facts, life))


def earliest(identifiers: Iterable[Known]) -> Known:
    """The identifier named first; where one event named several, the strongest. Its key is the journey's id."""
    return min(identifiers, key=_seniority)


def _seniority(known: Known) -> tuple[int, bytes, str, int, str, bytes]:
    return (known.at, known.id, known.source, RANK[known.type], known.value, known.key)


#: law 2's order
_order = attrgetter("at", "id", "source")


def _ends(link: Link) -> tuple[bytes, bytes]:
    return (link.a, link.b)


def decode_journey(journey_id: bytes, rev: int, state: bytes) -> Journey:
    """A stored journey, to be looked at: `resume` gives one to be folded on. Raises UnknownStateFormat."""
    stored = _decoder.decode(state)
    journey = _read(journey_id, rev, stored)
    journey.recent, journey.life = stored.moments, stored.life
    journey.count()
    return journey


def resume(
    journey_id: bytes, rev: int, state: bytes, events: int, last_seen: int, stays: list[tuple[str, int]]
) -> Journey:
    """A stored journey, to be folded on; the other columns of its row spare it a look at its moments.

    `stays`: (account, since) of those that events have named. Raises UnknownStateFormat.
    """
    stored = _unread.decode(state)
    journey = _read(journey_id, rev, stored)
    journey.life = _life.decode(stored.life)
    if not is_empty(stored.moments):
        journey.past = Past(stored.moments, stored.life, last_seen, stays)
        journey.events, journey.last_seen = events, last_seen
    return journey


def _read(journey_id: bytes, rev: int, stored: State | _Unread) -> Journey:
    """All but moments and life."""
    if stored.format != FORMAT:
        raise UnknownStateFormat(
            f"the journeys were folded in format {stored.format}, this version reads {FORMAT}: use the version "
            "that wrote them, or rebuild the projection"
        )
    journey = Journey(journey_id, rev)
    journey.identifiers = {known.key: known for known in stored.identifiers}
    journey.links = {(link.a, link.b): link for link in stored.links}
    journey.facts = {fact.place: fact for fact in stored.facts}
    journey.settled = True
    return journey


def share(moment: Moment, identifiers: Mapping[bytes, Known]) -> None:
    """Let what many moments have in common be one object in memory: each was decoded by itself, and has its own."""
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
