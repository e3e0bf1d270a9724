"""Preparation: a batch's candidates into the effects of one transaction. All folding of the projector happens here."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import asyncpg

from projections.agreement import ABOUT_PLAYBOOK, said_of
from projections.corrections import Credit, corrections, credit_of
from projections.erasure import ERASURE, Erasure, erasure_of
from projections.feed import DETAILED
from projections.fold import apply, erase, released, rule, subject_of, take, take_out
from projections.identifiers import key_at, later_key
from projections.identity import Subject, renewed
from projections.journey import BREAKER, Journey, Stored
from projections.playbook import Rules
from projections.register import ABOUT_IDENTITY, RELEASE, RULINGS, Register, nothing_new
from projections.row import JourneyRow, row_of
from projections.workspace import Consulted, Gone, Harvest, Workspace
from schemas.decode import decode
from schemas.errors import TandemError
from schemas.event import Event
from store.agreement import Swept, next_to_sweep, told_by_time
from store.archive import Archived, LogRecord, opened, read_block, read_sealed
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
from store.commit import DeadLetter, EventRow, Stale
from store.erasure import Erasing, UnknownSecret, head, read_secret
from store.loading import KnownEvent, known_events, load_journeys, source_ids_of, victims_of
from streams.erasing import (
    ERASED,
    UNKNOWN_SECRET,
    ArchivedEvent,
    is_erased,
    stored_keys,
    stored_naming,
    what_to_erase,
    without_erased,
)
from streams.intake import Candidate, EventKey, Intake, conflict, dead_letter, precedes, same_body, take_in
from streams.reading import Found, Packed, Reading, event_row

_ABOUT_NOBODY = ABOUT_PLAYBOOK | {ERASURE}
_SLICE = 256  #: events folded between two chances for the running commit to go on
#: Kept in memory between batches: journeys at most, and moments of them at most (some 640 bytes each).
CACHED_JOURNEYS, CACHED_MOMENTS = 25_000, 500_000


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
    """Packs a batch that was read: see `streams.reading.Desk.pack`."""

    async def pack(self, batch: int, known: set[int], superseding: set[int], sources: dict[str, int]) -> Packed:
        """What is stored of the events."""


class Effects:
    """What one batch does, beside moving offsets."""

    def __init__(self, register_version: int) -> None:
        self.applied: list[Found] = []
        self.superseded: list[EventRow] = []
        self.duplicates: Counter[int] = Counter()
        self.dead_letters: list[DeadLetter] = []
        self.harvest = Harvest([], [], [], nothing_new(), Consulted([], []))
        self.rows: list[JourneyRow] = []
        self.changes: list[Change] = []
        #: what is stored of the events: it may take until the journeys have been folded
        self.packing: asyncio.Task[Packed] | None = None
        self.register_version = register_version  #: before this batch
        self.swept: Swept | None = None
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
        self._workspace = Workspace(rules, register)
        #: body hashes of the last two batches: when the next one was looked up, while the later of them was folded and
        #: the earlier one committed, the database may not have known them yet
        self._in_flight: deque[dict[EventKey, int]] = deque(maxlen=2)
        #: ids of the journeys that the batch before touched: it may not be committed yet
        self._committing = set[bytes]()
        self._grown = 0  #: moments taken in since the cache was measured

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
                self._workspace.agree(said_of(self._candidate(ahead.records, found).event))
        for found in releases:
            await self._release(self._candidate(ahead.records, found))
        await self._load(reading.subjects)
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
        await self._load_keys(ids)
        for journey_id in ids:
            journey = workspace.journeys.get(journey_id)
            if journey is not None:
                journey.settled = False
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
        await self._load(reading.subjects)
        await self._fold(reading.found, reading.subjects)

    @property
    def touched(self) -> int:
        """How many journeys were changed since they were reaped."""
        return self._workspace.touched

    async def _fold(self, fresh: list[Found], subjects: list[Subject]) -> None:
        workspace = self._workspace
        self._grown += len(fresh)
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

    async def _load(self, subjects: Iterable[Subject | None]) -> None:
        """Bring in the journeys that these subjects' events touch, if they are not here."""
        register = self._workspace.register
        keys = {person.key for subject in subjects if subject for person in subject.persons}
        if register.releases:
            keys |= {key_at(key, at, register.releases) for key in keys for at in register.releases.get(key, ())}
        if register.partners:
            keys |= {other for key in keys for other in register.partners.get(key, ())}
        await self._load_keys(keys)

    async def _load_keys(self, keys: Iterable[bytes]) -> None:
        workspace = self._workspace
        wanted = sorted([key for key in keys if not workspace.knows(key)])
        if not wanted:
            return
        for journey in await load_journeys(self._connection, wanted):
            known = workspace.journeys.get(journey.journey_id)
            if known is None:
                if any(key in workspace.home for key in journey.identifiers):
                    raise Stale("another worker has changed who is who since journeys were read: fold again")
                # until the sweep has ended, what is stored may follow former terms
                if journey.stored is not None and journey.life is not None and journey.life.value:
                    journey.stored = journey.stored._replace(credit=credit_of(journey, workspace.rules))
                journey.settled = workspace.register.swept_until is None
                workspace.put(journey)
                self._grown += len(journey.moments)
            elif known.rev < journey.rev:
                raise Stale("another worker has changed a journey since it was read: fold again")

    async def _load_tied(self, keys: set[bytes]) -> None:
        """Bring in everybody whom any link ties to these identifiers, those in quarantine and their victims too."""
        workspace, seen = self._workspace, set[bytes]()
        while keys:
            seen |= keys
            await self._load_keys(keys)
            journeys = [workspace.everybody_here(key) for key in keys if key in workspace.home]
            tied = {key for component in journeys for journey in component for key in _ends(journey)}
            quarantined = tied & workspace.register.quarantined
            keys = (tied | set(await victims_of(self._connection, sorted(quarantined)))) - seen

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
        else:
            await self._supersede(archived, candidate)
            effects.superseded.append(event_row(candidate, sources))
            loser = self._event(archived)
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

    async def _supersede(self, old: Archived, winner: Candidate) -> None:
        """Fold everyone whom the old or the new body names again from the archive, with the new body in its place."""
        workspace = self._workspace
        workspace.judge()
        subjects = [subject_of(self._event(old), self._rules), winner.subject]
        releases = workspace.register.releases
        keys = {
            person.key
            for subject, event in zip(subjects, (self._event(old), winner.event), strict=True)
            if subject is not None
            for person in renewed(subject, event.occurred_at, releases).persons
        }
        await self._load(subjects)
        await self._load_tied(keys)
        journeys: dict[bytes, Journey] = {}
        for home in {workspace.home[key] for key in keys if key in workspace.home}:
            journeys |= workspace.everybody_tied_to(home)
        members = take_out(workspace, journeys)
        stored = await self._stored(journeys.values())
        events = [one.event for one in self._counting(stored, members) if one.key != winner.key]
        self._apply_again([*events, winner.event])

    async def _release(self, candidate: Candidate) -> None:
        """Take a release, and fold those again whom it concerns, if an event after it came before it."""
        assert candidate.subject is not None, "a release names somebody"
        workspace = self._workspace
        releases = dict(workspace.register.releases)
        workspace.judge()
        await self._load([candidate.subject])
        keys = {key_at(person.key, candidate.event.occurred_at, releases) for person in candidate.subject.persons}
        if any(self._named_since(key, candidate.event.occurred_at) for key in keys):
            await self._load_tied(keys)
        before = dict(workspace.journeys)
        members = released(workspace, candidate.event, candidate.subject)
        if members:
            journeys = [one for one in before.values() if not members.isdisjoint(one.identifiers)]
            stored = await self._stored(journeys)
            self._apply_again([one.event for one in self._counting(stored, members, releases)])

    def _named_since(self, key: bytes, at: int) -> bool:
        journey = self._workspace.journey_of(key)
        return journey is not None and journey.identifiers[key].last >= at

    def _apply_again(self, events: list[Event]) -> None:
        for event in sorted(events, key=lambda event: (event.occurred_at, event.id, event.source)):
            subject = subject_of(event, self._rules)
            if subject is not None and event.type not in ABOUT_IDENTITY:
                apply(self._workspace, event, subject)

    async def _take_erasure(self, candidate: Candidate, effects: Effects) -> bool:
        """Whether it can be told whom an erasure is about; else it is a dead letter. Raises UnknownSecret."""
        erasure = erasure_of(candidate.event)
        if erasure.nobody:
            return True
        if not await self._can_tell(erasure):
            effects.dead_letters.append(dead_letter(candidate.record, UNKNOWN_SECRET, candidate.value))
            return False
        await self._erase(erasure, effects)
        return True

    async def _erase(self, erasure: Erasure, effects: Effects) -> None:
        """Fold everybody again who is tied to an erased person, and note what is taken out of the database."""
        workspace, register = self._workspace, self._workspace.register
        one, seen = register.erased.of_one(erasure), await head(self._connection)
        keys, shared = await stored_keys(self._connection, one, register.releases)
        listed = await self._named_in(erasure.events)
        await self._load_tied({*keys, *shared, *listed})
        before = dict(workspace.journeys)
        members = erase(workspace, erasure, listed)
        journeys = [journey for journey in before.values() if not members.isdisjoint(journey.identifiers)]
        stored = await stored_naming(self._connection, journeys, self._owners, self._rules, nobodys=True)
        erased = register.erased
        gone = [one for one in stored if is_erased(erased, one.event, self._rules)]
        places = {one.place for one in gone}
        left = [one for one in self._counting(stored, members) if one.place not in places]
        self._apply_again([one.event for one in left])
        found = await what_to_erase(
            self._connection,
            gone,
            journeys,
            keys,
            erased,
            self._owners,
            self._rules,
            seen,
            lambda others: bool(one.among(others, register.releases)[0]),
        )
        effects.erasing = found if effects.erasing is None else effects.erasing.plus(found)

    async def _named_in(self, events: Iterable[EventKey]) -> set[bytes]:
        """The identifiers that archived events name."""
        wanted = set(events)
        names = await source_ids_of(self._connection, sorted({source for _, source in wanted}))
        pairs = sorted((id_, names[source]) for id_, source in wanted if source in names)
        known = await known_events(self._connection, [id_ for id_, _ in pairs], [source for _, source in pairs])
        found = set[bytes]()
        for bucket, batch_id in sorted({(one.bucket, one.batch_id) for one in known}):
            for archived in await read_block(self._connection, bucket, batch_id):
                event = self._event(archived)
                subject = subject_of(event, self._rules) if (event.id, event.source) in wanted else None
                if subject is not None:
                    own = renewed(subject, event.occurred_at, self._workspace.register.releases)
                    found |= {person.key for person in own.persons}
        return found

    async def _can_tell(self, erasure: Erasure) -> bool:
        """Whether the erasure's hashes are under this database's secret. Raises UnknownSecret where it has none."""
        erased = self._workspace.register.erased
        if not erased.secret_name:  # it may have been made after this worker had started
            secret = await read_secret(self._connection)
            if secret is None:
                raise UnknownSecret(
                    f"an erasure was made with the secret {erasure.secret}, and this database has none: restore the "
                    "table `secrets` from a backup. Until then nothing is applied: nobody could say whom it is about"
                )
            erased.learn(secret)
        return erased.secret_name == erasure.secret

    async def refold(self, events: list[Event], losers: list[Event], until_batch: int) -> None:
        """Fold everybody again whom archived events name, by all that was archived up to a batch.

        Rulings, releases, erasures and what was said of playbooks are taken among them. `losers`: bodies whose id these
        events have taken; they may have been folded. `reap` takes what it comes to.
        """
        workspace, register = self._workspace, self._workspace.register
        workspace.judge()
        releases = dict(register.releases)
        subjects = [
            (event, subject) for event in [*events, *losers] if (subject := subject_of(event, self._rules)) is not None
        ]
        keys = {one.key for event, subject in subjects for one in renewed(subject, event.occurred_at, releases).persons}
        named = set(keys)
        for erasure in [erasure_of(event) for event in events if event.type == ERASURE]:
            for found in await stored_keys(self._connection, register.erased.of_one(erasure), releases):
                keys |= set(found)
            keys |= await self._named_in(erasure.events)
        await self._load_tied(keys)
        everybody: dict[bytes, Journey] = {}
        for key in sorted(keys & workspace.home.keys()):
            everybody |= workspace.everybody_tied_to(workspace.home[key])
        members = take_out(workspace, everybody) | named
        self._take_joint(events)
        bases = {person.key for _, subject in subjects for person in subject.persons}
        stored = await stored_naming(
            self._connection, everybody.values(), self._owners, self._rules, more=bases, until_batch=until_batch
        )
        self._apply_again([one.event for one in self._counting(stored, members, releases)])

    def _take_joint(self, events: list[Event]) -> None:
        """Take what holds whatever journey it is about; whom it concerns is folded again by the caller."""
        workspace, register = self._workspace, self._workspace.register
        for event in events:
            subject, order = subject_of(event, self._rules), (event.occurred_at, event.id, event.source)
            if event.type in ABOUT_PLAYBOOK:
                workspace.agree(said_of(event))
            elif event.type == ERASURE and not (erasure := erasure_of(event)).nobody:
                register.erase(erasure)
            elif subject is not None and event.type in RULINGS:
                rule(workspace, event.type, subject, order)
            elif subject is not None and event.type == RELEASE:
                for person in subject.persons:
                    if register.release(person.key, event.occurred_at):
                        for key in {person.key, later_key(person.key, event.occurred_at)}:
                            workspace.disturb(key, afresh=True)

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
                taken = register.erased.takes(key, moment.at, subjects[found.subject])
            if taken:
                gone.add(place)
        records = {(record.partition_id, record.offset): record for record in ahead.records} if gone else {}
        for place in gone:
            found = ahead.reading.found[place]
            effects.dead_letters.append(dead_letter(records[found.partition_id, found.offset], ERASED, None))
        effects.dead_letters = without_erased(effects.dead_letters, self._owners, register.erased, self._rules)
        old |= gone
        lost = {id(ahead.reading.found[place]) for place in gone}
        return [found for found in fresh if id(found) not in lost], [place for place in known if place not in gone]

    async def _stored(self, journeys: Iterable[Journey]) -> list[ArchivedEvent]:
        return await stored_naming(self._connection, journeys, self._owners, self._rules)

    def _counting(
        self, stored: list[ArchivedEvent], members: set[bytes], releases: dict[bytes, list[int]] | None = None
    ) -> list[ArchivedEvent]:
        """Events that name one of `members`, each as the rule for conflicts has it.

        `releases`: those by which members are named, where they are not those of now.
        """
        if releases is None:
            releases = self._workspace.register.releases
        found: dict[EventKey, ArchivedEvent] = {}
        for one in stored:
            if one.subject is None:
                continue
            if renewed(one.subject, one.event.occurred_at, releases).persons[0].key not in members:
                continue
            known = found.get(one.key)
            if known is None or precedes(one.archived.value, known.archived.value):
                found[one.key] = one
        return list(found.values())

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
                if journey.stored is not None and journey.stored.handoffs:
                    effects.had_handoffs.append(journey.journey_id)
                journey.stored = Stored(row.stage, row.audiences, len(row.handoffs), credit)
                journey.inherited = None
            await asyncio.sleep(0)
        for gone in harvest.gone:
            if gone.stored is not None and gone.stored.handoffs:
                effects.had_handoffs.append(gone.journey_id)
            if tells:
                effects.changes += _changes_of(gone)
        self._evict(harvest.touched)

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

    def _evict(self, just_touched: list[Journey]) -> None:
        """Let go of the journeys that were not used for longest; those that are not committed yet stay."""
        journeys = self._workspace.journeys
        for journey in just_touched:
            journeys[journey.journey_id] = journeys.pop(journey.journey_id)
        touched = {journey.journey_id for journey in just_touched}
        busy, self._committing = self._committing | touched, touched
        for journey_id in self._excess():
            tied = self._workspace.component(journey_id) if journey_id in journeys else {}
            if busy.isdisjoint(tied):
                for tied_id in tied:
                    self._workspace.evict(tied_id)

    def _excess(self) -> list[bytes]:
        """The journeys that were not used for longest: as many as are too many, or remember too much."""
        journeys, much = self._workspace.journeys, 0
        many = len(journeys) - CACHED_JOURNEYS
        if self._grown > CACHED_MOMENTS // 8:  # to measure the cache takes as long as it is large: not at every batch
            self._grown = 0
            much = sum([len(journey.moments) for journey in journeys.values()]) - CACHED_MOMENTS
        found = list[bytes]()
        for journey_id, journey in journeys.items():
            if many <= 0 and much <= 0:
                break
            found.append(journey_id)
            many -= 1
            much -= len(journey.moments)
        return found


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


def _ends(journey: Journey) -> set[bytes]:
    """Identifiers at both ends of a journey's links in quarantine, and its own."""
    ends = {end for link in journey.refused if link.refused == BREAKER for end in (link.a, link.b)}
    return ends | journey.identifiers.keys()
