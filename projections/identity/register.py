"""The register: what is decided for all journeys: rulings, releases, quarantine, erasures and playbook events.

It is small, because people make it: every worker holds all of it in memory, and a commit proves that it was up to date.
"""

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import NamedTuple

from projections.identifiers import Identifier, key_at, later_key
from projections.identity.erasure import Erased, Erasure
from projections.playbook.events import PlaybookEvent
from schemas.event import Order

Pair = tuple[bytes, bytes]  #: two identifier keys, the smaller first

RULINGS = {"identity_joined": True, "identity_split": False}
RELEASE = "identifier_released"
#: Events that say who is who, and nothing else about anybody.
ABOUT_IDENTITY = frozenset({*RULINGS, RELEASE})


class Ruling(NamedTuple):
    """A decision about some identifiers: they are one person, or each is a person of their own."""

    order: Order  #: of the event
    joined: bool
    keys: tuple[bytes, ...]  #: sorted; without releases


class AffectedIdentifier(NamedTuple):
    """An identifier that an event linked to one in quarantine."""

    quarantined: bytes  #: key of the one in quarantine
    affected: bytes  #: key of the other
    at: int  #: of the first event that linked them, in microseconds since 1970 UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What was added to a register since the last harvest; the lists grow until then."""

    rulings: list[Ruling] = field(default_factory=list)
    releases: list[tuple[bytes, int]] = field(default_factory=list)
    quarantined: list[Identifier] = field(default_factory=list)
    unquarantined: list[bytes] = field(default_factory=list)
    affected_identifiers: list[AffectedIdentifier] = field(default_factory=list)
    playbook_events: list[PlaybookEvent] = field(default_factory=list)
    erasures: list[Erasure] = field(default_factory=list)
    retracted_rulings: list[tuple[bytes, str]] = field(default_factory=list)  #: (event id, source)
    retracted_releases: list[tuple[bytes, int]] = field(default_factory=list)
    retracted_playbook_events: list[tuple[bytes, str]] = field(default_factory=list)  #: (event id, source)
    #: whether other terms follow from the playbook events: stored journeys must be derived again
    terms_changed: bool = False

    def __bool__(self) -> bool:
        """Whether anything was added."""
        return self.changed or bool(self.affected_identifiers) or self.terms_changed

    @property
    def changed(self) -> bool:
        """Whether anything was added that changes how events are folded."""
        return bool(
            self.rulings
            or self.releases
            or self.quarantined
            or self.unquarantined
            or self.playbook_events
            or self.erasures
            or self.retracted_rulings
            or self.retracted_releases
            or self.retracted_playbook_events
        )


