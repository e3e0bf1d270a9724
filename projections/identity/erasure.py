"""Erasures: people who are forgotten. Only keyed hashes of their identifiers are kept.

Without the secret nobody can tell whom a hash names; with it, only who already knows the identifier can.

An erasure takes events out of the set that journeys are folded from: those that name an erased identifier and occurred
up to the erasure. Where the identifier was somebody else's before, events from before it became the person's stay.
Whoever comes back later begins anew. Nothing else decides whether an event is erased: law 2 of
docs/explanation/laws.md.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from projections.identifiers import Identifier, identifier_key, later_key
from projections.journey.links import Known
from schemas.event import Event, Order
from schemas.times import BEGINNING

ERASURE = "subject_erased"
EventKey = tuple[bytes, str]  #: (event id, source)
_REMEMBERED = 200_000  #: hashes; some 30 MB


class Erasure(NamedTuple):
    """One person who was erased."""

    order: Order  #: of the event: events that occurred up to then are erased
    secret: str  #: name of the secret that the hashes are made with
    #: hashes of the person's identifiers, as hex; with "@" and a time where the identifier became the person's then
    subjects: tuple[str, ...]
    shared: tuple[str, ...]  #: hashes of devices that others use too: they stay contested
    events: tuple[EventKey, ...]  #: events of the person that name none of the identifiers
    reason: str | None
    by: str | None

    @property
    def nobody(self) -> bool:
        """Whether it erases nothing, as events of version 1 do."""
        return not (self.subjects or self.events)


def erasure_of(event: Event) -> Erasure:
    """What an event says is erased."""
    data: Any = event.data
    named = (one.split(" ", 1) for one in data.events)
    events = tuple((bytes.fromhex(id_), source) for id_, source in named)
    return Erasure(
        order=event.order,
        secret=data.secret,
        subjects=tuple(data.subjects),
        shared=tuple(data.shared),
        events=events,
        reason=data.reason,
        by=data.by,
    )


def name_of_secret(secret: bytes) -> str:
    """The name of a secret, which reveals nothing about it."""
    return blake2b(b"", key=secret, digest_size=8, person=b"tandem.secret").hexdigest()


def keyed_hash(secret: bytes, key: bytes) -> str:
    """What stands for an identifier in an erasure: BLAKE2b (RFC 7693) of its key, keyed with the secret, as hex.

    `key`: as `identifier_key` gives it, without releases.
    """
    return blake2b(key, key=secret, digest_size=32, person=b"tandem.erasure").hexdigest()


class Erased:
    """All erasures, with the secret that tells whom they are about."""

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        #: hash -> [(first, last)]: when erased events occurred, in microseconds since 1970 UTC
        self._spans: dict[str, list[tuple[int, int]]] = {}
        self._events: set[EventKey] = set()
        self._shared: set[str] = set()
        #: identifier key -> its hash, for keys that were asked about
        self._hashes: dict[bytes, str] = {}

    def __bool__(self) -> bool:
        return bool(self._spans or self._events)

    @property
    def secret_name(self) -> str:
        """The secret's name; empty where there is no secret yet."""
        return name_of_secret(self._secret) if self._secret else ""

    def set_secret(self, secret: bytes) -> None:
        """Set the secret, before there is any erasure."""
        assert not self, "erasures are hashed with another secret"
        self._secret = secret
        self._hashes.clear()

    def only(self, erasure: Erasure) -> "Erased":
        """One erasure alone, with the same secret."""
        one = Erased(self._secret)
        one.add(erasure)
        return one

    def add(self, erasure: Erasure) -> None:
        """Add one erasure. Adding it twice changes nothing."""
        for subject in erasure.subjects:
            name, _, since = subject.partition("@")
            span = (int(since) if since else BEGINNING, erasure.order[0])
            spans = self._spans.setdefault(name, [])
            if span not in spans:
                spans.append(span)
        self._events.update(erasure.events)
        self._shared.update(erasure.shared)

    def has(self, key: bytes, at: int) -> bool:
        """Whether an identifier was erased as of a time; `key` is without releases."""
        return any(first <= at <= last for first, last in self._spans.get(self._hash(key), ()))

    def covers(self, event: EventKey, at: int, persons: Iterable[Identifier]) -> bool:
        """Whether an event is erased. `persons`: whom it names, without releases."""
        return event in self._events or any(self.has(person.key, at) for person in persons)

    def names_event(self, event: EventKey) -> bool:
        """Whether an erasure names the event itself."""
        return event in self._events

    def any_shared(self, persons: Iterable[Identifier | Known]) -> bool:
        """Whether one of them is a device that stays contested though some of its users are erased."""
        return bool(self._shared) and any(
            self._hash(identifier_key(person.type, person.value)) in self._shared for person in persons
        )

    def among(self, keys: Iterable[bytes], releases: Mapping[bytes, list[int]]) -> tuple[list[bytes], list[bytes]]:
        """(those erased at some time, those that are shared devices) of stored identifiers."""
        first = {later_key(key, at): key for key, times in releases.items() for at in times}
        hashes = [(key, self._hash(first.get(key, key))) for key in keys]
        return [key for key, name in hashes if name in self._spans], [
            key for key, name in hashes if name in self._shared
        ]

    def _hash(self, key: bytes) -> str:
        text = self._hashes.get(key)
        if text is None:
            if len(self._hashes) >= _REMEMBERED:
                self._hashes.clear()
            text = self._hashes[key] = keyed_hash(self._secret, key)
        return text
