"""Preparation: the way of a batch, from top to bottom: from what was read to the effects of one transaction."""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from projections.identity.erasure import ERASURE, erasure_of
from projections.identity.register import RELEASE
from projections.playbook.events import ABOUT_PLAYBOOK, playbook_event_of
from projections.playbook.rules import Rules
from store.loading import known_events
from streams.engine.batch import BatchEvent, Originals, Packed, PendingBatch
from streams.engine.cache import Cache
from streams.engine.conflicts import Verdict, conflict, judge
from streams.engine.desk import event_row
from streams.engine.effects import Effects, reap
from streams.engine.erasures import ERASED, UNKNOWN_SECRET, can_tell, erased_places, without_erased
from streams.engine.folding import fold_events
from streams.engine.intake import Candidate, EventKey, dead_letter
from streams.engine.refolding import Refolding

_RARE = ABOUT_PLAYBOOK | {ERASURE, RELEASE}  #: types that are taken before the batch is folded


class Packer(Protocol):
    """Packs a batch that was read: see `streams.engine.desk.Desk.pack`."""

    async def pack(self, batch: int, known: set[int], superseding: set[int], sources: dict[str, int]) -> Packed:
        """What is stored of the events."""


@dataclass(slots=True)
class _Work:
    """One batch on its way. Events are named by their places in `batch.read.events`."""

    batch: PendingBatch
    originals: Originals
    effects: Effects
    rare: list[int]  #: events that are taken before the batch is folded
    #: events that are neither folded nor stored: known with the same bytes, erased, losers, or about nobody knows whom
    left_out: set[int] = field(default_factory=set)
    #: events that are known with other bytes
    conflicting: list[int] = field(default_factory=list)
    #: those of them that take the known one's place: they are folded with the people whom they concern
    superseding: set[int] = field(default_factory=set)

    def event(self, place: int) -> BatchEvent:
        return self.batch.read.events[place]

    def candidate(self, place: int) -> Candidate:
        """The event with its bytes."""
        return self.originals.candidate(self.event(place))

    def new_of(self, types: Collection[str]) -> list[int]:
        """The events of some rare types that were never seen before, and count."""
        apart = self.left_out.union(self.conflicting)
        return [place for place in self.rare if place not in apart and self.event(place).moment.type in types]

    @property
    def new(self) -> list[BatchEvent]:
        """All events that were never seen before, and count."""
        events, apart = self.batch.read.events, self.left_out.union(self.conflicting)
        return [event for place, event in enumerate(events) if place not in apart] if apart else events


