"""The past, from the archive: who was one person and what their journey was, as of a time on either axis.

`at`: what had happened by then (occurred_at), with all that is known today. `known_at`: what Tandem had committed by
then. Only events of everybody who was ever tied to the identifier are read and folded. All connections give uuid values
as 16 raw bytes.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from projections.agreement import agreed_rules
from projections.erasure import Erased
from projections.fold import subject_of
from projections.identifiers import identifier_key
from projections.memory import MemoryFold
from projections.playbook import Rules
from projections.register import Register
from projections.times import time_text
from projections.workspace import Workspace
from schemas.decode import decode
from schemas.errors import TandemError
from schemas.event import Event
from store.agreement import read_said
from store.archive import Archived, read_named
from store.identity import Place, committed_at, everybody_ever_tied, places_of
from store.session import Reader
from store.status import first_commit
from streams.intake import precedes
from streams.spelling import may_name


class Recorded(NamedTuple):
    """An archived event, when it was committed, and where it lies in the log."""

    event: Event
    archived: Archived
    committed_at: datetime
    place: Place


class Point(NamedTuple):
    """A point in the past; None stands for no bound. `at` is microseconds since 1970 UTC."""

    at: int | None = None
    known_at: datetime | None = None

    def has(self, one: Recorded) -> bool:
        """Whether an event had happened, and was known, by then."""
        return (self.at is None or one.event.occurred_at <= self.at) and self.knew(one)

    def knew(self, one: Recorded) -> bool:
        """Whether an event was known by then."""
        return self.known_at is None or one.committed_at <= self.known_at


NOW = Point()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NoSuchPoint(TandemError):
    """There never was such a point in the past."""


async def check_point(connection: Reader, point: Point, now: int) -> None:
    """Raises NoSuchPoint for one in the future or before the log. `now`: microseconds since 1970 UTC."""
    known = None if point.known_at is None else _micros(point.known_at)
    for name, time in (("at", point.at), ("known_at", known)):
        if time is not None and time > now:
            raise NoSuchPoint(f"{name} lies in the future: nothing has happened there, and nobody knows of it")
    if known is not None:
        first = await first_commit(connection)
        if first is None or known < _micros(first):
            began = "nothing at all yet" if first is None else f"nothing before {time_text(_micros(first))}"
            raise NoSuchPoint(f"known_at lies before the log: Tandem knew {began}")


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


async def recorded_of(connection: Reader, rules: Rules, key: bytes) -> tuple[list[Recorded], Erased]:
    """All archived events that name anybody who was ever tied to an identifier; and who is erased."""
    today = await everybody_ever_tied(connection, rules, [key])
    people = [known for journey in today.journeys.values() for known in journey.identifiers.values()]
    bases = {identifier_key(known.type, known.value) for known in people}
    archived = await read_named(connection, bases | {key}, may_name(people))
    places = await places_of(connection, {one.partition_id for _, _, one in archived})
    committed = await committed_at(connection, {batch_id for _, batch_id, _ in archived})
    recorded = [
        Recorded(decode(one.value, places[one.partition_id].owner), one, committed[batch_id], places[one.partition_id])
        for _, batch_id, one in archived
    ]
    return [one for one in recorded if _names_any(one.event, bases, rules)], today.register.erased


def _names_any(event: Event, bases: set[bytes], rules: Rules) -> bool:
    """Whether an event names any of these; of who else is in the same blocks nothing is asked."""
    subject = subject_of(event, rules)
    return subject is not None and any(person.key in bases for person in subject.persons)


async def rules_known(connection: Reader, first: Rules, known_at: datetime | None) -> Rules:
    """The rules that follow from what had been said of playbooks, and was committed, by a time."""
    return agreed_rules(first, await read_said(connection, known_at))


def fold_at(recorded: Iterable[Recorded], rules: Rules, point: Point, erased: Erased) -> Workspace:
    """Fold exactly what had happened, and was known, at a point. Who is erased today is not there, and never was."""
    register = Register()
    register.erased = erased
    fold = MemoryFold(Workspace(rules, register))
    for one in distinct(recorded, point):
        fold.add(one.event)
    fold.workspace.harvest()
    return fold.workspace


def distinct(recorded: Iterable[Recorded], point: Point) -> list[Recorded]:
    """Each event of a point once, as the rule for conflicts has it among what was known, in the order of time."""
    found: dict[tuple[bytes, str], Recorded] = {}
    for one in recorded:
        if not point.knew(one):
            continue
        key = (one.event.id, one.event.source)
        known = found.get(key)
        if known is None or precedes(one.archived.value, known.archived.value):
            found[key] = one
    return sorted((one for one in found.values() if point.has(one)), key=_order)


def _order(one: Recorded) -> tuple[int, bytes, str]:
    return (one.event.occurred_at, one.event.id, one.event.source)
