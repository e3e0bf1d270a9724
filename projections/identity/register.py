"""The register: what holds whatever journey it is about. Rulings, releases, quarantine, erasures; what was said of
playbooks.

It is small, for people make it: every worker holds all of it in memory, and a commit proves that it was up to date.
"""

from itertools import combinations
from typing import NamedTuple

from projections.identifiers import Identifier, key_at, later_key
from projections.identity.erasure import Erased, Erasure
from projections.playbook.proposals import Said

Pair = tuple[bytes, bytes]  #: two identifier keys, the smaller first
Order = tuple[int, bytes, str]

RULINGS = {"identity_joined": True, "identity_split": False}
RELEASE = "identifier_released"
#: Events that say who is who, and nothing else of anybody.
ABOUT_IDENTITY = frozenset({*RULINGS, RELEASE})


class Ruling(NamedTuple):
    """What people decided about some identifiers: one person, or each a person of their own."""

    order: Order  #: of the event
    joined: bool
    keys: tuple[bytes, ...]  #: sorted; as they are without releases


class Victim(NamedTuple):
    """An identifier that an event linked to one in quarantine."""

    key: bytes  #: of the one in quarantine
    victim: bytes
    at: int  #: of the first event that linked them, in microseconds since 1970 UTC


class Entries(NamedTuple):
    """What was added to a register since the last harvest."""

    rulings: list[Ruling]
    releases: list[tuple[bytes, int]]
    quarantined: list[Identifier]
    unquarantined: list[bytes]
    victims: list[Victim]
    said: list[Said]
    erasures: list[Erasure]
    unruled: list[tuple[bytes, str]]  #: (event id, source) of rulings that count no more
    unreleased: list[tuple[bytes, int]]  #: releases that count no more
    unsaid: list[tuple[bytes, str]]  #: (event id, source) of what was said and counts no more
    renewed: bool  #: whether other terms follow from what was said: stored journeys must be derived again

    @property
    def changed(self) -> bool:
        """Whether anything was added that changes how events are folded."""
        return bool(
            self.rulings
            or self.releases
            or self.quarantined
            or self.unquarantined
            or self.said
            or self.erasures
            or self.unruled
            or self.unreleased
            or self.unsaid
        )


def nothing_new() -> Entries:
    """No entries."""
    return Entries([], [], [], [], [], [], [], [], [], [], False)