class Preparation:
    """Folds batches over a workspace that outlives them.

    The workspace runs ahead of the database by the batch that is being committed. After any failed commit, throw the
    preparation and its cache away: their successors start from what the database says.
    """

    def __init__(self, cache: Cache, packer: Packer | None, departments: Mapping[int, str]) -> None:
        """`packer`: None where the events are archived already, and the feed has told what they changed.

        `departments`: partition id -> the department that writes there, for all partitions there ever were.
        """
        self._cache = cache
        self._packer = packer
        self._departments = departments
        self._refolding = Refolding(cache, cache.rules, departments)
        #: body hashes of the last two batches: when the next one was looked up, while the later of them was folded and
        #: the earlier one committed, the database may not have known them yet
        self._in_flight: deque[dict[EventKey, int]] = deque(maxlen=2)

    async def prepare(self, batch: PendingBatch, in_flight: "asyncio.Task[int] | None") -> Effects:
        """Fold a batch. `in_flight` is the commit of the batch before, which may still be running."""
        work = self._sort_out(batch)
        if (work.conflicting or work.new_of({RELEASE, ERASURE})) and in_flight is not None:
            await asyncio.shield(in_flight)  # what follows reads the archive, which must have that batch
        await self._take_erasures(work)
        if self._cache.workspace.register.erased:
            self._leave_out_erased(work)
        await self._settle_conflicts(work)
        self._take_playbook_events(work)
        await self._take_releases(work)
        await self._fold(work)
        self._remember(work)
        return work.effects

    def _sort_out(self, batch: PendingBatch) -> _Work:
        """Which events are new, and which are known, with the same bytes or with others."""
        read = batch.read
        work = _Work(
            batch=batch,
            originals=Originals(batch.records, self._departments, self._rules),
            effects=Effects(
                self._cache.register_version,
                duplicates=Counter(read.duplicates),
                dead_letters=list(read.dead_letters),
            ),
            rare=[place for place, event in enumerate(read.events) if event.moment.type in _RARE],
        )
        known = dict(batch.known)
        for hashes in self._in_flight:
            known |= {key: hashes[key] for key in hashes.keys() & batch.hashes.keys()}
        if known:
            for place, event in enumerate(read.events):
                known_hash = known.get(event.key)
                if known_hash == event.body_hash:
                    work.effects.duplicates[event.partition_id] += 1
                    work.left_out.add(place)
                elif known_hash is not None:
                    work.conflicting.append(place)
        return work

    async def _take_erasures(self, work: _Work) -> None:
        """Take new erasures; one that nobody can interpret becomes a dead letter."""
        for place in work.new_of({ERASURE}):
            if not await self._take_erasure(work.candidate(place), work.effects):
                work.left_out.add(place)

    def _leave_out_erased(self, work: _Work) -> None:
        """Leave out the events that are erased. Nothing of them is kept but the place in the log."""
        erased, effects, originals = self._cache.workspace.register.erased, work.effects, work.originals
        gone = erased_places(
            work.batch.read, work.left_out, erased, self._rules, lambda event: originals.candidate(event).event
        )
        effects.dead_letters += [dead_letter(originals.record(work.event(place)), ERASED, None) for place in gone]
        effects.dead_letters = without_erased(effects.dead_letters, erased, self._rules)
        work.left_out |= gone
        work.conflicting = [place for place in work.conflicting if place not in gone]

    async def _settle_conflicts(self, work: _Work) -> None:
        """Let the winner of two bodies under one id count, whichever came first."""
        for place in work.conflicting:
            if await self._wins(work.candidate(place), work):
                work.superseding.add(place)
            else:
                work.left_out.add(place)

    async def _wins(self, candidate: Candidate, work: _Work) -> bool:
        """Whether an event takes the place of the known one under its id; then its people are folded again."""
        effects, sources = work.effects, work.batch.sources
        source_id = sources[candidate.event.source]
        [known] = await known_events(self._cache.connection, [candidate.event.id], [source_id])
        archived, loser = await self._refolding.archive.find(known, candidate.key) or (None, None)
        old_body = None if archived is None else archived.value
        verdict = judge(candidate.value, candidate.body_hash, old_body, known.body_hash)
        if verdict is Verdict.ERASED:
            effects.dead_letters.append(dead_letter(candidate.record, ERASED, None))
        elif verdict is Verdict.DUPLICATE:
            effects.duplicates[candidate.record.partition_id] += 1
        elif verdict is Verdict.LOST:
            effects.dead_letters.append(dead_letter(candidate.record, conflict(candidate.event), candidate.value))
        elif candidate.event.type != ERASURE or await self._take_erasure(candidate, effects):
            assert loser is not None, "only an event that is archived can lose"
            await self._refolding.supersede(loser, candidate)
            effects.superseded.append(event_row(candidate, sources))
            effects.dead_letters.append(dead_letter(candidate.record, conflict(loser), old_body))
            return True
        return False

    async def _take_erasure(self, candidate: Candidate, effects: Effects) -> bool:
        """Whether the erasure could be taken; else it is a dead letter. Raises UnknownSecret."""
        erasure = erasure_of(candidate.event)
        if erasure.nobody:
            return True
        if not await can_tell(self._cache.connection, self._cache.workspace.register.erased, erasure):
            effects.dead_letters.append(dead_letter(candidate.record, UNKNOWN_SECRET, candidate.value))
            return False
        removal = await self._refolding.erase(erasure)
        effects.removal = removal if effects.removal is None else effects.removal.plus(removal)
        return True

    def _take_playbook_events(self, work: _Work) -> None:
        """Take what departments said of playbooks: the batch is folded by the terms that follow from it."""
        for place in work.new_of(ABOUT_PLAYBOOK):
            self._cache.workspace.record(playbook_event_of(work.candidate(place).event))

    async def _take_releases(self, work: _Work) -> None:
        """Take releases: what the batch says of a released identifier is about somebody else from then on."""
        for place in work.new_of({RELEASE}):
            await self._refolding.release(work.candidate(place))

    async def _fold(self, work: _Work) -> None:
        """Fold the new events and gather what that changes, while what is stored of them is packed."""
        batch, effects = work.batch, work.effects
        await self._cache.load(batch.read.subjects)
        if self._packer is not None:
            packed = self._packer.pack(batch.read.number, work.left_out, work.superseding, batch.sources)
            effects.packing = asyncio.create_task(packed)
        try:
            effects.applied = work.new
            await fold_events(self._cache.workspace, effects.applied, batch.read.subjects)
            await reap(self._cache, effects, tells_feed=self._packer is not None)
        except BaseException:
            if effects.packing is not None:
                effects.packing.cancel()
            raise

    def _remember(self, work: _Work) -> None:
        """Note what the batch makes known, for the batches that were looked up before it is committed."""
        for place in work.left_out:
            work.batch.hashes.pop(work.event(place).key, None)
        self._in_flight.append(work.batch.hashes)

    @property
    def _rules(self) -> Rules:
        return self._cache.rules
