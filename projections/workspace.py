"""The workspace: the journeys at hand, and what the fold has done to them.

In tests and in audits a workspace holds all journeys; the projector loads what a batch needs, folds, writes what was
touched, and lets go of what was not used for long.
"""

from collections.abc import Iterable
from typing import NamedTuple

from projections.identity import Person
from projections.journey import Journey, Known, Link, earliest, groups_of
from projections.playbook import Rules


class Gone(NamedTuple):
    """A journey that is no more: its identifiers belong to others now."""

    journey_id: bytes
    rev: int  #: of the stored row
    successor: bytes | None  #: the journey that its id now finds; None if nobody uses the identifier any more


class Harvest(NamedTuple):
    """What a fold has changed since the last harvest, in the order of journey ids."""

    touched: list[Journey]
    gone: list[Gone]
    moved: list[tuple[bytes, bytes | None]]  #: (identifier key, its journey id now)


class Workspace:
    """Loaded journeys and the way from identifiers to them.

    Invariant: with a journey, all journeys that refused links tie to it are loaded.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.journeys: dict[bytes, Journey] = {}
        #: identifier key -> journey id
        self.home: dict[bytes, bytes] = {}
        self._touched: set[bytes] = set()
        #: journey id -> (rev, stage) of the stored row
        self._gone: dict[bytes, tuple[int, int | None]] = {}
        self._moved: set[bytes] = set()

    def put(self, journey: Journey) -> None:
        """Take in a stored journey as it is."""
        self.journeys[journey.journey_id] = journey
        for key in journey.identifiers:
            self.home[key] = journey.journey_id

    def evict(self, journey_id: bytes) -> None:
        """Let go of a journey that is stored as it is here."""
        for key in self.journeys.pop(journey_id).identifiers:
            del self.home[key]

    def touch(self, journey: Journey) -> None:
        """Note that a journey was changed."""
        self._touched.add(journey.journey_id)

    def adopt(self, journey: Journey) -> None:
        """Take in a new journey, or one whose identifiers changed."""
        if journey.journey_id in self._gone:
            journey.rev, journey.stored_stage = self._gone.pop(journey.journey_id)
        self.journeys[journey.journey_id] = journey
        for key in journey.identifiers:
            if self.home.get(key) != journey.journey_id:
                self.home[key] = journey.journey_id
                self._moved.add(key)
        self.touch(journey)

    def disown(self, journey: Journey) -> None:
        """Take a journey out for good, with its way from the identifiers."""
        del self.journeys[journey.journey_id]
        self._touched.discard(journey.journey_id)
        if journey.rev:
            self._gone[journey.journey_id] = (journey.rev, journey.stored_stage)
        for key in journey.identifiers:
            del self.home[key]
            self._moved.add(key)

    def component(self, journey_ids: Iterable[bytes]) -> dict[bytes, Journey]:
        """These journeys and all that refused links tie to them."""
        found: dict[bytes, Journey] = {}
        todo = list(journey_ids)
        while todo:
            journey_id = todo.pop()
            if journey_id in found:
                continue
            found[journey_id] = journey = self.journeys[journey_id]
            if journey.component is not None:
                todo += [self.home[end] for link in journey.refused for end in (link.a, link.b)]
        return found

    def harvest(self) -> Harvest:
        """What changed since the last call. The journeys' `rev` counts up: the caller writes them all."""
        touched = [self.journeys[journey_id] for journey_id in sorted(self._touched)]
        gone = [Gone(old, self._gone[old][0], self.home.get(old)) for old in sorted(self._gone)]
        moved = [(key, self.home.get(key)) for key in sorted(self._moved)]
        for journey in touched:
            journey.settle(self.rules)
            journey.rev += 1
        self._touched, self._gone, self._moved = set(), {}, set()
        return Harvest(touched, gone, moved)


def regroup(
    workspace: Workspace,
    old: dict[bytes, Journey],
    identifiers: dict[bytes, Known],
    persons: list[Person],
    links: list[Link],
) -> None:
    """Put a component's journeys in the place of those it had: one for each person.

    `old` are the journeys of the component so far, `identifiers` and `links` all that it has now, `links` with their
    verdicts. A person whose journey has the same identifiers as before, or more, keeps its moments as they are.
    """
    parts = [_part(old, person) for person in persons]
    owned = [{key: identifiers[key] for key in person} for person in persons]
    ids = [earliest(known).key for known in owned]
    for journey in old.values():
        if not any(journey is part and journey.journey_id == new for part, new in zip(parts, ids, strict=True)):
            workspace.disown(journey)
    for journey, person, known, new_id in zip(parts, persons, owned, ids, strict=True):
        if journey.journey_id != new_id:
            journey.journey_id, journey.rev, journey.stored_stage = new_id, 0, None
        journey.identifiers = known
        journey.links = {(link.a, link.b): link for link in links if link.a in person or link.b in person}
        journey.component = min(ids) if len(ids) > 1 else None
        if not journey.moments:
            journey.settled = False  # it begins where it was first named, and that may have changed
        workspace.adopt(journey)


def _part(old: dict[bytes, Journey], person: Person) -> Journey:
    """The journey of a person: the one it had if that was all its own, else one made from parts of several."""
    sources = [journey for journey in old.values() if not person.isdisjoint(journey.identifiers)]
    if len(sources) == 1 and person.issuperset(sources[0].identifiers):
        return sources[0]
    journey = Journey(b"")
    journey.moments = [m for source in sources for m in source.moments if m.anchor in person]
    journey.groups = groups_of(journey.moments)
    journey.count()
    journey.facts = {at: fact for source in sources for at, fact in source.facts.items() if fact.anchor in person}
    return journey
