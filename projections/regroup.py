"""Regrouping: the journeys of a component, after who is one person was judged again."""

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from projections.journey import Journey, Known, Link, earliest, groups_of
from projections.moments import Moment, absorb
from projections.playbook import Rules
from projections.register import Register
from projections.resolve import Person, Resolution, resolve

if TYPE_CHECKING:
    from projections.workspace import Workspace


class Component(NamedTuple):
    """Journeys as they were, and all identifiers and links that they have now."""

    old: dict[bytes, Journey]
    identifiers: dict[bytes, Known]
    links: dict[tuple[bytes, bytes], Link]


class Part(NamedTuple):
    """What one person's journey remembers, and the ids of the journeys that it is from."""

    memory: Journey
    sources: set[bytes]


def regroup(workspace: "Workspace", component: Component, *, afresh: bool, inherit: bool) -> None:
    """Put a component's journeys in the place of those it had: one for each person.

    A person whose journey has the same identifiers as before, or more, keeps its moments as they are. `afresh`: what
    belongs to whom may have changed for everybody. `inherit`: what moves between journeys is not news.
    """
    old, register, rules = component.old, workspace.register, workspace.rules
    pieces = _pieces(component, register) if afresh else [component]
    found = [
        (piece, resolve(piece.identifiers, piece.links.values(), old.values(), register, rules)) for piece in pieces
    ]
    shared = any(resolution.sessions for _, resolution in found)
    if afresh or shared or any(journey.contested for journey in old.values() if journey.component is not None):
        parts = _deal(old, [resolution for _, resolution in found], register, rules)
    else:
        parts = [_part(old, person) for _, resolution in found for person in resolution.persons]
    fresh: list[tuple[Journey, set[bytes]]] = []
    for piece, resolution in found:
        own, parts = parts[: len(resolution.persons)], parts[len(resolution.persons) :]
        fresh += _named(own, resolution, piece.identifiers)
    _replace(workspace, old, fresh, inherit=inherit)


def _named(
    parts: list[Part], resolution: Resolution, identifiers: dict[bytes, Known]
) -> list[tuple[Journey, set[bytes]]]:
    """The journeys of one component with ids, identifiers and links, each with the ids of those it has things of."""
    ids = [earliest([identifiers[key] for key in person]).key for person in resolution.persons]
    tie = min(ids) if len(ids) > 1 else None
    links_of: dict[bytes, list[Link]] = defaultdict(list)
    for link in resolution.links:
        links_of[link.a].append(link)
        links_of[link.b].append(link)
    named = []
    for part, person, journey_id in zip(parts, resolution.persons, ids, strict=True):
        journey = part.memory.renamed(journey_id)
        journey.identifiers = {key: identifiers[key] for key in person}
        journey.links = {(link.a, link.b): link for key in person for link in links_of[key]}
        journey.component = tie
        named.append((journey, part.sources))
    return named


def _replace(
    workspace: "Workspace", old: dict[bytes, Journey], fresh: list[tuple[Journey, set[bytes]]], *, inherit: bool
) -> None:
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
        if inherit:
            given = min(sources - {own}, default=heirs.get(own))
            journey.inherited = journey.inherited or given
        if not journey.moments:
            journey.settled = False  # it begins where it was first named, and that may have changed
        workspace.adopt(journey)


def _pieces(component: Component, register: Register) -> list[Component]:
    """The parts that links and rulings hold together."""
    neighbours: dict[bytes, list[bytes]] = defaultdict(list)
    for a, b in component.links:
        if a not in register.quarantined and b not in register.quarantined:
            neighbours[a].append(b)
            neighbours[b].append(a)
    for key in component.identifiers:
        neighbours[key] += [other for other in register.joined_to(key) if other in component.identifiers]
    left = dict.fromkeys(component.identifiers)
    pieces = []
    while left:
        todo, found = [next(iter(left))], {}
        while todo:
            key = todo.pop()
            if key in left:
                del left[key]
                found[key] = component.identifiers[key]
                todo += neighbours[key]
        links = {
            ends: link
            for ends, link in component.links.items()
            if any(end in found and end not in register.quarantined for end in ends)
        }
        pieces.append(Component(component.old, found, links))
    return pieces


def _part(old: dict[bytes, Journey], person: Person) -> Part:
    """What a person's journey remembers: all of the one it had if that was all its own, else parts of several."""
    sources = [journey for journey in old.values() if not person.isdisjoint(journey.identifiers)]
    ids = {source.journey_id for source in sources}
    if len(sources) == 1 and person.issuperset(sources[0].identifiers):
        return Part(sources[0], ids)
    journey = Journey(b"")
    journey.moments = [m for source in sources for m in source.moments if m.anchor in person]
    journey.facts = {at: fact for source in sources for at, fact in source.facts.items() if fact.anchor in person}
    journey.groups = groups_of(journey.moments)
    journey.count()
    return Part(journey, ids)


def _deal(old: dict[bytes, Journey], resolutions: list[Resolution], register: Register, rules: Rules) -> list[Part]:
    """What each person's journey remembers, with what happened on contested devices dealt out by session."""
    persons = [person for resolution in resolutions for person in resolution.persons]
    place = {key: n for n, person in enumerate(persons) for key in person}
    sessions = {device: own for resolution in resolutions for device, own in resolution.sessions.items()}
    parts = [Part(Journey(b""), set()) for _ in persons]

    def owner(anchor: bytes, at: int) -> Part:
        for session in sessions.get(anchor, ()):
            if session.start <= at <= session.end and session.owner is not None:
                return parts[place[session.owner]]
        return parts[place[anchor]]

    for source in old.values():
        for key in source.identifiers:
            if key in place:
                parts[place[key]].sources.add(source.journey_id)
        for moment in source.moments:
            counted = moment.without(register.quarantined) if register.quarantined else moment
            if counted is None:
                continue
            part = owner(counted.anchor, counted.at)
            _take(part.memory, counted)
            part.sources.add(source.journey_id)
        for fact in source.facts.values():
            if fact.anchor not in register.quarantined:
                owner(fact.anchor, fact.at).memory.learn(fact, rules)
    for part in parts:
        part.memory.moments += part.memory.groups.values()
        part.memory.count()
    return parts


def _take(journey: Journey, moment: Moment) -> None:
    """Add a moment, to those of its group if there are any. The caller adds the groups to the moments."""
    group = moment.group
    if group is None:
        journey.moments.append(moment)
    elif (known := journey.groups.get(group)) is None:
        journey.groups[group] = moment
    else:
        both = msgspec.structs.replace(known)  # the one that there is lies in a journey that must not change
        absorb(both, moment)
        journey.groups[group] = both
