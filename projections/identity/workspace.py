"""The workspace: the journeys at hand, and what the fold has done to them.

In tests and in audits a workspace holds all journeys; the projector loads what a batch needs, folds, writes what was
touched, and lets go of what was not used for long.
"""

from collections.abc import Iterable
from typing import NamedTuple

from projections.identifiers import Identifier
from projections.identity.register import Entries, Register
from projections.identity.regroup import regroup
from projections.journey.journey import BREAKER, Journey, Order, Stored
from projections.playbook.model import Rules
from projections.playbook.proposals import Said, agreed_rules


class Gone(NamedTuple):
    """A journey that is no more: its identifiers belong to others now."""

    journey_id: bytes
    rev: int  #: of the stored row
    stored: Stored | None
    successor: bytes | None  #: the journey that its id now finds; None if nobody uses the identifier any more


class Move(NamedTuple):
    """An identifier that finds another journey than it did when the workspace was harvested last."""

    key: bytes
    before: bytes | None  #: None: the identifier is new
    now: bytes | None  #: None: nobody uses it any more


class Consulted(NamedTuple):
    """What the fold went by, beside what it has changed: if any of it is otherwise by now, the outcome is void."""

    #: (journey id, rev) of journeys that were judged with others and stayed as they are
    journeys: list[tuple[bytes, int]]
    #: identifiers that rulings or releases are about, and that nobody uses
    absent: list[bytes]


class Harvest(NamedTuple):
    """What a fold has changed since the last harvest, in the order of journey ids."""

    touched: list[Journey]
    gone: list[Gone]
    moved: list[Move]
    entries: Entries
    consulted: Consulted