class Register:
    """Rulings by pair, release times and quarantined identifiers by key."""

    def __init__(self, secret: bytes = b"") -> None:
        #: counts the commits that changed it; what was folded with another version must not be committed
        self.version = 0
        self.rulings: list[Ruling] = []
        #: the last ruling on each pair
        self.last: dict[Pair, Ruling] = {}
        #: identifier key -> those that rulings joined to it
        self.partners: dict[bytes, set[bytes]] = {}
        #: identifier key -> those that rulings separated from it
        self.separated: dict[bytes, set[bytes]] = {}
        #: key -> times, in microseconds since 1970 UTC, sorted
        self.releases: dict[bytes, list[int]] = {}
        self.quarantined: set[bytes] = set()
        #: identifier in quarantine -> others in quarantine that were linked to it, and since when
        self.bonds: dict[bytes, dict[bytes, int]] = {}
        self.playbook_events: list[PlaybookEvent] = []
        #: after the terms changed: up to which id stored journeys follow them; None: all do
        self.swept_until: bytes | None = None
        #: who was erased
        self.erased = Erased(secret)
        self._new = Entries()

    def rule(self, ruling: Ruling) -> list[bytes]:
        """Add a ruling. It is about each pair of its identifiers; of several about one pair the last holds.

        Returns the identifiers that it is about, as of its time.
        """
        self._new.rulings.append(ruling)
        return self.load_ruling(ruling)

    def load_ruling(self, ruling: Ruling) -> list[bytes]:
        """Add a stored ruling."""
        self.rulings.append(ruling)
        return self._apply(ruling)

    def _apply(self, ruling: Ruling) -> list[bytes]:
        keys = sorted(key_at(key, ruling.order[0], self.releases) for key in ruling.keys)
        for pair in combinations(keys, 2):
            known = self.last.get(pair)
            if known is not None and ruling.order < known.order:
                continue
            self.last[pair] = ruling
            into, out_of = (self.partners, self.separated) if ruling.joined else (self.separated, self.partners)
            for one, other in (pair, pair[::-1]):
                into.setdefault(one, set()).add(other)
                out_of.get(one, set()).discard(other)
        return keys

    def retract_rulings(self, rulings: list[Ruling]) -> None:
        """Undo rulings."""
        for ruling in rulings:
            self.rulings.remove(ruling)
            if ruling in self._new.rulings:
                self._new.rulings.remove(ruling)  # it was never stored
            else:
                self._new.retracted_rulings.append(ruling.order[1:])
        if rulings:
            self._apply_all()

    def joined_to(self, key: bytes) -> set[bytes]:
        """The identifiers that rulings joined to one; none where it is in quarantine."""
        others = self.partners.get(key)
        if not others or key in self.quarantined:
            return set()
        return others - self.quarantined

    def release(self, key: bytes, at: int) -> bool:
        """Add a release: from `at` on the identifier means somebody else. Returns whether it is new."""
        if at in self.releases.get(key, ()):
            return False
        self._new.releases.append((key, at))
        self.load_release(key, at)
        return True

    def load_release(self, key: bytes, at: int) -> None:
        """Add a stored release. Rulings after it are about the new identifier."""
        self.releases[key] = sorted([*self.releases.get(key, []), at])
        self._apply_all()

    def retract_release(self, key: bytes, at: int) -> None:
        """Undo a release, if there is one."""
        times = [time for time in self.releases.get(key, ()) if time != at]
        if len(times) == len(self.releases.get(key, ())):
            return
        if times:
            self.releases[key] = times
        else:
            del self.releases[key]
        if (key, at) in self._new.releases:
            self._new.releases.remove((key, at))  # it was never stored
        else:
            self._new.retracted_releases.append((key, at))
        self._apply_all()

    def quarantine(self, identifier: Identifier) -> None:
        """Put an identifier in quarantine for good: it joins nobody any more."""
        self.quarantined.add(identifier.key)
        self._new.quarantined.append(identifier)

    def unquarantine(self, key: bytes) -> None:
        """End a quarantine: after a release or an erasure the identifier is judged again."""
        self.quarantined.discard(key)
        for other in self.bonds.pop(key, {}):
            self.bonds.get(other, {}).pop(key, None)
        new = self._new
        new.quarantined[:] = [identifier for identifier in new.quarantined if identifier.key != key]
        new.affected_identifiers[:] = [one for one in new.affected_identifiers if one.quarantined != key]
        new.unquarantined.append(key)

    def record_bond(self, bond: AffectedIdentifier) -> None:
        """Note which identifier an event linked to one in quarantine."""
        self._new.affected_identifiers.append(bond)
        if bond.affected in self.quarantined:
            self.load_bond(bond)

    def load_bond(self, bond: AffectedIdentifier) -> None:
        """Add a stored bond between two identifiers in quarantine."""
        bonds = self.bonds.setdefault(bond.quarantined, {})
        bonds[bond.affected] = min(bond.at, bonds.get(bond.affected, bond.at))

    def bonded_since(self, one: bytes, other: bytes) -> int | None:
        """When two identifiers in quarantine were first linked, in microseconds since 1970 UTC."""
        return self.bonds.get(one, {}).get(other)

    def concerned(self, entries: Entries) -> set[bytes]:
        """The identifiers that new rulings and releases are about, as of the time of each."""
        keys = {key_at(key, ruling.order[0], self.releases) for ruling in entries.rulings for key in ruling.keys}
        for key, at in entries.releases:
            keys |= {key, key_at(key, at - 1, self.releases), later_key(key, at)}
        return keys

    def erase(self, erasure: Erasure) -> list[Ruling]:
        """Add an erasure. Returns the rulings about the person: they are retracted."""
        self._new.erasures.append(erasure)
        self.erased.add(erasure)
        gone = [ruling for ruling in self.rulings if self._is_erased(ruling)]
        self.retract_rulings(gone)
        return gone

    def _is_erased(self, ruling: Ruling) -> bool:
        at, id_, source = ruling.order
        return self.erased.names_event((id_, source)) or any(self.erased.has(key, at) for key in ruling.keys)

    def _apply_all(self) -> None:
        self.last, self.partners, self.separated = {}, {}, {}
        for ruling in self.rulings:
            self._apply(ruling)

    def record(self, event: PlaybookEvent) -> None:
        """Add an event about a playbook."""
        self._new.playbook_events.append(event)
        self.playbook_events.append(event)

    def retract(self, order: Order) -> None:
        """Undo the event about a playbook that has this order, if there is one."""
        for event in [one for one in self.playbook_events if one.order == order]:
            self.playbook_events.remove(event)
            if event in self._new.playbook_events:
                self._new.playbook_events.remove(event)  # it was never stored
            else:
                self._new.retracted_playbook_events.append(order[1:])

    def note_new_terms(self) -> None:
        """Note that other terms follow from the playbook events: the stored journeys must follow them."""
        self._new = replace(self._new, terms_changed=True)
        self.swept_until = bytes(16)

    def harvest(self) -> Entries:
        """What was added since the last call. Counts the version up if it changes how events are folded."""
        entries, self._new = self._new, Entries()
        if entries.changed:
            self.version += 1
        return entries
