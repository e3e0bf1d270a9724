"""The workspace: loaded journeys, and what the fold has done to them.

In tests and audits a workspace holds all journeys. The projector loads what a batch needs, folds, writes what was
touched, and evicts what was not used for long.
"""

from collections.abc import Iterable
from typing import NamedTuple

from projections.identifiers import Identifier
from projections.identity.register import Entries, Register
from projections.identity.regroup import Regrouped, regroup
from projections.journey.journey import Journey, Stored
from projections.journey.lifecycle import settle
from projections.journey.links import QUARANTINED
from projections.playbook.events import PlaybookEvent
from projections.playbook.proposals import agreed_rules
from projections.playbook.rules import Rules
from schemas.event import Order


class Gone(NamedTuple):
    """A journey that no longer exists: its identifiers belong to others now."""

    journey_id: bytes
    rev: int  #: of the stored row
    stored: Stored | None
    successor: bytes | None  #: the journey that its id finds now; None where nobody uses the identifier any more


class Move(NamedTuple):
    """An identifier that finds another journey than at the last harvest."""

    key: bytes
    before: bytes | None  #: None: the identifier is new
    now: bytes | None  #: None: nobody uses it any more


class Consulted(NamedTuple):
    """What the fold relied on besides what it changed: if any of it has changed meanwhile, the outcome is void."""

    #: (journey id, rev) of journeys that were judged with others and stayed as they are
    journeys: list[tuple[bytes, int]]
    #: identifiers that rulings or releases are about and that nobody uses
    absent: list[bytes]


class Harvest(NamedTuple):
    """What a fold has changed since the last harvest, in the order of journey ids."""

    touched: list[Journey]
    gone: list[Gone]
    moved: list[Move]
    entries: Entries
    consulted: Consulted


