"""Who is one person: the links of one component, judged. docs/explanation/identity.md explains the rules.

Links are judged in four rounds, each in an order that does not depend on arrival: rulings, links between identifiers
of people, devices, and sessions on devices that several people use. Where no rule can apply, all are one person and
nothing needs sorting: that is the common case.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from projections.identifiers import ANONYMOUS, RANK
from projections.identity.register import Register
from projections.journey.links import CLAIM, CONTESTED, QUARANTINED, SPLIT, Known, Link
from projections.journey.moments import Moment
from projections.journey.sessions import sessions_of
from projections.playbook.limits import Limits
from projections.subjects import FORM, MERGE

#: The identifiers of one person, as keys.
Person = frozenset[bytes]
#: By the ends of a link: why it is refused; None where it holds.
Verdicts = dict[tuple[bytes, bytes], str | None]
#: Types that make a person known: a form alone does not join anybody to one who has such an identifier.
KNOWN_BY = ("user_id", "crm_contact")


class Session(NamedTuple):
    """A session on a contested device. Times are microseconds since 1970 UTC, both inclusive."""

    start: int
    end: int
    owner: bytes | None  #: an identifier of the person it belongs to; None where that is unknown


class Resolution(NamedTuple):
    """The persons of a component, its judged links, and the sessions on its contested devices."""

    persons: list[Person]
    links: list[Link]
    sessions: dict[bytes, list[Session]]


def resolve(
    identifiers: Mapping[bytes, Known],
    links: Iterable[Link],
    moments: Iterable[Moment],
    register: Register,
    limits: Limits,
) -> Resolution:
    """The persons of one component. `moments`: all of it; they are read only where a device is contested."""
    links = list(links)
    quarantined = register.quarantined
    live = [link for link in links if link.a not in quarantined and link.b not in quarantined] if quarantined else links
    verdicts: Verdicts = {}
    if live is not links:
        verdicts |= {(link.a, link.b): QUARANTINED for link in links if link.a in quarantined or link.b in quarantined}
    if _all_one(identifiers, live, register, limits):
        return Resolution([frozenset(identifiers)], [_judged(link, verdicts) for link in links], {})
    groups = _Groups(identifiers, register, limits)
    _apply_rulings(groups, register)
    devices = {key for key, known in identifiers.items() if known.type == ANONYMOUS}
    verdicts |= _join_people(groups, [link for link in live if (link.a in devices) == (link.b in devices)])
    between = [link for link in live if (link.a in devices) != (link.b in devices)]
    verdicts |= _join_devices(groups, between, devices)
    sessions = _join_sessions(groups, verdicts, moments)
    # a claim holds if both turn out to be one person
    verdicts |= {ends: None for ends, reason in verdicts.items() if reason == CLAIM and groups.are_one(*ends)}
    persons = [frozenset(members) for members in groups.members.values()]
    return Resolution(persons, [_judged(link, verdicts) for link in links], sessions)


def _all_one(identifiers: Mapping[bytes, Known], live: list[Link], register: Register, limits: Limits) -> bool:
    """Whether no rule can separate anybody here."""
    if not limits.surely_allow(identifiers.values()):
        return False
    separated = register.separated
    if separated and any(separated.get(key) for key in identifiers):
        return False
    if register.erased.any_shared(identifiers.values()):
        return False
    known_since = min([known.order for known in identifiers.values() if known.type in KNOWN_BY], default=None)
    if known_since is None:
        return True
    # a link between two devices claims nobody who is known
    return all(
        link.authority != FORM or link.order <= known_since or identifiers[link.a].type == ANONYMOUS for link in live
    )


def _judged(link: Link, verdicts: Verdicts) -> Link:
    refused = verdicts.get((link.a, link.b)) if verdicts else None
    return link if link.refused == refused else msgspec.structs.replace(link, refused=refused)


def _apply_rulings(groups: "_Groups", register: Register) -> None:
    """Join by rulings, the last one first. A ruling that would undo a split between others does not count."""
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
    """Judge links between two identifiers of people, or between two devices: each holds unless it breaks a limit.

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
    """Join each device to all people it is linked to or, where they cannot be one person, to nobody."""
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
    """Judge the links of a device that a ruling has given to a person."""
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
    """Judge the links of a device that joins all people it is linked to, or nobody."""
    device = groups.root[links[0].b]
    verdicts: Verdicts = {}
    firm: list[Link] = []
    for link in links:
        if groups.is_split(link):
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
    moments: Iterable[Moment],
) -> dict[bytes, list[Session]]:
    """Treat each session on a contested device as a device of its own: it joins all people it names, or nobody."""
    contested = {groups.root[b] for (_, b), verdict in verdicts.items() if verdict == CONTESTED}
    if not contested:
        return {}
    # the root of a contested device stays: nobody joins it
    home = {key: root for root in contested for key in groups.members[root]}
    activity: dict[bytes, list[tuple[int, int, bytes | None]]] = defaultdict(list)
    for moment in moments:
        device = moment.device
        if device is not None and device in home:
            person = moment.claimed if moment.anchor == device else moment.anchor
            trusted = person is not None and verdicts.get((person, device)) in (None, CONTESTED)
            activity[home[device]].append((moment.at, moment.last, person if trusted else None))
    in_order = sorted(
        (start, end, min(groups.members[root]), root, people)
        for root, spans in activity.items()
        for start, end, people in sessions_of(spans)
    )
    sessions: dict[bytes, list[Session]] = defaultdict(list)
    for start, end, _, root, people in in_order:
        roots = {groups.root[person] for person in people}
        owner = None
        if roots and groups.obstacle(roots) is None:
            groups.join(roots)
            owner = people[0]
        sessions[root].append(Session(start, end, owner))
    return {device: sessions[root] for device, root in home.items()}


