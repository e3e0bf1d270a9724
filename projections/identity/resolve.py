"""Who is one person: the links of one component, judged. A pure function; docs/explanation/identity.md has the rules.

Links are judged in four rounds, each in an order that does not depend on arrival: rulings, links between identifiers
of people, devices, and sessions on devices that several people use. Where no rule can bite all are one person, and
nothing needs sorting: that is the common case.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from projections.identifiers import ANONYMOUS, RANK, Identifier
from projections.identity.register import Register
from projections.journey.journey import BREAKER, CLAIM, CONTESTED, SPLIT, Journey, Known, Link
from projections.journey.moments import SESSION_GAP
from projections.playbook.model import Rules
from projections.subjects import FORM, MERGE

#: The identifiers of one person, as keys.
Person = frozenset[bytes]
#: Why each link is refused, by its ends; None where it holds.
Verdicts = dict[tuple[bytes, bytes], str | None]
#: Types that make a person known: a form alone does not join anybody to one who has such an identifier.
KNOWN_BY = ("user_id", "crm_contact")


class Session(NamedTuple):
    """What happened on a contested device without a pause. Times are microseconds since 1970 UTC, both inclusive."""

    start: int
    end: int
    owner: bytes | None  #: an identifier of the person whom it belongs to; None: nobody can say


class Resolution(NamedTuple):
    """The persons of a component, its links with their verdicts, the sessions of its contested devices."""

    persons: list[Person]
    links: list[Link]
    sessions: dict[bytes, list[Session]]


def within_limits(identifiers: Iterable[Known | Identifier], rules: Rules) -> bool:
    """Whether all of them could be one person, even at one moment."""
    room = rules.limits.copy()
    for known in identifiers:
        left = room.get(known.type)
        if left is not None:
            if left == 0:
                return False
            room[known.type] = left - 1
    return True


def resolve(
    identifiers: Mapping[bytes, Known],
    links: Iterable[Link],
    journeys: Iterable[Journey],
    register: Register,
    rules: Rules,
) -> Resolution:
    """The persons of one component. `journeys` are those that its moments lie in so far."""
    links = list(links)
    quarantined = register.quarantined
    live = [link for link in links if link.a not in quarantined and link.b not in quarantined] if quarantined else links
    verdicts: Verdicts = {}
    if live is not links:
        verdicts |= {(link.a, link.b): BREAKER for link in links if link.a in quarantined or link.b in quarantined}
    if _all_one(identifiers, live, register, rules):
        return Resolution([frozenset(identifiers)], [_judged(link, verdicts) for link in links], {})
    groups = _Groups(identifiers, register, rules)
    _apply_rulings(groups, register)
    devices = {key for key, known in identifiers.items() if known.type == ANONYMOUS}
    verdicts |= _join_people(groups, [link for link in live if (link.a in devices) == (link.b in devices)])
    between = [link for link in live if (link.a in devices) != (link.b in devices)]
    verdicts |= _join_devices(groups, between, devices)
    sessions = _join_sessions(groups, verdicts, journeys)
    # a claim is true if it turns out that both are one
    verdicts |= {ends: None for ends, reason in verdicts.items() if reason == CLAIM and groups.are_one(*ends)}
    persons = [frozenset(members) for members in groups.members.values()]
    return Resolution(persons, [_judged(link, verdicts) for link in links], sessions)


def _all_one(identifiers: Mapping[bytes, Known], live: list[Link], register: Register, rules: Rules) -> bool:
    """Whether no rule can part anybody here."""
    if not within_limits(identifiers.values(), rules):
        return False
    foes = register.foes
    if foes and any(foes.get(key) for key in identifiers):
        return False
    if register.erased.any_shared(identifiers.values()):
        return False
    known_since = min([known.order for known in identifiers.values() if known.type in KNOWN_BY], default=None)
    if known_since is None:
        return True
    # of two devices neither is anybody known
    return all(
        link.authority != FORM or link.order <= known_since or identifiers[link.a].type == ANONYMOUS for link in live
    )


def _judged(link: Link, verdicts: Verdicts) -> Link:
    refused = verdicts.get((link.a, link.b)) if verdicts else None
    return link if link.refused == refused else msgspec.structs.replace(link, refused=refused)


def _apply_rulings(groups: "_Groups", register: Register) -> None:
    """The last ruling first; a ruling that would undo a split between others does not count."""
    joins = [
        (register.last[one, other].order, one, other)
        for one in groups.root
        for other in register.joined_to(one)
        if one < other and other in groups.root
    ]
    for _, one, other in sorted(joins, reverse=True):
        roots = {groups.root[one], groups.root[other]}
        if groups.obstacle(roots, limits=False) is None:
            groups.join(roots)


def _join_people(groups: "_Groups", links: list[Link]) -> Verdicts:
    """Links between two identifiers of people, and between two devices: each holds unless a limit is broken.

    A form does not join anybody to a known person.
    """
    verdicts: Verdicts = {}
    for link in sorted(links, key=groups.strength):
        roots = {groups.root[link.a], groups.root[link.b]}
        broken = groups.obstacle(roots, limits=link.authority != MERGE)
        if broken != SPLIT and len(roots) > 1 and groups.is_claim(link):
            broken = CLAIM
        verdicts[link.a, link.b] = broken
        if broken is None:
            groups.join(roots)
    return verdicts


def _join_devices(groups: "_Groups", links: list[Link], devices: set[bytes]) -> Verdicts:
    """Each device goes with all people it is linked to, or, where they cannot be one, with nobody."""
    by_device: dict[bytes, list[Link]] = defaultdict(list)
    for link in sorted(links, key=groups.strength):
        by_device[groups.root[link.b]].append(link)
    weak = {(link.a, link.b) for link in links if groups.is_claim(link)}
    verdicts: Verdicts = {}
    for first, own in by_device.items():
        device = groups.root[first]
        by_a_ruling = not groups.members[device] <= devices
        verdicts |= (_judge_one_by_one if by_a_ruling else _judge_as_a_whole)(groups, own, weak)
    return verdicts


def _judge_one_by_one(groups: "_Groups", links: list[Link], weak: set[tuple[bytes, bytes]]) -> Verdicts:
    """The links of a device that a ruling has given to a person."""
    verdicts: Verdicts = {}
    for link in links:
        roots = {groups.root[link.a], groups.root[link.b]}
        broken = groups.obstacle(roots)
        if broken != SPLIT and (link.a, link.b) in weak:
            broken = CLAIM
        verdicts[link.a, link.b] = broken
        if broken is None:
            groups.join(roots)
    return verdicts


def _judge_as_a_whole(groups: "_Groups", links: list[Link], weak: set[tuple[bytes, bytes]]) -> Verdicts:
    """The links of a device that goes with all people it is linked to, or with nobody."""
    device = groups.root[links[0].b]
    verdicts: Verdicts = {}
    firm: list[Link] = []
    for link in links:
        if groups.parted(link):
            verdicts[link.a, link.b] = SPLIT
        elif (link.a, link.b) in weak:
            verdicts[link.a, link.b] = CLAIM
        else:
            firm.append(link)
    if firm:
        people = {groups.root[link.a] for link in firm}
        broken = groups.obstacle({device, *people})
        shared = groups.is_shared(device)
        if broken is None and not shared:
            groups.join({device, *people})
        contested = shared or (broken is not None and len(people) > 1)
        verdicts |= {(link.a, link.b): CONTESTED if contested else broken for link in firm}
    return verdicts


def _join_sessions(
    groups: "_Groups",
    verdicts: Verdicts,
    journeys: Iterable[Journey],
) -> dict[bytes, list[Session]]:
    """Each session on a contested device is a device of its own: it goes with all people it names, or with nobody."""
    contested = {groups.root[b] for (_, b), verdict in verdicts.items() if verdict == CONTESTED}
    if not contested:
        return {}
    # a device's root changes no more: nobody joins a contested one
    home = {key: root for root in contested for key in groups.members[root]}
    activity: dict[bytes, list[tuple[int, int, bytes | None]]] = defaultdict(list)
    for moment in (moment for journey in journeys for moment in journey.moments):
        device = moment.device
        if device is not None and device in home:
            person = moment.claimed if moment.anchor == device else moment.anchor
            trusted = person is not None and verdicts.get((person, device)) in (None, CONTESTED)
            activity[home[device]].append((moment.at, moment.last, person if trusted else None))
    found = sorted(
        (start, end, min(groups.members[root]), root, people)
        for root, spans in activity.items()
        for start, end, people in _sessions(spans)
    )
    sessions: dict[bytes, list[Session]] = defaultdict(list)
    for start, end, _, root, people in found:
        roots = {groups.root[person] for person in people}
        owner = None
        if roots and groups.obstacle(roots) is None:
            groups.join(roots)
            owner = people[0]
        sessions[root].append(Session(start, end, owner))
    return {device: sessions[root] for device, root in home.items()}


def _sessions(spans: list[tuple[int, int, bytes | None]]) -> list[tuple[int, int, list[bytes]]]:
    """(start, end, people named) of each run of activity without a pause of more than SESSION_GAP."""
    runs: list[tuple[int, int, set[bytes]]] = []
    for start, end, person in sorted(spans, key=lambda span: span[:2]):
        if runs and start - runs[-1][1] <= SESSION_GAP:
            first, last, people = runs[-1]
            runs[-1] = (first, max(last, end), people)
        else:
            runs.append((start, end, set()))
        if person is not None:
            runs[-1][2].add(person)
    return [(start, end, sorted(people)) for start, end, people in runs]


class _Groups:
    """Disjoint sets of identifiers that know what may not come together."""

    def __init__(self, identifiers: Mapping[bytes, Known], register: Register, rules: Rules) -> None:
        self._identifiers = identifiers
        self._rules = rules
        self._erased = register.erased
        self._foes = {key: foes for key in identifiers if (foes := register.foes.get(key))} if register.foes else {}
        self.root = {key: key for key in identifiers}
        self.members: dict[bytes, set[bytes]] = {key: {key} for key in identifiers}

    def are_one(self, a: bytes, b: bytes) -> bool:
        """Whether two identifiers are in one group."""
        return self.root[a] == self.root[b]

    def is_shared(self, root: bytes) -> bool:
        """Whether people who are erased used a device of the group: it goes with nobody."""
        return self._erased.any_shared(self._identifiers[key] for key in self.members[root])

    def strength(self, link: Link) -> tuple[int, int, bytes, str, int, bytes]:
        """Links are judged in this order: authority, occurred_at, event id, source, then the identifier's own."""
        return (*link.strength, RANK[self._identifiers[link.b].type], link.b)

    def parted(self, link: Link) -> bool:
        """Whether a split stands between the people on both sides."""
        return self.obstacle({self.root[link.a], self.root[link.b]}, limits=False) is not None

    def is_claim(self, link: Link) -> bool:
        """Whether only a form says it, and of somebody who was known before. Two devices claim nothing."""
        if link.authority != FORM or self._identifiers[link.a].type == ANONYMOUS:
            return False
        ends = [link.a] if self._identifiers[link.b].type == ANONYMOUS else [link.a, link.b]
        people = [self._identifiers[key] for end in ends for key in self.members[self.root[end]]]
        return any(known.type in KNOWN_BY and known.order < link.order for known in people)

    def obstacle(self, roots: set[bytes], *, limits: bool = True) -> str | None:
        """What keeps these groups from being one person: a split, or the type of a broken limit."""
        if len(roots) < 2:
            return None
        if self._foes:
            everybody = {key for root in roots for key in self.members[root]}
            if any(not everybody.isdisjoint(self._foes.get(key, ())) for key in everybody):
                return SPLIT
        return self._broken_limit(roots) if limits else None

    def _broken_limit(self, roots: set[bytes]) -> str | None:
        """A group that has too many by a ruling may take on others, but none of that type."""
        times: dict[str, list[int]] = defaultdict(list)
        holders: dict[str, set[bytes]] = defaultdict(set)
        for root in roots:
            for key in self.members[root]:
                known = self._identifiers[key]
                if known.type in self._rules.limits:
                    times[known.type].append(known.at)
                    holders[known.type].add(root)
        broken = [type_ for type_ in times if len(holders[type_]) > 1 and self._too_many(type_, times[type_])]
        return min(broken, key=RANK.__getitem__, default=None)

    def _too_many(self, type_: str, times: list[int]) -> bool:
        limit, window = self._rules.limits[type_], self._rules.windows.get(type_)
        if len(times) <= limit:
            return False
        if window is None:
            return True
        times.sort()
        return any(times[n + limit] - times[n] < window for n in range(len(times) - limit))

    def join(self, roots: set[bytes]) -> None:
        """Make one group of several."""
        largest = max(roots, key=lambda root: (len(self.members[root]), root))
        for root in roots - {largest}:
            for key in self.members[root]:
                self.root[key] = largest
            self.members[largest] |= self.members.pop(root)
