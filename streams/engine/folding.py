"""Folding: events that are known to be new into the workspace, in slices or in bulk."""

import asyncio
from collections.abc import Sequence

from projections.fold import take
from projections.identity.register import RELEASE
from projections.identity.workspace import Workspace
from projections.subjects import Subject
from streams.engine.batch import BatchEvent, ReadBatch
from streams.engine.cache import Cache
from streams.engine.effects import Effects, reap
from streams.engine.slices import SLICE, slices


async def fold_events(workspace: Workspace, events: Sequence[BatchEvent], subjects: Sequence[Subject]) -> None:
    """Fold new events, releases excepted. The journeys that they touch must be in the workspace."""
    for some in slices(events):
        for event in some:
            if event.subject is not None and event.moment.type != RELEASE:
                take(workspace, subjects[event.subject], event.moment, event.facts)
        await asyncio.sleep(0)


class BulkFold:
    """Folds many batches before anything is written: the archive is known to hold each event once."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._unweighed = 0  #: events folded since their journeys were weighed

    async def fold(self, batch: ReadBatch) -> None:
        """Fold the events of a batch, which has no releases."""
        await self._cache.load(batch.subjects)
        await fold_events(self._cache.workspace, batch.events, batch.subjects)
        self._unweighed += len(batch.events)

    async def reap(self, effects: Effects) -> None:
        """Gather what has been folded since the last time. The feed is not told."""
        await reap(self._cache, effects, tells_feed=False)
        self._unweighed = 0

    @property
    def touched(self) -> int:
        """How many journeys were changed since the last `reap`."""
        return self._cache.workspace.touched

    @property
    def held(self) -> int:
        """How many moments are in memory at most: see Journey.weight."""
        return self._cache.weight + self._unweighed

    async def forget(self) -> None:
        """Free all journeys, a few at a time, for that takes long. Nothing is folded after it."""
        journeys = self._cache.workspace.journeys
        while journeys:
            for _ in range(min(len(journeys), SLICE)):
                journeys.popitem()
            await asyncio.sleep(0)
