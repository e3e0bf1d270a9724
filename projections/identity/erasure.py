"""Erasures: people who are forgotten. Who they were is kept as keyed hashes only: without the secret nobody can tell
whom they name, and the secret tells it only to those who can name the person.

An erasure takes events out of the set that journeys are folded from: those that name an erased identifier, at a time up
to the erasure and, where the identifier was somebody else's before, not before it became the person's. What comes later
is of somebody who has come back, and begins anew. Whether an event is erased depends on nothing else: law 2. Pure.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from projections.identifiers import Identifier, identifier_key, later_key
from projections.subjects import Subject
from schemas.event import Event

if TYPE_CHECKING:
    from projections.journey.journey import Known

ERASURE = "subject_erased"
EventKey = tuple[bytes, str]  #: (event id, source)
_EVER = -(2**63)
_REMEMBERED = 200_000  #: hashes; some 30 MB


class Erasure(NamedTuple):
    """One person who was erased."""

    order: tuple[int, bytes, str]  #: of the event: events that occurred up to then are erased
    secret: str  #: name of the secret that the hashes are made with
    #: hashes of the person's identifiers, as hex; "@" and a time, where it was released to the person then
    subjects: tuple[str, ...]
    shared: tuple[str, ...]  #: hashes of devices that others use, too: they stay contested
    events: tuple[EventKey, ...]  #: of the person, though they name none of the identifiers
    reason: str | None
    by: str | None

    @property
    def nobody(self) -> bool:
        """Whether it erases nothing, as events of the first version do."""
        return not (self.subjects or self.events)


def erasure_of(event: Event) -> Erasure:
    """What an event says is erased."""
    data: Any = event.data
    order = (event.occurred_at, event.id, event.source)
    named = (one.split(" ", 1) for one in data.events)
    events = tuple((bytes.fromhex(id_), source) for id_, source in named)
    return Erasure(order, data.secret, tuple(data.subjects), tuple(data.shared), events, data.reason, data.by)


def name_of_secret(secret: bytes) -> str:
    """What a secret is called: it tells nothing of it."""
    return blake2b(b"", key=secret, digest_size=8, person=b"tandem.secret").hexdigest()


def hidden(secret: bytes, key: bytes) -> str:
    """What stands for an identifier's key in an erasure: a keyed BLAKE2b (RFC 7693), as hex.

    `key`: without releases, as `identifier_key` gives it.
    """
    return blake2b(key, key=secret, digest_size=32, person=b"tandem.erasure").hexdigest()


class Erased:
    """All erasures that there are, with the secret that tells whom they are about."""

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        #: hash -> [(first, last)] time of events that are erased, in microseconds since 1970 UTC
        self._spans: dict[str, list[tuple[int, int]]] = {}
        self._events: set[EventKey] = set()
        self._shared: set[str] = set()
        #: hashes of keys that were asked for
        self._hidden: dict[bytes, str] = {}

    def __bool__(self) -> bool:
        return bool(self._spans or self._events)

    @property
    def secret_name(self) -> str:
        """What the secret is called; empty where there is none yet."""
        return name_of_secret(self._secret) if self._secret else ""

    def learn(self, secret: bytes) -> None:
        """Take the secret, before there are any erasures."""
        assert not self, "hashes of another secret are known"
        self._secret = secret
        self._hidden.clear()

    def of_one(self, erasure: Erasure) -> "Erased":
        """One erasure alone, under the same secret."""
        one = Erased(self._secret)
        one.add(erasure)
        return one

    def add(self, erasure: Erasure) -> None:
        """Take in one more; again, perhaps."""
        for subject in erasure.subjects:
            name, _, since = subject.partition("@")
            span = (int(since) if since else _EVER, erasure.order[0])
            spans = self._spans.setdefault(name, [])
            if span not in spans:
                spans.append(span)
        self._events.update(erasure.events)
        self._shared.update(erasure.shared)

    def has(self, key: bytes, at: int) -> bool:
        """Whether an identifier is erased at a time; `key` is without releases."""
        return any(first <= at <= last for first, last in self._spans.get(self._hide(key), ()))

    def takes(self, event: EventKey, at: int, subject: Subject | None) -> bool:
        """Whether an event is erased. The subject is as the event names it, without releases."""
        if event in self._events:
            return True
        return subject is not None and any(self.has(person.key, at) for person in subject.persons)

    def lists(self, event: EventKey) -> bool:
        """Whether an erasure names the event itself."""
        return event in self._events

    def any_shared(self, persons: "Iterable[Identifier | Known]") -> bool:
        """Whether one of them is a device that is contested, though some who used it are erased."""
        return bool(self._shared) and any(
            self._hide(identifier_key(person.type, person.value)) in self._shared for person in persons
        )

    def among(self, keys: Iterable[bytes], releases: Mapping[bytes, list[int]]) -> tuple[list[bytes], list[bytes]]:
        """(those erased at some time, those that are shared devices) of identifiers as they are stored."""
        first = {later_key(key, at): key for key, times in releases.items() for at in times}
        hashes = [(key, self._hide(first.get(key, key))) for key in keys]
        return [key for key, name in hashes if name in self._spans], [
            key for key, name in hashes if name in self._shared
        ]

    def _hide(self, key: bytes) -> str:
        found = self._hidden.get(key)
        if found is None:
            if len(self._hidden) >= _REMEMBERED:
                self._hidden.clear()
            found = self._hidden[key] = hidden(self._secret, key)
        return found
