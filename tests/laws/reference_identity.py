"""A second opinion on who is who: docs/explanation/identity.md once more, naive and quadratic, from its prose alone.

It shares nothing with the engine but the normal forms and keys of identifiers. Docstrings begin with the
heading of the rule that they follow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import NamedTuple

from projections.identifiers import PERSON_TYPES, RANK, Identifier, later_key, normalise
from schemas.event import Event

DEVICE = "anonymous_id"
JOINED, SPLIT, RELEASED = "identity_joined", "identity_split", "identifier_released"
CRM_MERGE, CRM, LOGIN, FORM = 1, 2, 3, 4
PAUSE = 30 * 60 * 1_000_000  # microseconds

#: (occurred_at, event id, source)
Order = tuple[int, bytes, str]
Group = frozenset[bytes]
#: Keys of two identifiers. Of a ruling: the smaller one first. Of a link: the strongest one first.
Pair = tuple[bytes, bytes]


class Limits(NamedTuple):
    """The playbook's `limits` and `breaker`."""

    #: per type; types that are missing are unlimited
    counts: Mapping[str, int]
    #: per type, microseconds: more than `counts` may not be first named within any strictly shorter span
    windows: Mapping[str, int]
    breaker: int


class ReferencePerson(NamedTuple):
    """One journey."""

    journey_id: bytes
    identifiers: frozenset[bytes]
    #: (event id, source) of the events that count for it
    events: frozenset[tuple[bytes, str]]
    #: (key of the strongest identifier, key of the weaker one, reason) of refused links with an end in `identifiers`
    refused: frozenset[tuple[bytes, bytes, str]]


class Fact(NamedTuple):
    """An ordinary event that names somebody. Rulings and releases are none."""

    order: Order
    weight: int
    #: strongest first; never empty
    identifiers: tuple[Identifier, ...]

    @property
    def strongest(self) -> Identifier:
        """Links: among equals the alphabet decides."""
        return self.identifiers[0]

    @property
    def device(self) -> Identifier | None:
        """The event's device: its first, by alphabet."""
        return next((one for one in self.identifiers if one.type == DEVICE), None)


class Link(NamedTuple):
    """Two identifiers that an event names, and the statement that counts."""

    weight: int
    stated: Order
    strongest: Identifier
    weaker: Identifier

    @property
    def pair(self) -> Pair:
        """What makes two links the same."""
        return self.strongest.key, self.weaker.key

    @property
    def sort_key(self) -> tuple[int, Order, int, bytes]:
        """Round 2: by weight, then (occurred_at, event id, source), then type and key of the weaker identifier."""
        return self.weight, self.stated, RANK[self.weaker.type], self.weaker.key


class Ruling(NamedTuple):
    """The word of a human on two identifiers; sorts by order, then by the two keys."""

    order: Order
    pair: Pair
    joins: bool


class Session(NamedTuple):
    """Events on a contested device without a long pause. Sorts by start, then end, then device."""

    start: int
    end: int
    smallest_device: bytes
    facts: tuple[Fact, ...]


# What the events say


def order_of(event: Event) -> Order:
    """The order of everything that has no better one."""
    return event.occurred_at, event.id, event.source


def named_by(event: Event) -> list[Identifier]:
    """Identifiers: normal forms; values that name nobody are ignored. Accounts are no persons."""
    normal = [normalise(type_, value, None) for type_, value in event.identities if type_ in PERSON_TYPES]
    return [one for one in normal if one is not None]


def releases_of(events: Sequence[Event]) -> list[tuple[bytes, int]]:
    """Releases: every released identifier, with the time."""
    return [(one.key, event.occurred_at) for event in events if event.type == RELEASED for one in named_by(event)]


def as_of(identifier: Identifier, at: int, releases: list[tuple[bytes, int]]) -> Identifier:
    """Releases: from its time on, an identifier is a new one."""
    past = [time for key, time in releases if key == identifier.key and time <= at]
    return identifier._replace(key=later_key(identifier.key, max(past))) if past else identifier


def identifiers_of(event: Event, releases: list[tuple[bytes, int]]) -> tuple[Identifier, ...]:
    """Whom the event names, strongest first, each one once."""
    return tuple(sorted({as_of(one, event.occurred_at, releases) for one in named_by(event)}))


