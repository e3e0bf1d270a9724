"""Regrouping: new journeys for a component, after it was judged again who is one person."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from projections.identity.register import Register
from projections.identity.resolve import Resolution, Session, resolve
from projections.journey.facts import Fact
from projections.journey.journey import Journey, earliest
from projections.journey.links import Known, Link
from projections.journey.moments import GroupKey, Moment, absorb
from projections.playbook.rules import Rules


class Piece(NamedTuple):
    """Identifiers that links or rulings tie together, and their links."""

    identifiers: dict[bytes, Known]
    links: dict[tuple[bytes, bytes], Link]


class Part:
    """What one person's journey is put together from."""

    __slots__ = ("facts", "moments", "sources", "whole")

    def __init__(self) -> None:
        #: journeys that are this person's as a whole
        self.whole: list[Journey] = []
        #: from other journeys
        self.moments: list[Moment] = []
        self.facts: list[Fact] = []
        #: ids of the stored journeys that any of it is from
        self.sources: set[bytes] = set()


class Regrouped(NamedTuple):
    """One of the new journeys."""

    journey: Journey
    sources: set[bytes]  #: ids of the stored journeys that it has anything of


def regroup(
    old: Mapping[bytes, Journey], unassigned: Sequence[Journey], register: Register, rules: Rules, *, afresh: bool
) -> list[Regrouped]:
    """The journeys of a component after it was judged: one for each person. The old ones stay as they are.

    `unassigned`: what happened on contested devices and is in no journey yet. `afresh`: a ruling or a quarantine may
    have cut the component in pieces.
    """
    whole = Piece(
        {key: known for journey in old.values() for key, known in journey.identifiers.items()},
        {ends: link for journey in old.values() for ends, link in journey.links.items()},
    )
    pieces = _pieces(whole, register) if afresh else [whole]
    sources = [*old.values(), *unassigned]
    resolutions = [
        resolve(piece.identifiers, piece.links.values(), _moments_of(sources), register, rules.limits)
        for piece in pieces
    ]
    parts = _deal(sources, resolutions, register)
    fresh: list[Regrouped] = []
    for piece, resolution in zip(pieces, resolutions, strict=True):
        own, parts = parts[: len(resolution.persons)], parts[len(resolution.persons) :]
        fresh += _journeys_of(own, resolution, piece.identifiers, rules)
    return fresh


def _moments_of(journeys: Iterable[Journey]) -> Iterator[Moment]:
    """Lazily: most components are judged without a look at their moments."""
    return (moment for journey in journeys for moment in journey.moments)


def _journeys_of(
    parts: list[Part], resolution: Resolution, identifiers: dict[bytes, Known], rules: Rules
) -> list[Regrouped]:
    """The journeys of one piece, with ids, identifiers and links."""
    ids = [earliest([identifiers[key] for key in person]).key for person in resolution.persons]
    tie = min(ids) if len(ids) > 1 else None
    links_of: dict[bytes, list[Link]] = defaultdict(list)
    for link in resolution.links:
        links_of[link.a].append(link)
        links_of[link.b].append(link)
    journeys = []
    for part, person, journey_id in zip(parts, resolution.persons, ids, strict=True):
        journey = _put_together(part, rules).with_id(journey_id)
        journey.identifiers = {key: identifiers[key] for key in person}
        journey.links = {(link.a, link.b): link for key in person for link in links_of[key]}
        journey.component = tie
        journeys.append(Regrouped(journey, part.sources))
    return journeys


def _pieces(whole: Piece, register: Register) -> list[Piece]:
    """The pieces that links and rulings tie together."""
    neighbours: dict[bytes, list[bytes]] = defaultdict(list)
    links_of: dict[bytes, list[Link]] = defaultdict(list)
    for link in whole.links.values():
        bound = link.a not in register.quarantined and link.b not in register.quarantined
        for end, other in ((link.a, link.b), (link.b, link.a)):
            if bound:
                neighbours[end].append(other)
            if end not in register.quarantined:
                links_of[end].append(link)
    for key in whole.identifiers:
        neighbours[key] += [other for other in register.joined_to(key) if other in whole.identifiers]
    left = set(whole.identifiers)
    pieces = []
    for first in whole.identifiers:
        if first not in left:
            continue
        todo, members = [first], {}
        while todo:
            key = todo.pop()
            if key in left:
                left.remove(key)
                members[key] = whole.identifiers[key]
                todo += neighbours[key]
        pieces.append(Piece(members, {(link.a, link.b): link for key in members for link in links_of[key]}))
    return pieces


def _deal(sources: list[Journey], resolutions: list[Resolution], register: Register) -> list[Part]:
    """What each person's journey remembers, with what happened on contested devices dealt out by session."""
    persons = [person for resolution in resolutions for person in resolution.persons]
    place = {key: n for n, person in enumerate(persons) for key in person}
    sessions = {device: own for resolution in resolutions for device, own in resolution.sessions.items()}
    parts = [Part() for _ in persons]

    def owner(anchor: bytes, at: int) -> Part:
        return parts[place[_whose(sessions.get(anchor), at) or anchor]]

    for source in sources:
        homes = {place[key] for key in source.identifiers}
        if source.rev:
            for home in homes:
                parts[home].sources.add(source.journey_id)
        if len(homes) == 1 and _keeps_together(source, sessions, register):
            parts[homes.pop()].whole.append(source)
            continue
        for moment in source.moments:
            counted = moment.without(register.quarantined) if register.quarantined else moment
            if counted is not None:
                part = owner(counted.anchor, counted.at)
                part.moments.append(counted)
                if source.rev:
                    part.sources.add(source.journey_id)
        for fact in source.facts.values():
            if fact.anchor not in register.quarantined:
                owner(fact.anchor, fact.at).facts.append(fact)
    return parts


def _whose(sessions: list[Session] | None, at: int) -> bytes | None:
    """An identifier of the person a contested device belonged to at a time; None where that is nobody."""
    if not sessions:
        return None
    last = bisect_right(sessions, at, key=attrgetter("start")) - 1
    return sessions[last].owner if last >= 0 and at <= sessions[last].end else None


def _keeps_together(source: Journey, sessions: dict[bytes, list[Session]], register: Register) -> bool:
    """Whether all of a journey belongs to its own identifiers, and none of them is contested or in quarantine."""
    own = source.identifiers
    if not own.keys().isdisjoint(sessions) or not own.keys().isdisjoint(register.quarantined):
        return False
    return source.component is None or all(moment.anchor in own for moment in source.moments)


def _put_together(part: Part, rules: Rules) -> Journey:
    """A journey without id, identifiers and links. It shares moments and facts with its sources."""
    if len(part.whole) == 1 and not part.moments and not part.facts:
        return part.whole[0]
    journey = Journey(b"")
    for source in part.whole:
        journey.moments += source.moments
        journey.groups |= source.groups
        journey.facts |= source.facts
    groups: dict[GroupKey, Moment] = {}
    for moment in part.moments:
        group = moment.group
        if group is None:
            journey.moments.append(moment)
        elif (known := groups.get(group) or journey.groups.get(group)) is None:
            groups[group] = moment
        else:
            both = msgspec.structs.replace(known)  # the known one is in a journey that must not change
            absorb(both, moment)
            groups[group] = both
    if clash := journey.groups.keys() & groups.keys():
        journey.moments = [moment for moment in journey.moments if moment.group not in clash]
    journey.groups |= groups
    journey.moments += groups.values()
    for fact in part.facts:
        journey.learn(fact, rules.first_traits)
    journey.count()
    return journey
