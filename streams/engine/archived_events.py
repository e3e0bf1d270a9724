"""Archived events: found in the archive by whom they name, and decoded."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from projections.fold import subject_of
from projections.identifiers import identifier_key
from projections.journey.journey import Journey
from projections.playbook.rules import Rules
from projections.subjects import Subject, subject_at
from schemas.decode import decode
from schemas.errors import TandemError
from schemas.event import Event
from store.archive import Archived, RecordId, opened, read_block, read_named, read_sealed
from store.loading import KnownEvent, known_events, source_ids_of
from store.session import Connection
from streams.engine.archive_filter import may_name
from streams.engine.intake import NOBODY, EventKey

_FEW = 20  #: identifiers: to search bytes for more of them costs as much as decoding


class ArchiveDamaged(TandemError):
    """The archive does not hold what the table `events` says it holds. Restore the database from a backup."""


class ArchivedEvent(NamedTuple):
    """An archived event, and where it lies."""

    bucket: int
    batch_id: int
    archived: Archived
    event: Event
    subject: Subject | None  #: None: it is not folded

    @property
    def key(self) -> EventKey:
        """What the event is known by."""
        return (self.event.id, self.event.source)

    @property
    def record_id(self) -> RecordId:
        """The record that held it."""
        return (self.archived.partition_id, self.archived.offset)


@dataclass(frozen=True, slots=True)
class EventArchive:
    """Reads the archive, and decodes each event by the contract of the department that sent it."""

    connection: Connection
    departments: Mapping[int, str]  #: partition id -> the department that writes there
    rules: Rules

    def decode(self, archived: Archived) -> Event:
        """The event of an archived record."""
        return decode(archived.value, self.departments[archived.partition_id])

    async def naming(
        self,
        journeys: Iterable[Journey],
        *,
        nobodys: bool = False,
        more: Collection[bytes] = (),
        until_batch: int | None = None,
    ) -> list[ArchivedEvent]:
        """All archived events that name any identifier of the journeys, and some others.

        `nobodys`: also those that are archived and not folded. `more`: identifiers, without releases, of no journey.
        """
        people = [known for journey in journeys for known in journey.identifiers.values()]
        bases = {identifier_key(known.type, known.value) for known in people}
        may_be = may_name(people) if bases.issuperset(more) and len(people) <= _FEW else _anything
        bases.update(more)
        keys = bases | {NOBODY} if nobodys else bases
        events = []
        for bucket, batch_id, archived in await read_named(self.connection, keys, may_be):
            if until_batch is None or batch_id <= until_batch:
                event = self.decode(archived)
                events.append(ArchivedEvent(bucket, batch_id, archived, event, subject_of(event, self.rules)))
        return events

    async def keys_named_by(self, events: Iterable[EventKey], releases: Mapping[bytes, list[int]]) -> set[bytes]:
        """The identifiers that archived events name."""
        wanted = set(events)
        names = await source_ids_of(self.connection, sorted({source for _, source in wanted}))
        pairs = sorted((id_, names[source]) for id_, source in wanted if source in names)
        known = await known_events(self.connection, [id_ for id_, _ in pairs], [source for _, source in pairs])
        keys = set[bytes]()
        for bucket, batch_id in sorted({(one.bucket, one.batch_id) for one in known}):
            for archived in await read_block(self.connection, bucket, batch_id):
                event = self.decode(archived)
                subject = subject_of(event, self.rules) if (event.id, event.source) in wanted else None
                if subject is not None:
                    keys |= {person.key for person in subject_at(subject, event.occurred_at, releases).persons}
        return keys

    async def find(self, known: KnownEvent, key: EventKey) -> tuple[Archived, Event] | None:
        """A known event as it is archived; None where it was erased. Raises ArchiveDamaged."""
        records = await read_sealed(self.connection, known.bucket, known.batch_id)
        for archived in opened(records):
            event = self.decode(archived)
            if (event.id, event.source) == key:
                return archived, event
        if any(record.erased for record in records):
            return None
        raise ArchiveDamaged(
            f"event {known.id.hex()} is known, but batch {known.batch_id} of the archive does not hold it: "
            "restore the database from a backup"
        )


def _anything(_: bytes) -> bool:
    return True