class Register:
    """Rulings by pair, release times and quarantined identifiers by key."""

    def __init__(self, secret: bytes = b"") -> None:
        #: counts commits that changed it; what was folded with another version must not be committed
        self.version = 0
        self.rulings: list[Ruling] = []
        #: the last ruling on each pair
        self.last: dict[Pair, Ruling] = {}
        #: identifier key -> those that rulings joined to it
        self.partners: dict[bytes, set[bytes]] = {}
        #: identifier key -> those that rulings parted from it
        self.foes: dict[bytes, set[bytes]] = {}
        #: key -> times, in microseconds since 1970 UTC, sorted
        self.releases: dict[bytes, list[int]] = {}
        self.quarantined: set[bytes] = set()
        #: identifier in quarantine -> others in quarantine that were linked to it, and when first; no journey has them
        self.bonds: dict[bytes, dict[bytes, int]] = {}
        #: all that was said of playbooks
        self.said: list[Said] = []
        #: after other terms were agreed: up to which journey the stored ones follow them; None: all do
        self.swept_until: bytes | None = None
        #: who was erased; hashes are under the secret
        self.erased = Erased(secret)
        self._new = nothing_new()

    def rule(self, ruling: Ruling) -> list[bytes]:
        """Take a ruling about each two of its identifiers; of several about the same two the last holds.

        Returns the identifiers that it is about, as they are at its time.
        """
        self._new.rulings.append(ruling)
        return self.put_ruling(ruling)

    def put_ruling(self, ruling: Ruling) -> list[bytes]:
        """Take in a stored ruling."""
        self.rulings.append(ruling)
        return self._hold(ruling)

    def _hold(self, ruling: Ruling) -> list[bytes]:
        keys = sorted(key_at(key, ruling.order[0], self.releases) for key in ruling.keys)
        for pair in combinations(keys, 2):
            known = self.last.get(pair)
            if known is not None and ruling.order < known.order:
                continue
            self.last[pair] = ruling
            into, out_of = (self.partners, self.foes) if ruling.joined else (self.foes, self.partners)
            for one, other in (pair, pair[::-1]):
                into.setdefault(one, set()).add(other)
                out_of.get(one, set()).discard(other)
        return keys

    def unrule(self, gone: list[Ruling]) -> None:
        """Let rulings count no more."""
        for ruling in gone:
            self.rulings.remove(ruling)
            if ruling in self._new.rulings:
                self._new.rulings.remove(ruling)  # it was never stored
            else:
                self._new.unruled.append(ruling.order[1:])
        if gone:
            self._hold_all()

    def joined_to(self, key: bytes) -> set[bytes]:
        """Whom rulings joined to an identifier; nobody, where it is in quarantine."""
        others = self.partners.get(key)
        if not others or key in self.quarantined:
            return set()
        return others - self.quarantined

    def release(self, key: bytes, at: int) -> bool:
        """Note that an identifier means somebody else from `at` on. Returns whether that is new."""
        if at in self.releases.get(key, ()):
            return False
        self._new.releases.append((key, at))
        self.put_release(key, at)
        return True

    def put_release(self, key: bytes, at: int) -> None:
        """Take in a stored release. Rulings after it are about the new identifier."""
        self.releases[key] = sorted([*self.releases.get(key, []), at])
        self._hold_all()

    def unrelease(self, key: bytes, at: int) -> None:
        """Let a release count no more, if there is one."""
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
            self._new.unreleased.append((key, at))
        self._hold_all()

    def quarantine(self, identifier: Identifier) -> None:
        """Put an identifier in quarantine, for good: it joins nobody any more."""
        self.quarantined.add(identifier.key)
        self._new.quarantined.append(identifier)

    def unquarantine(self, key: bytes) -> None:
        """End a quarantine: a release has left the identifier fewer links."""
        self.quarantined.discard(key)
        for other in self.bonds.pop(key, {}):
            self.bonds.get(other, {}).pop(key, None)
        new = self._new
        new.quarantined[:] = [identifier for identifier in new.quarantined if identifier.key != key]
        new.victims[:] = [victim for victim in new.victims if victim.key != key]
        new.unquarantined.append(key)

    def suffer(self, victim: Victim) -> None:
        """Note whom an event linked to an identifier in quarantine."""
        self._new.victims.append(victim)
        if victim.victim in self.quarantined:
            self.put_bond(victim)

    def put_bond(self, victim: Victim) -> None:
        """Take in that an identifier in quarantine was linked to another one in quarantine."""
        bonds = self.bonds.setdefault(victim.key, {})
        bonds[victim.victim] = min(victim.at, bonds.get(victim.victim, victim.at))

    def bonded_since(self, one: bytes, other: bytes) -> int | None:
        """When two identifiers in quarantine were first linked, in microseconds since 1970 UTC."""
        return self.bonds.get(one, {}).get(other)

    def concerned(self, entries: Entries) -> set[bytes]:
        """The identifiers that new rulings and releases are about, as they are at the time of each."""
        keys = {key_at(key, ruling.order[0], self.releases) for ruling in entries.rulings for key in ruling.keys}
        for key, at in entries.releases:
            keys |= {key, key_at(key, at - 1, self.releases), later_key(key, at)}
        return keys

    def erase(self, erasure: Erasure) -> list[Ruling]:
        """Take an erasure. Returns the rulings that are no more, for they are about the person."""
        self._new.erasures.append(erasure)
        self.erased.add(erasure)  # again, perhaps
        gone = [ruling for ruling in self.rulings if self._is_erased(ruling)]
        self.unrule(gone)
        return gone

    def _is_erased(self, ruling: Ruling) -> bool:
        at, id_, source = ruling.order
        return self.erased.lists((id_, source)) or any(self.erased.has(key, at) for key in ruling.keys)

    def _hold_all(self) -> None:
        self.last, self.partners, self.foes = {}, {}, {}
        for ruling in self.rulings:
            self._hold(ruling)

    def say(self, said: Said) -> None:
        """Take what was said of a playbook."""
        self._new.said.append(said)
        self.said.append(said)

    def unsay(self, order: Order) -> None:
        """Let what an event said of a playbook count no more, if it said anything."""
        for said in [one for one in self.said if one.order == order]:
            self.said.remove(said)
            if said in self._new.said:
                self._new.said.remove(said)  # it was never stored
            else:
                self._new.unsaid.append(order[1:])

    def renew(self) -> None:
        """Note that other terms follow from what was said."""
        self._new = self._new._replace(renewed=True)
        self.swept_until = bytes(16)

    def harvest(self) -> Entries:
        """What was added since the last call. Counts the version up if anything but victims was."""
        entries, self._new = self._new, nothing_new()
        if entries.changed:
            self.version += 1
        return entries