class _Groups:
    """Disjoint sets of identifiers, and which of them may not be joined."""

    def __init__(self, identifiers: Mapping[bytes, Known], register: Register, limits: Limits) -> None:
        self._identifiers = identifiers
        self._limits = limits
        self._erased = register.erased
        separated = register.separated
        self._separated = {key: others for key in identifiers if (others := separated.get(key))} if separated else {}
        self.root = {key: key for key in identifiers}
        self.members: dict[bytes, set[bytes]] = {key: {key} for key in identifiers}

    def are_one(self, a: bytes, b: bytes) -> bool:
        """Whether two identifiers are in one group."""
        return self.root[a] == self.root[b]

    def is_shared(self, root: bytes) -> bool:
        """Whether erased people used a device of the group: then it joins nobody."""
        return self._erased.any_shared(self._identifiers[key] for key in self.members[root])

    def strength(self, link: Link) -> tuple[int, int, bytes, str, int, bytes]:
        """Links are judged in this order: authority, occurred_at, event id, source, then the identifier's own."""
        return (*link.strength, RANK[self._identifiers[link.b].type], link.b)

    def is_split(self, link: Link) -> bool:
        """Whether a split separates the people on both sides."""
        return self.obstacle({self.root[link.a], self.root[link.b]}, limits=False) is not None

    def is_claim(self, link: Link) -> bool:
        """Whether only a form says it, about somebody who was known before. Two devices claim nothing."""
        if link.authority != FORM or self._identifiers[link.a].type == ANONYMOUS:
            return False
        ends = [link.a] if self._identifiers[link.b].type == ANONYMOUS else [link.a, link.b]
        people = [self._identifiers[key] for end in ends for key in self.members[self.root[end]]]
        return any(known.type in KNOWN_BY and known.order < link.order for known in people)

    def obstacle(self, roots: set[bytes], *, limits: bool = True) -> str | None:
        """Why these groups cannot be one person: SPLIT, or the type of a broken limit; None where they can."""
        if len(roots) < 2:
            return None
        if self._separated:
            everybody = {key for root in roots for key in self.members[root]}
            if any(not everybody.isdisjoint(self._separated.get(key, ())) for key in everybody):
                return SPLIT
        return self._broken_limit(roots) if limits else None

    def _broken_limit(self, roots: set[bytes]) -> str | None:
        """The type of a limit that joining would break.

        A group that a ruling has put above a limit may take on others, but none of that type.
        """
        times: dict[str, list[int]] = defaultdict(list)
        holders: dict[str, set[bytes]] = defaultdict(set)
        for root in roots:
            for key in self.members[root]:
                known = self._identifiers[key]
                if known.type in self._limits.counts:
                    times[known.type].append(known.at)
                    holders[known.type].add(root)
        broken = [type_ for type_ in times if len(holders[type_]) > 1 and not self._limits.allow(type_, times[type_])]
        return min(broken, key=RANK.__getitem__, default=None)

    def join(self, roots: set[bytes]) -> None:
        """Make one group of several."""
        largest = max(roots, key=lambda root: (len(self.members[root]), root))
        for root in roots - {largest}:
            for key in self.members[root]:
                self.root[key] = largest
            self.members[largest] |= self.members.pop(root)