def weight_of(event: Event, identifiers: Iterable[Identifier]) -> int:
    """Links: how much a link weighs depends on the event."""
    types = {one.type for one in identifiers}
    if event.type == "contacts_merged":
        return CRM_MERGE
    if types & {"crm_contact", "crm_lead"}:
        return CRM
    if "user_id" in types or event.type == "email_clicked":
        return LOGIN
    return FORM


def facts_of(events: Sequence[Event], releases: list[tuple[bytes, int]]) -> list[Fact]:
    """All ordinary events that name somebody."""
    facts = []
    for event in events:
        identifiers = identifiers_of(event, releases)
        if event.type not in {JOINED, SPLIT, RELEASED} and identifiers:
            facts.append(Fact(order_of(event), weight_of(event, identifiers), identifiers))
    return facts


def links_of(facts: Iterable[Fact]) -> list[Link]:
    """Links: the strongest identifier with each other one; the strongest statement counts, of equals the smallest."""
    best: dict[Pair, Link] = {}
    for fact in facts:
        for weaker in fact.identifiers[1:]:
            link = Link(fact.weight, fact.order, fact.strongest, weaker)
            best[link.pair] = min(link, best.get(link.pair, link), key=lambda one: one.sort_key)
    return sorted(best.values(), key=lambda one: one.sort_key)


def first_named(facts: Iterable[Fact]) -> dict[bytes, tuple[Order, Identifier]]:
    """For every identifier the first event that names it."""
    first: dict[bytes, tuple[Order, Identifier]] = {}
    for fact in facts:
        for one in fact.identifiers:
            first[one.key] = min((fact.order, one), first.get(one.key, (fact.order, one)))
    return first


def quarantine_of(links: Iterable[Link], breaker: int) -> frozenset[bytes]:
    """Quarantine: linked to more than `breaker` others; refused links count as well."""
    others: dict[bytes, set[bytes]] = {}
    for link in links:
        others.setdefault(link.strongest.key, set()).add(link.weaker.key)
        others.setdefault(link.weaker.key, set()).add(link.strongest.key)
    return frozenset(key for key, linked in others.items() if len(linked) > breaker)


def rulings_of(events: Sequence[Event], releases: list[tuple[bytes, int]], known: frozenset[bytes]) -> list[Ruling]:
    """Round 1: the last ruling on each pair holds. `known`: named by an ordinary event, and not in quarantine."""
    last: dict[Pair, Ruling] = {}
    for event in events:
        if event.type in {JOINED, SPLIT}:
            keys = sorted({one.key for one in identifiers_of(event, releases)} & known)
            for pair in combinations(keys, 2):
                ruling = Ruling(order_of(event), pair, event.type == JOINED)
                last[pair] = max(ruling, last.get(pair, ruling))
    return sorted(last.values())


# Who is one person


