"""Preparation: a batch's candidates into the effects of one transaction. All folding of the projector happens here."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from operator import attrgetter

import asyncpg
import msgspec

from projections.fold import apply, subject_of
from projections.journey import Journey
from projections.playbook import Rules
from projections.row import JourneyRow, row_of
from projections.workspace import Harvest, Workspace
from schemas.decode import decode
from schemas.errors import TandemError
from schemas.event import Event
from store.archive import Archived, blocks_of, bucket_of, read_block, read_buckets
from store.commit import CHANGED, CREATED, MERGED, VANISHED, Change, DeadLetter, EventRow
from store.loading import KnownEvent, known_events, load_journeys, source_ids
from streams.intake import Candidate, EventKey, Intake, conflict, dead_letter, precedes, same_body

_SLICE = 256  #: events folded between two chances for the running commit to go on
CACHED_JOURNEYS = 25_000  #: kept in memory between batches


class Effects:
    """What one batch does, beside moving offsets."""

    def __init__(self, intake: Intake) -> None:
        self.applied: list[Candidate] = []
        self.superseded: list[Candidate] = []
        self.duplicates: Counter[int] = Counter(intake.duplicates)
        self.dead_letters: list[DeadLetter] = list(intake.dead_letters)
        self.harvest = Harvest([], [], [])
        self.rows: list[JourneyRow] = []
        self.changes: list[Change] = []
        self.blocks: list[tuple[int, int, bytes]] = []  #: of the archive


class Preparation:
    """Folds batches over a workspace that outlives them.

    The workspace runs ahead of the database by the batch that is being committed. After any failed commit, throw the
    preparation away: its successor starts from what the database says.
    """

    def __init__(self, reader: asyncpg.Connection, rules: Rules, owners: dict[int, str]) -> None:
        self._reader = reader
        self._rules = rules
        #: partition id -> the department that writes there, for all partitions there ever were
        self._owners = owners
        self._workspace = Workspace(rules)
        self._sources: dict[str, int] = {}
        #: body hashes of the batch that is being committed: the database does not know them yet
        self._in_flight: dict[EventKey, int] = {}

    async def prepare(self, intake: Intake, in_flight: "asyncio.Task[int] | None") -> Effects:
        """Fold a batch's candidates. `in_flight` is the commit of the batch before, which may still be running."""
        effects = Effects(intake)
        fresh, known = await self._look_up(list(intake.candidates.values()), effects)
        if known:
            if in_flight is not None:
                await asyncio.shield(in_flight)
            for candidate in known:
                await self._judge_conflict(candidate, effects)
        await self._load(fresh)
        fresh.sort(key=_order)
        packing = asyncio.create_task(blocks_of([(c.bucket, _to_archive(c)) for c in (*fresh, *effects.superseded)]))
        for start in range(0, len(fresh), _SLICE):
            for candidate in fresh[start : start + _SLICE]:
                if candidate.subject is not None:
                    apply(self._workspace, candidate.event, candidate.subject)
            await asyncio.sleep(0)
        effects.applied += fresh
        await self._reap(effects)
        effects.blocks = await packing
        self._in_flight = {c.key: c.body_hash for c in (*effects.applied, *effects.superseded)}
        self._evict(effects.harvest.touched)
        return effects

    def event_rows(self, candidates: Iterable[Candidate]) -> list[EventRow]:
        """Rows of the table `events`, in key order."""
        sources = self._sources
        return sorted([EventRow(c.event.id, sources[c.event.source], c.body_hash, c.bucket) for c in candidates])

    async def _look_up(self, candidates: list[Candidate], effects: Effects) -> tuple[list[Candidate], list[Candidate]]:
        """(those never seen, those known with other bytes); those known with the same bytes are counted."""
        await self._number_sources({candidate.event.source for candidate in candidates})
        ids = [candidate.event.id for candidate in candidates]
        numbers = [self._sources[candidate.event.source] for candidate in candidates]
        rows = await known_events(self._reader, ids, numbers)
        names = {number: name for name, number in self._sources.items()}
        earlier = self._in_flight | {(row.id, names[row.source_id]): row.body_hash for row in rows}
        fresh: list[Candidate] = []
        known: list[Candidate] = []
        for candidate in candidates:
            body_hash = earlier.get(candidate.key)
            if body_hash is None:
                fresh.append(candidate)
            elif body_hash == candidate.body_hash:
                effects.duplicates[candidate.record.partition_id] += 1
            else:
                known.append(candidate)
        return fresh, known

    async def _number_sources(self, names: set[str]) -> None:
        missing = names - self._sources.keys()
        if missing:
            self._sources |= await source_ids(self._reader, sorted(missing))

    async def _load(self, candidates: Iterable[Candidate]) -> None:
        """Bring in the journeys that these events touch, if they are not here."""
        home = self._workspace.home
        keys = {p.key for c in candidates if c.subject for p in c.subject.persons if p.key not in home}
        if not keys:
            return
        for journey in await load_journeys(self._reader, sorted(keys)):
            if journey.journey_id not in self._workspace.journeys:
                self._workspace.put(journey)

    async def _judge_conflict(self, candidate: Candidate, effects: Effects) -> None:
        """An event that is known with other bytes: the same in other words, the loser, or the winner of the two."""
        source_id = self._sources[candidate.event.source]
        [known] = await known_events(self._reader, [candidate.event.id], [source_id])
        archived = await self._archived(known, candidate.key)
        if known.body_hash == candidate.body_hash or same_body(archived.value, candidate.value):
            effects.duplicates[candidate.record.partition_id] += 1
        elif precedes(archived.value, candidate.value):
            effects.dead_letters.append(dead_letter(candidate.record, conflict(candidate.event), candidate.value))
        else:
            await self._supersede(archived, candidate)
            effects.superseded.append(candidate)
            loser = self._event(archived)
            effects.dead_letters.append(dead_letter(candidate.record, conflict(loser), archived.value))

    async def _archived(self, known: KnownEvent, key: EventKey) -> Archived:
        for archived in await read_block(self._reader, known.bucket, known.batch_id):
            event = self._event(archived)
            if (event.id, event.source) == key:
                return archived
        raise ArchiveDamaged(
            f"event {known.id.hex()} is known, but batch {known.batch_id} of the archive does not hold it: "
            "restore the database from a backup"
        )

    def _event(self, archived: Archived) -> Event:
        return decode(archived.value, self._owners[archived.partition_id])

    async def _supersede(self, old: Archived, winner: Candidate) -> None:
        """Fold everyone whom the old or the new body names again from the archive, with the new body in its place."""
        rules, workspace = self._rules, self._workspace
        old_subject = subject_of(self._event(old), rules)
        subjects = [subject for subject in (old_subject, winner.subject) if subject is not None]
        keys = [person.key for subject in subjects for person in subject.persons]
        await self._load([winner])
        await self._load([msgspec.structs.replace(winner, subject=old_subject)])
        component = workspace.component({workspace.home[key] for key in keys if key in workspace.home})
        members = {key for journey in component.values() for key in journey.identifiers}
        events = await self._events_of(members, replacing=winner.key)
        for journey in component.values():
            workspace.disown(journey)
        for event in sorted([*events, winner.event], key=lambda event: (event.occurred_at, event.id, event.source)):
            subject = subject_of(event, rules)
            if subject is not None:
                apply(workspace, event, subject)

    async def _events_of(self, members: set[bytes], replacing: EventKey) -> list[Event]:
        """The archived events whose anchor is one of `members`, each as the rule for conflicts has it, but one."""
        found: dict[EventKey, Archived] = {}
        for archived in await read_buckets(self._reader, {bucket_of(key) for key in members}):
            event = self._event(archived)
            key = (event.id, event.source)
            subject = subject_of(event, self._rules)
            if key == replacing or subject is None or subject.persons[0].key not in members:
                continue
            if key not in found or precedes(archived.value, found[key].value):
                found[key] = archived
        return [self._event(archived) for archived in found.values()]

    async def _reap(self, effects: Effects) -> None:
        """Turn what the fold has touched into rows and changes."""
        effects.harvest = harvest = self._workspace.harvest()
        for start in range(0, len(harvest.touched), _SLICE):
            for journey in harvest.touched[start : start + _SLICE]:
                row = row_of(journey, self._rules)
                effects.rows.append(row)
                kind = CREATED if journey.stored_stage is None else CHANGED
                effects.changes.append(Change(row.journey_id, kind, journey.stored_stage, row.stage, None))
                journey.stored_stage = row.stage
            await asyncio.sleep(0)
        for gone in harvest.gone:
            kind = VANISHED if gone.successor is None else MERGED
            effects.changes.append(Change(gone.journey_id, kind, None, None, gone.successor))

    def _evict(self, just_touched: list[Journey]) -> None:
        """Let go of the journeys that were not used for longest; those being committed stay."""
        journeys = self._workspace.journeys
        for journey in just_touched:
            journeys[journey.journey_id] = journeys.pop(journey.journey_id)
        excess = len(journeys) - max(CACHED_JOURNEYS, 2 * len(just_touched))
        if excess <= 0:
            return
        busy = {journey.journey_id for journey in just_touched}
        for journey_id in [journey_id for journey_id, _ in zip(journeys, range(excess), strict=False)]:
            tied = self._workspace.component([journey_id]) if journey_id in journeys else {}
            if busy.isdisjoint(tied):
                for tied_id in tied:
                    self._workspace.evict(tied_id)


class ArchiveDamaged(TandemError):
    """The archive does not hold what the table `events` says it holds."""


def _to_archive(candidate: Candidate) -> Archived:
    record = candidate.record
    return Archived(record.partition_id, record.offset, record.recorded_at, record.received_at, candidate.value)


#: law 2's order
_order = attrgetter("event.occurred_at", "event.id", "event.source")