class Workspace:
    """Loaded journeys, found by their identifiers.

    What the fold learns about identity is noted at once and judged later: a component that gets many links in one
    batch is judged once.

    Invariant: if a journey is loaded, so are all journeys that refused links or rulings tie to it.
    """

    def __init__(self, rules: Rules, register: Register | None = None) -> None:
        self.register = register or Register()
        self.rules = agreed_rules(rules, self.register.playbook_events)
        self.journeys: dict[bytes, Journey] = {}
        #: identifier key -> journey id
        self.home: dict[bytes, bytes] = {}
        self._touched: set[bytes] = set()
        #: journey id -> (rev, what the stored row says)
        self._gone: dict[bytes, tuple[int, Stored | None]] = {}
        #: identifier key -> the journey it found at the last harvest
        self._moved: dict[bytes, bytes | None] = {}
        #: identifiers that nobody has used since the last harvest: the database may not know yet
        self._left: set[bytes] = set()
        #: identifiers whose components must be judged again -> whether a ruling or a quarantine may have cut these
        self._dirty: dict[bytes, bool] = {}
        #: ids of the journeys of components that were judged
        self._judged: set[bytes] = set()
        #: contested device -> what happened on it and was not assigned to anybody yet
        self._unassigned: dict[bytes, Journey] = {}

    def put(self, journey: Journey) -> None:
        """Add a stored journey."""
        self.journeys[journey.journey_id] = journey
        for key in journey.identifiers:
            self.home[key] = journey.journey_id

    def evict(self, journey_id: bytes) -> None:
        """Drop a journey that has not changed since it was stored."""
        for key in self.journeys.pop(journey_id).identifiers:
            del self.home[key]

    def knows(self, key: bytes) -> bool:
        """Whether the workspace knows more about an identifier than the database."""
        return key in self.home or key in self._moved or key in self._left

    def journey_of(self, key: bytes) -> Journey | None:
        """The journey of an identifier."""
        home = self.home.get(key)
        return None if home is None else self.journeys[home]

    def text_of(self, key: bytes) -> str | None:
        """An identifier as type:value; None where its journey is not loaded."""
        journey = self.journey_of(key)
        return None if journey is None else f"{journey.identifiers[key].type}:{journey.identifiers[key].value}"

    def record(self, event: PlaybookEvent) -> bool:
        """Add an event about a playbook. Returns whether other terms follow; then no journey here is settled."""
        self.register.record(event)
        return self._follow_terms()

    def retract(self, order: Order) -> bool:
        """Undo an event about a playbook; returns what `record` does."""
        self.register.retract(order)
        return self._follow_terms()

    def _follow_terms(self) -> bool:
        rules = agreed_rules(self.rules, self.register.playbook_events)
        if (rules.names, rules.terms) == (self.rules.names, self.rules.terms):
            return False
        self.rules = rules
        self.register.note_new_terms()
        for journey in self.journeys.values():
            journey.unsettle()
        return True

    def touch(self, journey: Journey) -> None:
        """Note that a journey was changed."""
        self._touched.add(journey.journey_id)

    @property
    def touched(self) -> int:
        """How many journeys were changed since the last harvest."""
        return len(self._touched)

    def mark_dirty(self, key: bytes, *, afresh: bool = False) -> None:
        """Have an identifier's component judged again, at the harvest at the latest.

        `afresh`: a ruling or a quarantine may have cut the component in pieces.
        """
        self._dirty[key] = afresh or self._dirty.get(key, False)

    def unassigned(self, device: bytes) -> Journey:
        """The journey that keeps what happens on a contested device until the component is judged."""
        self.mark_dirty(device)
        return self._unassigned.setdefault(device, Journey(device))

    def attach(self, journey: Journey) -> None:
        """Add a new journey, or one whose identifiers changed."""
        if journey.journey_id in self._gone:
            journey.rev, journey.stored = self._gone.pop(journey.journey_id)
        self.journeys[journey.journey_id] = journey
        for key in journey.identifiers:
            before = self.home.get(key)
            if before != journey.journey_id:
                self._moved.setdefault(key, before)
                self.home[key] = journey.journey_id
        self.touch(journey)

    def detach(self, journey: Journey) -> None:
        """Remove a journey for good; its identifiers no longer find it."""
        del self.journeys[journey.journey_id]
        self._touched.discard(journey.journey_id)
        if journey.rev:
            self._gone[journey.journey_id] = (journey.rev, journey.stored)
        for key in journey.identifiers:
            self._moved.setdefault(key, self.home.pop(key))

    def component(self, journey_id: bytes) -> dict[bytes, Journey]:
        """A journey and all that refused links and rulings tie to it."""
        members: dict[bytes, Journey] = {}
        partners, todo = self.register.partners, [journey_id]
        while todo:
            journey_id = todo.pop()
            if journey_id in members:
                continue
            members[journey_id] = journey = self.journeys[journey_id]
            if journey.component is not None:
                tied = [end for link in journey.refused if link.refused != QUARANTINED for end in (link.a, link.b)]
                todo += [self.home[end] for end in tied]
            if partners:
                todo += self.homes_of_partners(journey.identifiers)
        return members

    def everybody_here(self, key: bytes) -> Iterable[Journey]:
        """The journeys of an identifier's component."""
        return self.component(self.home[key]).values()

    def everybody_tied_to(self, journey_id: bytes) -> dict[bytes, Journey]:
        """A journey and all loaded ones that any link or ruling ties to it, in quarantine or not."""
        home, register = self.home, self.register
        linked: dict[bytes, list[bytes]] = {}  # end of a link in quarantine -> journeys that keep the link
        for other, journey in self.journeys.items():
            for link in journey.refused:
                if link.refused == QUARANTINED:
                    for end in (link.a, link.b):
                        linked.setdefault(end, []).append(other)
        tied: dict[bytes, Journey] = {}
        todo = [journey_id]
        while todo:
            journey_id = todo.pop()
            if journey_id in tied:
                continue
            tied[journey_id] = journey = self.journeys[journey_id]
            ends = {end for link in journey.refused for end in (link.a, link.b)}
            for key in journey.identifiers:
                todo += linked.get(key, ())
                ends |= register.partners.get(key, set()) | register.bonds.get(key, {}).keys()
            todo += [home[end] for end in ends if end in home]
        return tied

    def homes_of_partners(self, keys: Iterable[bytes]) -> list[bytes]:
        """The journeys of identifiers that rulings joined to these, as far as there are any."""
        register, home = self.register, self.home
        return [home[other] for key in keys for other in register.joined_to(key) if other in home]

    def judge(self) -> None:
        """Judge each component again in which it may have changed who is one person."""
        while self._dirty:
            for key in list(self._dirty):  # finding the first key of a dict takes long once many were removed
                if key in self._dirty:
                    self._judge(key)

    def _judge(self, key: bytes) -> None:
        if key not in self.home:
            del self._dirty[key]  # a ruling is about it, and nobody uses it yet
            return
        old = self.component(self.home[key])
        self._judged.update(old)
        keys = [key for journey in old.values() for key in journey.identifiers]
        afresh = [self._dirty.pop(key) for key in keys if key in self._dirty]
        unassigned = [self._unassigned.pop(key) for key in keys if key in self._unassigned]
        self._replace(old, regroup(old, unassigned, self.register, self.rules, afresh=any(afresh)))

    def _replace(self, old: dict[bytes, Journey], fresh: list[Regrouped]) -> None:
        """Swap journeys. Those that did not change stay."""
        same = {id_ for journey, _ in fresh if (id_ := journey.journey_id) in old and journey.same(old[id_])}
        heirs: dict[bytes, bytes] = {}  # who gave something away -> to whom
        for journey, sources in fresh:
            for source in sources - {journey.journey_id}:
                heirs[source] = min(journey.journey_id, heirs.get(source, journey.journey_id))
        for journey_id, journey in old.items():
            if journey_id not in same:
                self.detach(journey)
        for journey, sources in fresh:
            own = journey.journey_id
            if own in same:
                if old[own].component != journey.component:
                    old[own].component = journey.component
                    self.touch(old[own])
                continue
            earlier = journey.inherited or (old[own].inherited if own in old else None)
            journey.inherited = earlier or min(sources - {own}, default=heirs.get(own))
            if journey.empty:
                journey.settled = False  # it begins where it was first named, and that may have changed
            self.attach(journey)

    def record_identifier(self, identifier: Identifier, order: Order) -> None:
        """Note that an event named an identifier. A new one gets a journey of its own until it is judged."""
        journey = self.journey_of(identifier.key)
        if journey is None:
            journey = Journey(identifier.key)
            journey.record_identifier(identifier, order)
            self.attach(journey)
            return
        journey.record_identifier(identifier, order)
        self.touch(journey)

    def harvest(self) -> Harvest:
        """What changed since the last call, settled. The journeys' `rev` counts up: the caller must write them all."""
        self.judge()
        touched = [self.journeys[journey_id] for journey_id in sorted(self._touched)]
        gone = [Gone(old, *self._gone[old], self.home.get(old)) for old in sorted(self._gone)]
        moved = [Move(key, self._moved[key], self.home.get(key)) for key in sorted(self._moved)]
        entries = self.register.harvest()
        consulted = self._consulted(touched, entries)
        for journey in touched:
            settle(journey, self.rules)
            journey.rev += 1
        self._touched, self._gone, self._moved, self._judged = set(), {}, {}, set()
        self._left = {move.key for move in moved if move.now is None}
        return Harvest(
            touched=touched,
            gone=gone,
            moved=[move for move in moved if move.before != move.now],
            entries=entries,
            consulted=consulted,
        )

    def _consulted(self, touched: list[Journey], entries: Entries) -> Consulted:
        keys = self.register.concerned(entries)
        if self.register.partners:
            keys |= {other for one in touched for key in one.identifiers for other in self.register.joined_to(key)}
        if not keys and not self._judged:
            return Consulted([], [])
        homes = {home for key in keys if (home := self.home.get(key)) is not None}
        unchanged = sorted(((self._judged & self.journeys.keys()) | homes) - self._touched)
        return Consulted(
            [(journey_id, self.journeys[journey_id].rev) for journey_id in unchanged],
            sorted(key for key in keys if key not in self.home),
        )