@dataclass
class Resolution:
    """The persons in the making. What the events say stays as it is; groups, refusals and claims grow."""

    limits: Limits
    facts: list[Fact]
    first: dict[bytes, tuple[Order, Identifier]]
    quarantine: frozenset[bytes]
    #: without those that have an end in quarantine; strongest first
    links: list[Link]
    rulings: list[Ruling]
    #: the group of each identifier
    group: dict[bytes, Group]
    refused: dict[Pair, str] = field(default_factory=dict)
    claims: list[Link] = field(default_factory=list)
    contested: list[Group] = field(default_factory=list)
    #: somebody of the person that an event counts for, though its device is contested
    counted: dict[Order, bytes] = field(default_factory=dict)

    def type_of(self, key: bytes) -> str:
        """The type of an identifier."""
        return self.first[key][1].type

    def devices_of(self, group: Group) -> Group:
        """The devices among some identifiers."""
        return frozenset(key for key in group if self.type_of(key) == DEVICE)

    def unite(self, sides: Iterable[Group]) -> None:
        """Makes one person of several."""
        united: Group = frozenset().union(*sides)
        self.group.update(dict.fromkeys(united, united))

    def separated(self, sides: Iterable[Group]) -> bool:
        """Round 1: split pairs must stay apart, in all rounds. (No side holds both ends, so the union tells.)"""
        united: Group = frozenset().union(*sides)
        return any(united.issuperset(ruling.pair) for ruling in self.rulings if not ruling.joins)

    def obstacle(self, sides: set[Group]) -> str | None:
        """Why these cannot become one person: a split comes before a broken limit, the strongest type first."""
        if self.separated(sides):
            return "split"
        return next((type_ for type_ in PERSON_TYPES if self.over_limit(type_, sides)), None)

    def over_limit(self, type_: str, sides: set[Group]) -> bool:
        """Limits: the united person would break it, and identifiers of the type come from more than one side."""
        given = [[key for key in side if self.type_of(key) == type_] for side in sides]
        return sum(1 for keys in given if keys) > 1 and self.breaks(type_, [key for keys in given for key in keys])

    def breaks(self, type_: str, keys: Iterable[bytes]) -> bool:
        """Limits: too many of one type; with a window, too many that were first named within a shorter span."""
        if type_ not in self.limits.counts:
            return False
        count = self.limits.counts[type_]
        times = sorted(self.first[key][0][0] for key in keys)
        if type_ not in self.limits.windows:
            return len(times) > count
        window = self.limits.windows[type_]
        return any(sum(1 for time in times if start <= time < start + window) > count for start in times)

    # Round 1

    def round_of_rulings(self) -> None:
        """Joined pairs are united, the last ruling first, ties in descending order of the keys. No limits."""
        for ruling in sorted(self.rulings, reverse=True):
            sides = {self.group[key] for key in ruling.pair}
            if ruling.joins and not self.separated(sides):
                self.unite(sides)

    # Round 2

    def round_of_people(self) -> None:
        """Links between two identifiers of people, and links between two devices, strongest first."""
        for link in self.links:
            if (link.strongest.type == DEVICE) != (link.weaker.type == DEVICE):
                continue
            one = self.group[link.strongest.key] == self.group[link.weaker.key]
            known = self.claims_known(link, self.group) or self.claims_known(link, self.group, weaker=True)
            if link.strongest.type != DEVICE and known and not one and not self.forbidden(link):
                self.claims.append(link)
            else:
                self.judge(link)

    def judge(self, link: Link) -> None:
        """A link unites its two sides unless a split or a limit forbids it; a crm-merge heeds only splits."""
        sides = {self.group[key] for key in link.pair}
        reason = self.obstacle(sides)
        if reason is None or (link.weight == CRM_MERGE and reason != "split"):
            self.unite(sides)
        else:
            self.refused[link.pair] = reason

    # Round 3

    def round_of_devices(self) -> None:
        """Devices go to people as a whole, in the order of their strongest link to a person."""
        people = dict(self.group)  # as of round 2
        work: dict[Group, list[Link]] = {}
        for link in self.links:  # in order, and so are the keys of a dict
            if link.strongest.type != DEVICE and link.weaker.type == DEVICE:
                work.setdefault(self.devices_of(people[link.weaker.key]), []).append(link)
        for devices, links in work.items():
            given = people[min(devices)] != devices  # a ruling has given them to a person
            (self.judge_one_by_one if given else self.judge_as_a_whole)(links, people)

    def forbidden(self, link: Link) -> bool:
        """A link that a split forbids."""
        return self.separated({self.group[key] for key in link.pair})

    def is_claim(self, link: Link, people: Mapping[bytes, Group]) -> bool:
        """A form, after a user id or CRM contact of that person (as of round 2) was first named."""
        return self.claims_known(link, people)

    def claims_known(self, link: Link, people: Mapping[bytes, Group], *, weaker: bool = False) -> bool:
        """A form, after a user id or CRM contact of the person on one side was first named."""
        side = link.weaker.key if weaker else link.strongest.key
        known = [key for key in people[side] if self.type_of(key) in {"user_id", "crm_contact"}]
        return link.weight == FORM and any(self.first[key][0] < link.stated for key in known)

    def judge_one_by_one(self, links: list[Link], people: Mapping[bytes, Group]) -> None:
        """A device that a ruling has given to a person stays; its links are judged as in round 2, claims as here."""
        for link in links:
            if not self.forbidden(link) and self.is_claim(link, people):
                self.claims.append(link)
            else:
                self.judge(link)

    def judge_as_a_whole(self, links: list[Link], people: Mapping[bytes, Group]) -> None:
        """All people of the remaining links and the device become one person, or all these links are refused."""
        forbidden = [link for link in links if self.forbidden(link)]
        claims = [link for link in links if link not in forbidden and self.is_claim(link, people)]
        remaining = [link for link in links if link not in forbidden and link not in claims]
        self.refused.update((link.pair, "split") for link in forbidden)
        self.claims.extend(claims)
        persons = {self.group[link.strongest.key] for link in remaining}
        device = self.group[links[0].weaker.key]
        reason = self.obstacle(persons | {device})
        if reason is None:
            self.unite(persons | {device})
            return
        if len(persons) > 1:
            reason = "contested"
            self.contested.append(device)
        self.refused.update((link.pair, reason) for link in remaining)

    # Round 4

    def round_of_sessions(self) -> None:
        """Each session of a contested device is taken as a device of its own, in order of its start."""
        for session in sorted(session for devices in self.contested for session in self.sessions(devices)):
            named = sorted(self.named_in(session))
            persons = {self.group[key] for key in named}
            if named and self.obstacle(persons) is None:
                self.unite(persons)
                self.counted.update((fact.order, named[0]) for fact in session.facts if self.counts_for_device(fact))

    def sessions(self, devices: Group) -> list[Session]:
        """A pause of more than 30 minutes between two events with this (first) device ends a session."""
        facts = sorted(fact for fact in self.facts if fact.device is not None and fact.device.key in devices)
        pauses = [place for place, (one, two) in enumerate(pairwise(facts), 1) if two.order[0] - one.order[0] > PAUSE]
        parts = [tuple(facts[start:end]) for start, end in pairwise([0, *pauses, len(facts)]) if start < end]
        return [Session(part[0].order[0], part[-1].order[0], min(devices), part) for part in parts]

    def named_in(self, session: Session) -> set[bytes]:
        """People whom the events name by their strongest identifier; not by links refused as split, claim, breaker.

        Claims on a contested device are refused for sure: such a device is nobody's in the end.
        """
        claimed = {claim.pair for claim in self.claims}
        named = set()
        for fact in session.facts:
            person, device = fact.strongest, fact.device
            if device is None or person.type == DEVICE or person.key in self.quarantine:
                continue
            pair = (person.key, device.key)
            if pair not in claimed and self.refused.get(pair) != "split":
                named.add(person.key)
        return named

    def counts_for_device(self, fact: Fact) -> bool:
        """Whether the event counts for its device."""
        return fact.device is not None and self.anchor(fact) == fact.device.key

    # After the rounds

    def settle_claims(self) -> None:
        """Claims hold if device and person are one in the end, and are refused as `claim` if not."""
        for claim in self.claims:
            if self.group[claim.strongest.key] != self.group[claim.weaker.key]:
                self.refused[claim.pair] = "claim"

    def anchor(self, fact: Fact) -> bytes | None:
        """Whom an event counts for, and what "Quarantine" makes of that."""
        person, device = fact.strongest, fact.device
        choices = [person.key] if device is None else [person.key, device.key]
        if fact.weight == FORM:
            choices.reverse()  # if the claim is true, that is the same person
        return next((key for key in choices if key not in self.quarantine), None)

    def journey_of(self, fact: Fact) -> Group:
        """The identifiers of the person that the event counts for; none if it counts for nobody."""
        key = self.counted.get(fact.order, self.anchor(fact))
        return frozenset() if key is None else self.group[key]

    def person(self, group: Group, breaker: Iterable[Pair]) -> ReferencePerson:
        """Names: the identifier that was named first, then the strongest, gives the id."""
        first = min(self.first[key] for key in group)[1]
        events = frozenset(fact.order[1:] for fact in self.facts if self.journey_of(fact) == group)
        reasons = [*self.refused.items(), *((pair, "breaker") for pair in breaker)]
        refused = frozenset((*pair, reason) for pair, reason in reasons if not group.isdisjoint(pair))
        if not group.isdisjoint(self.quarantine):
            refused = frozenset()
        return ReferencePerson(first.key, group, events, refused)


def reference(events: Sequence[Event], limits: Limits) -> tuple[frozenset[ReferencePerson], frozenset[bytes]]:
    """All persons, and the identifiers in quarantine."""
    releases = releases_of(events)
    facts = facts_of(events, releases)
    first, links = first_named(facts), links_of(facts)
    quarantine = quarantine_of(links, limits.breaker)
    cut = [link for link in links if not quarantine.isdisjoint(link.pair)]
    kept = [link for link in links if quarantine.isdisjoint(link.pair)]
    rulings = rulings_of(events, releases, frozenset(first) - quarantine)
    groups: dict[bytes, Group] = {key: frozenset({key}) for key in first}
    resolution = Resolution(limits, facts, first, quarantine, kept, rulings, groups)
    resolution.round_of_rulings()
    resolution.round_of_people()
    resolution.round_of_devices()
    resolution.round_of_sessions()
    resolution.settle_claims()
    breaker = [link.pair for link in cut]
    persons = frozenset(resolution.person(group, breaker) for group in set(resolution.group.values()))
    return persons, quarantine
