"""Preparation: a batch's candidates into the effects of one transaction."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import asyncpg

from projections.attribution.corrections import Credit, corrections, credit_of
from projections.fold import take
from projections.identity.erasure import ERASURE, erasure_of
from projections.identity.register import RELEASE, Entries, Register
from projections.identity.workspace import Consulted, Gone, Harvest
from projections.journey.journey import Journey, Stored
from projections.journey.row import JourneyRow, row_of
from projections.playbook.events import ABOUT_PLAYBOOK, playbook_event_of
from projections.playbook.rules import Rules
from projections.subjects import Subject
from projections.views.feed import DETAILED
from schemas.decode import decode
from schemas.errors import TandemError
from schemas.event import Event
from store.archive import Archived, LogRecord, opened, read_sealed
from store.changes import (
    CHANGED,
    CREATED,
    CREDIT,
    EVENT,
    IDENTITY,
    MERGED,
    PLAYBOOK,
    SPLIT,
    VANISHED,
    Change,
    audience_changes,
)
from store.commit import DeadLetter, EventRow
from store.erasure import Erasing
from store.loading import KnownEvent, known_events
from store.proposals import Swept, next_to_sweep, told_by_time
from streams.engine.cache import Cache
from streams.engine.desk import Found, Packed, Reading, event_row
from streams.engine.erasing import ERASED, UNKNOWN_SECRET, is_erased, without_erased
from streams.engine.intake import Candidate, EventKey, Intake, conflict, dead_letter, precedes, same_body, take_in
from streams.engine.refolding import Refolding

_ABOUT_NOBODY = ABOUT_PLAYBOOK | {ERASURE}
_SLICE = 256  #: events folded between two chances for the running commit to go on


class Ahead(NamedTuple):
    """A batch that was read, and is not folded yet."""

    records: list[LogRecord]
    reading: Reading
    #: body hashes of the batch
    hashes: dict[EventKey, int]
    #: body hashes of those that the database knew when they were read
    known: dict[EventKey, int]
    #: numbers of source names
    sources: dict[str, int]


class Packer(Protocol):
    """Packs a batch that was read: see `streams.engine.desk.Desk.pack`."""

    async def pack(self, batch: int, known: set[int], superseding: set[int], sources: dict[str, int]) -> Packed:
        """What is stored of the events."""


class Effects:
    """What one batch does, beside moving offsets."""

    def __init__(self, register_version: int) -> None:
        self.applied: list[Found] = []
        self.superseded: list[EventRow] = []
        self.duplicates: Counter[int] = Counter()
        self.dead_letters: list[DeadLetter] = []
        self.harvest = Harvest([], [], [], Entries(), Consulted([], []))
        self.rows: list[JourneyRow] = []
        self.changes: list[Change] = []
        #: what is stored of the events: it may take until the journeys have been folded
        self.packing: asyncio.Task[Packed] | None = None
        self.register_version = register_version  #: before this batch
        self.swept: Swept | None = None
        self.with_handoffs: list[JourneyRow] = []
        self.had_handoffs: list[bytes] = []
        self.erasing: Erasing | None = None


class Preparation:
    """Folds batches over a workspace that outlives them.

    The workspace runs ahead of the database by the batch that is being committed. After any failed commit, throw the
    preparation away: its successor starts from what the database says.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        packer: Packer | None,
        rules: Rules,
        owners: dict[int, str],
        register: Register | None = None,
    ) -> None:
        """`packer`: None where the events are archived already, and the feed has told what they changed."""
        self._connection = connection
        self._packer = packer
        self._rules = rules
        #: partition id -> the department that writes there, for all partitions there ever were
        self._owners = owners
        self._cache = Cache(connection, rules, register)
        self._workspace = self._cache.workspace
        #: folds people again
        self.refolding = Refolding(self._cache, rules, owners)
        #: body hashes of the last two batches: when the next one was looked up, while the later of them was folded and
        #: the earlier one committed, the database may not have known them yet
        self._in_flight: deque[dict[EventKey, int]] = deque(maxlen=2)
        self._unweighed = 0  #: events folded by `fold` since their journeys were weighed

    def effects(self) -> Effects:
        """Of nothing yet."""
        return Effects(self._workspace.register.version)

    async def prepare(self, ahead: Ahead, in_flight: "asyncio.Task[int] | None") -> Effects:
        """Fold a batch. `in_flight` is the commit of the batch before, which may still be running."""
        reading, effects = ahead.reading, self.effects()
        effects.duplicates.update(reading.duplicates)
        effects.dead_letters += reading.dead_letters
        fresh, known, old = self._sort_out(ahead, effects)
        releases = [found for found in fresh if found.moment.type == RELEASE]
        erasures = [found for found in fresh if found.moment.type == ERASURE]
        if (known or releases or erasures) and in_flight is not None:
            await asyncio.shield(in_flight)
        for found in erasures:
            if not await self._take_erasure(self._candidate(ahead.records, found), effects):
                fresh = [one for one in fresh if one is not found]
                old |= {place for place, one in enumerate(reading.found) if one is found}
        if self._workspace.register.erased:
            fresh, known = self._leave_out_erased(ahead, fresh, known, old, effects)
        superseding = await self._judge_conflicts(ahead, known, effects)
        old |= set(known) - superseding
        for found in fresh:
            if found.moment.type in ABOUT_PLAYBOOK:
                self._workspace.record(playbook_event_of(self._candidate(ahead.records, found).event))
        for found in releases:
            await self.refolding.release(self._candidate(ahead.records, found))
        await self._cache.load(reading.subjects)
        if self._packer is not None:
            effects.packing = asyncio.create_task(self._packer.pack(reading.batch, old, superseding, ahead.sources))
        try:
            await self._fold(fresh, reading.subjects)
            effects.applied = fresh
            await self.reap(effects)
        except BaseException:
            if effects.packing is not None:
                effects.packing.cancel()
            raise
        for place in old:
            moment = reading.found[place].moment
            ahead.hashes.pop((moment.id, moment.source), None)
        self._in_flight.append(ahead.hashes)
        return effects

    @property
    def sweeping(self) -> bool:
        """Whether stored journeys must be derived again, because other terms were agreed."""
        return self._workspace.register.swept_until is not None

    def follow(self) -> None:
        """Note that all stored journeys follow the terms agreed: there are none yet."""
        self._workspace.register.swept_until = None

    async def sweep(self, limit: int) -> Effects:
        """Derive the next stored journeys again. Only what that changes is told in the feed."""
        workspace, effects = self._workspace, self.effects()
        before = workspace.register.swept_until
        assert before is not None, "a sweep is under way"
        ids = await next_to_sweep(self._connection, before, limit)
        await self._cache.load_keys(ids)
        for journey_id in ids:
            journey = workspace.journeys.get(journey_id)
            if journey is not None:
                journey.unsettle()
                workspace.touch(journey)
        told = await told_by_time(self._connection, ids)
        await self.reap(effects)
        effects.changes = [
            change._replace(cause=PLAYBOOK)
            for change in effects.changes
            if change.kind in DETAILED or change.stage_from != change.stage_to or change.journey_id in told
        ]
        until = ids[-1] if len(ids) == limit else None
        effects.swept, workspace.register.swept_until = Swept(before, until), until
        return effects

    async def fold(self, reading: Reading) -> None:
        """Fold events that are known to be new, releases not among them. `reap` takes what several calls came to."""
        await self._cache.load(reading.subjects)
        await self._fold(reading.found, reading.subjects)
        self._unweighed += len(reading.found)

    @property
    def touched(self) -> int:
        """How many journeys were changed since they were reaped."""
        return self._workspace.touched

    @property
    def held(self) -> int:
        """How many moments are in memory at most: see Journey.weight."""
        return self._cache.weight + self._unweighed

    async def _fold(self, fresh: list[Found], subjects: list[Subject]) -> None:
        workspace = self._workspace
        for start in range(0, len(fresh), _SLICE):
            for found in fresh[start : start + _SLICE]:
                if found.subject is not None and found.moment.type != RELEASE:
                    take(workspace, subjects[found.subject], found.moment, found.facts)
            await asyncio.sleep(0)

    def _candidate(self, records: list[LogRecord], found: Found) -> Candidate:
        """An event with its bytes, for the rare cases that need them."""
        place = (found.partition_id, found.offset)
        record = next(record for record in records if (record.partition_id, record.offset) == place)
        intake = Intake()
        take_in(intake, record, self._owners[record.partition_id], self._rules)
        return next(iter(intake.candidates.values()))

    def _sort_out(self, ahead: Ahead, effects: Effects) -> tuple[list[Found], list[int], set[int]]:
        """(those never seen, places of those known with other bytes, places of those known with the same bytes)."""
        earlier = ahead.known
        for hashes in self._in_flight:
            earlier |= {key: hashes[key] for key in hashes.keys() & ahead.hashes.keys()}
        events = ahead.reading.found
        if not earlier:
            return events, [], set()
        fresh, known, old = list[Found](), list[int](), set[int]()
        for place, found in enumerate(events):
            body_hash = earlier.get((found.moment.id, found.moment.source))
            if body_hash is None:
                fresh.append(found)
            elif body_hash == found.body_hash:
                effects.duplicates[found.partition_id] += 1
                old.add(place)
            else:
                known.append(place)
        return fresh, known, old

    async def _judge_conflicts(self, ahead: Ahead, known: list[int], effects: Effects) -> set[int]:
        """The places of those events that take the place of what is known under their ids."""
        candidates = [(place, self._candidate(ahead.records, ahead.reading.found[place])) for place in known]
        return {place for place, one in candidates if await self._judge_conflict(one, ahead.sources, effects)}

    async def _judge_conflict(self, candidate: Candidate, sources: Mapping[str, int], effects: Effects) -> bool:
        """An event that is known with other bytes: the same in other words, the loser, or the winner of the two.

        Returns whether it takes the other one's place.
        """
        source_id = sources[candidate.event.source]
        [known] = await known_events(self._connection, [candidate.event.id], [source_id])
        archived = await self._archived(known, candidate.key)
        if archived is None:
            effects.dead_letters.append(dead_letter(candidate.record, ERASED, None))
        elif known.body_hash == candidate.body_hash or same_body(archived.value, candidate.value):
            effects.duplicates[candidate.record.partition_id] += 1
        elif precedes(archived.value, candidate.value):
            effects.dead_letters.append(dead_letter(candidate.record, conflict(candidate.event), candidate.value))
        elif candidate.event.type != ERASURE or await self._take_erasure(candidate, effects):
            loser = self._event(archived)
            await self.refolding.supersede(loser, candidate)
            effects.superseded.append(event_row(candidate, sources))
            effects.dead_letters.append(dead_letter(candidate.record, conflict(loser), archived.value))
            return True
        return False

    async def _archived(self, known: KnownEvent, key: EventKey) -> Archived | None:
        """The event as it is archived; None where it was erased."""
        records = await read_sealed(self._connection, known.bucket, known.batch_id)
        for archived in opened(records):
            event = self._event(archived)
            if (event.id, event.source) == key:
                return archived
        if any(record.erased for record in records):
            return None
        raise ArchiveDamaged(
            f"event {known.id.hex()} is known, but batch {known.batch_id} of the archive does not hold it: "
            "restore the database from a backup"
        )

    def _event(self, archived: Archived) -> Event:
        return decode(archived.value, self._owners[archived.partition_id])

    async def _take_erasure(self, candidate: Candidate, effects: Effects) -> bool:
        """Whether it can be told whom an erasure is about; else it is a dead letter. Raises UnknownSecret."""
        erasure = erasure_of(candidate.event)
        if erasure.nobody:
            return True
        if not await self.refolding.can_tell(erasure):
            effects.dead_letters.append(dead_letter(candidate.record, UNKNOWN_SECRET, candidate.value))
            return False
        found = await self.refolding.erase(erasure)
        effects.erasing = found if effects.erasing is None else effects.erasing.plus(found)
        return True

    def recall(self, records: list[LogRecord], found: list[Found]) -> None:
        """Take erasures before anybody is there whom they concern."""
        for erasure in [erasure_of(self._candidate(records, one).event) for one in found]:
            if not erasure.nobody:
                self._workspace.register.erase(erasure)

    def _leave_out_erased(
        self, ahead: Ahead, fresh: list[Found], known: list[int], old: set[int], effects: Effects
    ) -> tuple[list[Found], list[int]]:
        """(those fresh, places of those known) that are not erased. Of the others nothing is kept but the place."""
        register, subjects, gone = self._workspace.register, ahead.reading.subjects, set[int]()
        for place, found in enumerate(ahead.reading.found):
            moment = found.moment
            if place in old or moment.type == RELEASE or (found.subject is None and moment.type in _ABOUT_NOBODY):
                continue
            if found.subject is None:  # it may name somebody, and be excluded
                event = self._candidate(ahead.records, found).event
                taken = is_erased(register.erased, event, self._rules)
            else:
                key = (moment.id, moment.source)
                taken = register.erased.covers(key, moment.at, subjects[found.subject].persons)
            if taken:
                gone.add(place)
        records = {(record.partition_id, record.offset): record for record in ahead.records} if gone else {}
        for place in gone:
            found = ahead.reading.found[place]
            effects.dead_letters.append(dead_letter(records[found.partition_id, found.offset], ERASED, None))
        effects.dead_letters = without_erased(effects.dead_letters, register.erased, self._rules)
        old |= gone
        lost = {id(ahead.reading.found[place]) for place in gone}
        return [found for found in fresh if id(found) not in lost], [place for place in known if place not in gone]

    async def reap(self, effects: Effects) -> None:
        """Turn what the fold has touched into rows and changes, and let go of journeys that were not used for long."""
        effects.harvest = harvest = self._workspace.harvest()
        rules, tells = self._workspace.rules, self._packer is not None
        for start in range(0, len(harvest.touched), _SLICE):
            for journey in harvest.touched[start : start + _SLICE]:
                row = row_of(journey, rules)
                effects.rows.append(row)
                credit = credit_of(journey, rules) if tells else {}
                if tells:
                    effects.changes += self._changes(journey, row, credit)
                before = [] if journey.stored is None else journey.stored.handoffs
                if row.handoffs != before:
                    effects.with_handoffs.append(row)
                    if before != []:
                        effects.had_handoffs.append(journey.journey_id)
                journey.stored = Stored(row.stage, row.audiences, row.handoffs, credit)
                journey.inherited = None
            await asyncio.sleep(0)
        for gone in harvest.gone:
            if gone.stored is not None and gone.stored.handoffs != []:
                effects.had_handoffs.append(gone.journey_id)
            if tells:
                effects.changes += _changes_of(gone)
        self._cache.trim(harvest.touched)
        self._unweighed = 0
        effects.harvest = harvest._replace(touched=[])  # they may be let go of while the batch is committed

    async def forget(self) -> None:
        """Let go of all journeys, a few at a time: that takes long, and nothing is folded after it."""
        journeys = self._workspace.journeys
        while journeys:
            for _ in range(min(len(journeys), _SLICE)):
                journeys.popitem()
            await asyncio.sleep(0)

    def _changes(self, journey: Journey, row: JourneyRow, credit: Credit) -> list[Change]:
        """What the feed says of a journey: of its stages, its audiences and the credit for what it booked."""
        change, stored = self._change(journey, row), journey.stored
        before = stored.audiences if stored else ()
        audiences = audience_changes(row.journey_id, row.stage, before, row.audiences, change.cause)
        corrected = _corrections(row.journey_id, row.stage, stored.credit if stored else {}, credit, change.cause)
        return [change, *audiences, *corrected]

    def _change(self, journey: Journey, row: JourneyRow) -> Change:
        """What the feed says of a journey: that what it has now was in another one before, or that there is news."""
        before, origin = None if journey.stored is None else journey.stored.stage, journey.inherited
        cause = EVENT if origin is None else IDENTITY
        if before is not None:
            return Change(row.journey_id, CHANGED, before, row.stage, origin, cause)
        # an origin that is no more is told as merged into this journey
        split = origin is not None and origin in self._workspace.journeys
        return Change(row.journey_id, SPLIT if split else CREATED, None, row.stage, origin if split else None, cause)


class ArchiveDamaged(TandemError):
    """The archive does not hold what the table `events` says it holds."""


def _changes_of(gone: Gone) -> list[Change]:
    """What the feed says of a journey that is no more."""
    kind = VANISHED if gone.successor is None else MERGED
    if gone.stored is None:
        return [Change(gone.journey_id, kind, None, None, gone.successor, IDENTITY)]
    return [
        Change(gone.journey_id, kind, gone.stored.stage, None, gone.successor, IDENTITY),
        *audience_changes(gone.journey_id, None, gone.stored.audiences, (), IDENTITY),
        *_corrections(gone.journey_id, None, gone.stored.credit, {}, IDENTITY),
    ]


def _corrections(journey_id: bytes, stage: int | None, before: Credit, now: Credit, cause: int) -> list[Change]:
    lines = corrections(before, now)
    return [Change(journey_id, CREDIT, stage, stage, None, cause, {"lines": lines})] if lines else []
