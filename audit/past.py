"""The past, from the archive: people and journeys as of a time on either axis.

`at`: what had happened by then (occurred_at), with all that is known today. `known_at`: what Tandem had committed by
then. Only events of everybody who was ever tied to the identifier are read and folded. All connections give uuid values
as 16 raw bytes.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import asyncpg

from projections.fold import subject_of
from projections.identifiers import identifier_key
from projections.identity.erasure import Erased
from projections.identity.register import Register
from projections.identity.workspace import Workspace
from projections.memory import MemoryFold
from projections.playbook.proposals import agreed_rules
from projections.playbook.rules import Rules
from projections.text import micros, time_text
from schemas.canonical import body_hash
from schemas.decode import decode
from schemas.errors import TandemError
from schemas.event import Event
from store.archive import Archived, read_block, read_named
from store.identity import committed_at, everybody_ever_tied
from store.loading import known_events, source_ids_of
from store.partitions import EventPartition, event_partitions
from store.proposals import read_said
from store.session import Connection
from store.status import first_commit
from streams.engine.archive_filter import may_name
from streams.engine.conflicts import precedes


class Recorded(NamedTuple):
    """An archived event, when it was committed, and where it lies in the log."""

    event: Event
    archived: Archived
    committed_at: datetime
    partition: EventPartition


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


class NoSuchPoint(TandemError):
    """There never was such a point in the past: it is in the future, or before the first commit. Give another time."""


async def check_point(connection: Connection | asyncpg.Pool, point: Point, now: int) -> None:
    """Raises NoSuchPoint for one in the future or before the log. `now`: microseconds since 1970 UTC."""
    known = None if point.known_at is None else micros(point.known_at)
    for name, time in (("at", point.at), ("known_at", known)):
        if time is not None and time > now:
            raise NoSuchPoint(f"{name} lies in the future: ask for a time up to now")
    if known is not None:
        first = await first_commit(connection)
        if first is None or known < micros(first):
            began = "nothing at all yet" if first is None else f"nothing before {time_text(micros(first))}"
            raise NoSuchPoint(f"known_at lies before the log: Tandem knew {began}")


async def recorded_of(connection: Connection, rules: Rules, key: bytes) -> tuple[list[Recorded], Erased]:
    """All archived events that name anybody who was ever tied to an identifier; and who is erased.

    Where a body of theirs has lost its id to another one, that one is among them, whomever it names; and so is
    everybody whom only the lost body tied to them. It is found by its strongest identifier, under which the archive
    keeps it; by another one only if something else still ties the two.
    """
    keys = {key}
    while True:
        today = await everybody_ever_tied(connection, rules, sorted(keys))
        recorded = await _naming(connection, rules, keys, today)
        lost, others = await _losers(connection, recorded)
        tied = {one for event in lost for one in _named(event, rules)}
        if tied <= keys:
            return recorded + others, today.register.erased
        keys |= tied


async def _naming(connection: Connection, rules: Rules, keys: set[bytes], today: Workspace) -> list[Recorded]:
    """All archived events that name these, or anybody of today's workspace."""
    people = [known for journey in today.journeys.values() for known in journey.identifiers.values()]
    bases = {identifier_key(known.type, known.value) for known in people}
    wanted = bases | keys
    archived = await read_named(connection, wanted, may_name(people) if keys <= bases else lambda _: True)
    recorded = await _recorded(connection, [(batch_id, one) for _, batch_id, one in archived])
    return [one for one in recorded if not wanted.isdisjoint(_named(one.event, rules))]


async def _recorded(connection: Connection, archived: list[tuple[int, Archived]]) -> list[Recorded]:
    partitions = await event_partitions(connection, {one.partition_id for _, one in archived})
    committed = await committed_at(connection, {batch_id for batch_id, _ in archived})
    return [
        Recorded(
            event=decode(one.value, partitions[one.partition_id].department),
            archived=one,
            committed_at=committed[batch_id],
            partition=partitions[one.partition_id],
        )
        for batch_id, one in archived
    ]


def _named(event: Event, rules: Rules) -> set[bytes]:
    """The identifiers that an event names."""
    subject = subject_of(event, rules)
    return set() if subject is None else {person.key for person in subject.persons}


async def _losers(connection: Connection, recorded: list[Recorded]) -> tuple[list[Event], list[Recorded]]:
    """(events whose id belongs to another body today, those bodies so far as they are not recorded here)."""
    sources = await source_ids_of(connection, sorted({one.event.source for one in recorded}))
    bodies: dict[tuple[bytes, int], list[Recorded]] = {}
    for one in recorded:
        bodies.setdefault((one.event.id, sources[one.event.source]), []).append(one)
    lost, others = list[Event](), list[Recorded]()
    for known in await known_events(connection, [id_ for id_, _ in bodies], [source for _, source in bodies]):
        here = bodies[known.id, known.source_id]
        losing = [one for one in here if body_hash(one.archived.value) != known.body_hash]
        lost += [one.event for one in losing]
        if len(losing) == len(here):
            block = [(known.batch_id, one) for one in await read_block(connection, known.bucket, known.batch_id)]
            key = (here[0].event.id, here[0].event.source)
            others += [one for one in await _recorded(connection, block) if (one.event.id, one.event.source) == key]
    return lost, others


async def rules_known(connection: Connection, first: Rules, known_at: datetime | None) -> Rules:
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
    winners: dict[tuple[bytes, str], Recorded] = {}
    for one in recorded:
        if not point.knew(one):
            continue
        key = (one.event.id, one.event.source)
        known = winners.get(key)
        if known is None or precedes(one.archived.value, known.archived.value):
            winners[key] = one
    return sorted((one for one in winners.values() if point.has(one)), key=_order)


def _order(one: Recorded) -> tuple[int, bytes, str]:
    return (one.event.occurred_at, one.event.id, one.event.source)