class Workspace:
    """Loaded journeys and the way from identifiers to them.

    What the fold learns about identity is noted at once and judged when it is needed: a component in which many links
    come in one batch is judged once.

    Invariant: with a journey, all journeys that refused links or rulings tie to it are loaded.
    """

    def __init__(self, rules: Rules, register: Register | None = None) -> None:
        self.register = register or Register()
        self.rules = agreed_rules(rules, self.register.said)
        self.journeys: dict[bytes, Journey] = {}
        #: identifier key -> journey id
        self.home: dict[bytes, bytes] = {}
        self._touched: set[bytes] = set()
        #: journey id -> (rev, what the stored row says)
        self._gone: dict[bytes, tuple[int, Stored | None]] = {}
        #: identifier key -> the journey it found at the last harvest
        self._moved: dict[bytes, bytes | None] = {}
        #: identifiers that nobody uses since the last harvest: what is stored may not know yet
        self._left: set[bytes] = set()
        #: identifiers whose components must be judged again -> whether a ruling or a quarantine may have cut them
        self._disturbed: dict[bytes, bool] = {}
        #: ids of the journeys of components that were judged
        self._judged: set[bytes] = set()
        #: contested device -> what happened on it since it was judged whose that is
        self._loose: dict[bytes, Journey] = {}

    def put(self, journey: Journey) -> None:
        """Take in a stored journey as it is."""
        self.journeys[journey.journey_id] = journey
        for key in journey.identifiers:
            self.home[key] = journey.journey_id

    def evict(self, journey_id: bytes) -> None:
        """Let go of a journey that is stored as it is here."""
        for key in self.journeys.pop(journey_id).identifiers:
            del self.home[key]

    def knows(self, key: bytes) -> bool:
        """Whether what is here on an identifier is newer than what is stored."""
        return key in self.home or key in self._moved or key in self._left

    def journey_of(self, key: bytes) -> Journey | None:
        """The journey of an identifier."""
        home = self.home.get(key)
        return None if home is None else self.journeys[home]

    def text_of(self, key: bytes) -> str | None:
        """An identifier as people write it, type:value; None where its journey is not here."""
        journey = self.journey_of(key)
        return None if journey is None else f"{journey.identifiers[key].type}:{journey.identifiers[key].value}"

    def agree(self, said: Said) -> bool:
        """Take what was said of a playbook. Returns whether other terms follow; then no journey here is settled."""
        self.register.say(said)
        return self._follow()

    def unsay(self, order: Order) -> bool:
        """Let what an event said of a playbook count no more; else as `agree`."""
        self.register.unsay(order)
        return self._follow()

    def _follow(self) -> bool:
        rules = agreed_rules(self.rules, self.register.said)
        if (rules.names, rules.terms) == (self.rules.names, self.rules.terms):
            return False
        self.rules = rules
        self.register.renew()
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

    def disturb(self, key: bytes, *, afresh: bool = False) -> None:
        """Note that who is one person must be judged again in an identifier's component, at the latest at the harvest.

        `afresh`: a ruling or a quarantine may have cut the component in pieces.
        """
        self._disturbed[key] = afresh or self._disturbed.get(key, False)

    def loose(self, device: bytes) -> Journey:
        """Where to keep what happens on a contested device, until it is judged whose that is."""
        self.disturb(device)
        return self._loose.setdefault(device, Journey(device))

    def adopt(self, journey: Journey) -> None:
        """Take in a new journey, or one whose identifiers changed."""
        if journey.journey_id in self._gone:
            journey.rev, journey.stored = self._gone.pop(journey.journey_id)
        self.journeys[journey.journey_id] = journey
        for key in journey.identifiers:
            before = self.home.get(key)
            if before != journey.journey_id:
                self._moved.setdefault(key, before)
                self.home[key] = journey.journey_id
        self.touch(journey)

    def disown(self, journey: Journey) -> None:
        """Take a journey out for good, with its way from the identifiers."""
        del self.journeys[journey.journey_id]
        self._touched.discard(journey.journey_id)
        if journey.rev:
            self._gone[journey.journey_id] = (journey.rev, journey.stored)
        for key in journey.identifiers:
            self._moved.setdefault(key, self.home.pop(key))

    def component(self, journey_id: bytes) -> dict[bytes, Journey]:
        """A journey and all that refused links and rulings tie to it."""
        found: dict[bytes, Journey] = {}
        partners, todo = self.register.partners, [journey_id]
        while todo:
            journey_id = todo.pop()
            if journey_id in found:
                continue
            found[journey_id] = journey = self.journeys[journey_id]
            if journey.component is not None:
                tied = [end for link in journey.refused if link.refused != BREAKER for end in (link.a, link.b)]
                todo += [self.home[end] for end in tied]
            if partners:
                todo += self.homes_of_partners(journey.identifiers)
        return found

    def everybody_here(self, key: bytes) -> Iterable[Journey]:
        """The journeys of an identifier's component."""
        return self.component(self.home[key]).values()

    def everybody_tied_to(self, journey_id: bytes) -> dict[bytes, Journey]:
        """A journey and all that any link or ruling ties to it, quarantine or not, as far as they are here."""
        home, register = self.home, self.register
        victims: dict[bytes, list[bytes]] = {}
        for other, journey in self.journeys.items():
            for link in journey.refused:
                if link.refused == BREAKER:
                    for end in (link.a, link.b):
                        victims.setdefault(end, []).append(other)
        found: dict[bytes, Journey] = {}
        todo = [journey_id]
        while todo:
            journey_id = todo.pop()
            if journey_id in found:
                continue
            found[journey_id] = journey = self.journeys[journey_id]
            ends = {end for link in journey.refused for end in (link.a, link.b)}
            for key in journey.identifiers:
                todo += victims.get(key, ())
                ends |= register.partners.get(key, set()) | register.bonds.get(key, {}).keys()
            todo += [home[end] for end in ends if end in home]
        return found

    def homes_of_partners(self, keys: Iterable[bytes]) -> list[bytes]:
        """The journeys of identifiers that rulings joined to these, if there are any yet."""
        register, home = self.register, self.home
        return [home[other] for key in keys for other in register.joined_to(key) if other in home]

    def judge(self) -> None:
        """Judge again who is one person in all components in which that may have changed: once for each."""
        while self._disturbed:
            for key in list(self._disturbed):  # to ask a dict for its first key takes long once many were taken out
                if key in self._disturbed:
                    self._judge(key)

    def _judge(self, key: bytes) -> None:
        if key not in self.home:
            del self._disturbed[key]  # an identifier of a ruling that nobody uses yet
            return
        old = self.component(self.home[key])
        self._judged.update(old)
        keys = [key for journey in old.values() for key in journey.identifiers]
        afresh = [self._disturbed.pop(key) for key in keys if key in self._disturbed]
        loose = [self._loose.pop(key) for key in keys if key in self._loose]
        regroup(self, old, loose, afresh=any(afresh))

    def name(self, identifier: Identifier, order: Order) -> None:
        """Note that an event names an identifier. One that is new gets a journey of its own, until it is judged."""
        journey = self.journey_of(identifier.key)
        if journey is None:
            journey = Journey(identifier.key)
            journey.name(identifier, order)
            self.adopt(journey)
            return
        journey.name(identifier, order)
        self.touch(journey)

    def harvest(self) -> Harvest:
        """What changed since the last call. The journeys' `rev` counts up: the caller writes them all."""
        self.judge()
        touched = [self.journeys[journey_id] for journey_id in sorted(self._touched)]
        gone = [Gone(old, *self._gone[old], self.home.get(old)) for old in sorted(self._gone)]
        moved = [Move(key, self._moved[key], self.home.get(key)) for key in sorted(self._moved)]
        entries = self.register.harvest()
        consulted = self._consulted(touched, entries)
        for journey in touched:
            journey.settle(self.rules)
            journey.rev += 1
        self._touched, self._gone, self._moved, self._judged = set(), {}, {}, set()
        self._left = {move.key for move in moved if move.now is None}
        return Harvest(touched, gone, [move for move in moved if move.before != move.now], entries, consulted)

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
