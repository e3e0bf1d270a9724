"""Regrouping: the journeys of a component, after who is one person was judged again."""

from bisect import bisect_right
from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from projections.identity.register import Register
from projections.identity.resolve import Resolution, Session, resolve
from projections.journey.journey import Fact, Journey, Known, Link, earliest
from projections.journey.moments import GroupKey, Moment, absorb
from projections.playbook.model import Rules

if TYPE_CHECKING:
    from projections.identity.workspace import Workspace


class Piece(NamedTuple):
    """Identifiers that links or rulings hold together, and their links."""

    identifiers: dict[bytes, Known]
    links: dict[tuple[bytes, bytes], Link]


class Part:
    """What one person's journey is put together from."""

    __slots__ = ("facts", "moments", "sources", "whole")

    def __init__(self) -> None:
        #: journeys of which everything is this person's
        self.whole: list[Journey] = []
        #: of other journeys
        self.moments: list[Moment] = []
        self.facts: list[Fact] = []
        #: ids of the stored journeys that any identifier, or anything else, is from
        self.sources: set[bytes] = set()


def regroup(workspace: "Workspace", old: dict[bytes, Journey], loose: list[Journey], *, afresh: bool) -> None:
    """Put journeys in the place of those of a component: one for each person that its identifiers and links make.

    `loose`: what happened on contested devices and is in no journey yet. `afresh`: a ruling or a quarantine may have
    cut the component in pieces.
    """
    register, rules = workspace.register, workspace.rules
    whole = Piece(
        {key: known for journey in old.values() for key, known in journey.identifiers.items()},
        {ends: link for journey in old.values() for ends, link in journey.links.items()},
    )
    pieces = _pieces(whole, register) if afresh else [whole]
    sources = [*old.values(), *loose]
    resolutions = [resolve(piece.identifiers, piece.links.values(), sources, register, rules) for piece in pieces]
    parts = _deal(sources, resolutions, register)
    fresh: list[tuple[Journey, set[bytes]]] = []
    for piece, resolution in zip(pieces, resolutions, strict=True):
        own, parts = parts[: len(resolution.persons)], parts[len(resolution.persons) :]
        fresh += _named(own, resolution, piece.identifiers, rules)
    _replace(workspace, old, fresh)


def _named(
    parts: list[Part], resolution: Resolution, identifiers: dict[bytes, Known], rules: Rules
) -> list[tuple[Journey, set[bytes]]]:
    """The journeys of one piece with ids, identifiers and links, each with the ids of those it has things of."""
    ids = [earliest([identifiers[key] for key in person]).key for person in resolution.persons]
    tie = min(ids) if len(ids) > 1 else None
    links_of: dict[bytes, list[Link]] = defaultdict(list)
    for link in resolution.links:
        links_of[link.a].append(link)
        links_of[link.b].append(link)
    named = []
    for part, person, journey_id in zip(parts, resolution.persons, ids, strict=True):
        journey = _put_together(part, rules).renamed(journey_id)
        journey.identifiers = {key: identifiers[key] for key in person}
        journey.links = {(link.a, link.b): link for key in person for link in links_of[key]}
        journey.component = tie
        named.append((journey, part.sources))
    return named


def _replace(workspace: "Workspace", old: dict[bytes, Journey], fresh: list[tuple[Journey, set[bytes]]]) -> None:
    """Swap journeys; those that are as they were stay as they are."""
    kept = {id_ for journey, _ in fresh if (id_ := journey.journey_id) in old and journey.same(old[id_])}
    heirs: dict[bytes, bytes] = {}  # who gave something away -> to whom
    for journey, sources in fresh:
        for source in sources - {journey.journey_id}:
            heirs[source] = min(journey.journey_id, heirs.get(source, journey.journey_id))
    for journey_id, journey in old.items():
        if journey_id not in kept:
            workspace.disown(journey)
    for journey, sources in fresh:
        own = journey.journey_id
        if own in kept:
            if old[own].component != journey.component:
                old[own].component = journey.component
                workspace.touch(old[own])
            continue
        told = journey.inherited or (old[own].inherited if own in old else None)
        journey.inherited = told or min(sources - {own}, default=heirs.get(own))
        if journey.empty:
            journey.settled = False  # it begins where it was first named, and that may have changed
        workspace.adopt(journey)


def _pieces(whole: Piece, register: Register) -> list[Piece]:
    """The parts that links and rulings hold together."""
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
        todo, found = [first], {}
        while todo:
            key = todo.pop()
            if key in left:
                left.remove(key)
                found[key] = whole.identifiers[key]
                todo += neighbours[key]
        pieces.append(Piece(found, {(link.a, link.b): link for key in found for link in links_of[key]}))
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
    """An identifier of whom a contested device belonged to at a time; None where that is nobody or not contested."""
    if not sessions:
        return None
    last = bisect_right(sessions, at, key=attrgetter("start")) - 1
    return sessions[last].owner if last >= 0 and at <= sessions[last].end else None


def _keeps_together(source: Journey, sessions: dict[bytes, list[Session]], register: Register) -> bool:
    """Whether all that a journey remembers is of its own identifiers, and none of them is shared or in quarantine."""
    own = source.identifiers
    if not own.keys().isdisjoint(sessions) or not own.keys().isdisjoint(register.quarantined):
        return False
    return source.component is None or all(moment.anchor in own for moment in source.moments)


def _put_together(part: Part, rules: Rules) -> Journey:
    """A journey without id, identifiers and links. It shares what it remembers with the journeys it is from."""
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
            both = msgspec.structs.replace(known)  # the one that there is lies in a journey that must not change
            absorb(both, moment)
            groups[group] = both
    if clash := journey.groups.keys() & groups.keys():
        journey.moments = [moment for moment in journey.moments if moment.group not in clash]
    journey.groups |= groups
    journey.moments += groups.values()
    for fact in part.facts:
        journey.learn(fact, rules)
    journey.count()
    return journey
