"""Work session: consume, read, fold and commit over one set of connections, until an error ends it.

While PostgreSQL commits one batch, the next one is folded, and another process reads the one after that.
"""

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg
import structlog

from store.commit import Advance, Hole
from streams.engine.assignment import LEASE_ROUND_SECONDS, STANDSTILL_SECONDS, Assignment
from streams.engine.batch import PendingBatch
from streams.engine.cache import Cache
from streams.engine.caution import Caution
from streams.engine.committing import commit
from streams.engine.look_ahead import LookAhead
from streams.engine.preparation import Preparation
from streams.engine.rate_limit import RateLimit
from streams.engine.reader_process import LARGE
from streams.engine.sweep import is_sweeping, sweep

log = structlog.get_logger(__name__)

_SWEPT_AT_ONCE, _IDLE_PAGES = 200, 50  #: journeys a page, and pages between two looks for records while there are none


class _Pulled(NamedTuple):
    """A batch that was read and is not folded yet."""

    batch: PendingBatch
    advances: list[Advance]  #: without counts
    holes: list[Hole]


@dataclass(slots=True)
class WorkSession:
    """One set of connections, and what is under way over them."""

    writer: asyncpg.Connection
    assignment: Assignment
    look_ahead: LookAhead
    cache: Cache
    preparation: Preparation
    caution: Caution
    rate_limit: RateLimit | None
    pulling: "asyncio.Task[_Pulled | None] | None" = None
    running_commit: "asyncio.Task[int] | None" = None

    async def work(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or an error comes; then stop what runs, and free the leases."""
        heartbeats = asyncio.create_task(self.assignment.keep_leases())
        try:
            await self._work(stop, heartbeats)
        finally:
            tasks = [task for task in (heartbeats, self.pulling, self.running_commit) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.assignment.leave()

    async def _work(self, stop: asyncio.Event, heartbeats: "asyncio.Task[None]") -> None:
        clock = asyncio.get_running_loop().time
        due, heard = 0.0, clock()
        while not stop.is_set():
            if heartbeats.done():
                heartbeats.result()
            if clock() >= due:
                await self._share_partitions()
                due = clock() + LEASE_ROUND_SECONDS
            pulled = await (self.pulling or self._pull())
            behind = pulled is not None and len(pulled.batch.records) >= LARGE
            self.pulling = asyncio.create_task(self._pull()) if behind else None
            if is_sweeping(self.cache) and self.assignment.sweeps:
                await self._sweep(pages=_IDLE_PAGES if pulled is None else 1)
            if pulled is not None:
                heard = clock()
                await self._apply(pulled)
                if self.rate_limit is not None:
                    await self.rate_limit.keep(len(pulled.batch.records))
                continue
            await self._settle()
            if clock() >= heard + STANDSTILL_SECONDS and self.assignment.positions:
                await self.assignment.check_for_standstill()
                heard = clock()
        await self._settle()

    async def _share_partitions(self) -> None:
        """Take free partitions, or give back what is more than a fair share."""
        leases, surplus = await self.assignment.offers()
        if leases or surplus:
            pulled, self.pulling = await self.pulling if self.pulling else None, None
            if pulled is not None:
                await self._apply(pulled)
            await self._settle()
            await self.assignment.share(leases, surplus)

    async def _pull(self) -> _Pulled | None:
        """The next batch, read; None if nothing came for a while."""
        accepted = await self.assignment.fetch(self.caution.batch_records)
        if accepted is None:
            return None
        batch = await self.look_ahead.read(accepted.records, careful=self.caution.careful)
        return _Pulled(batch, accepted.advances, accepted.holes)

    async def _sweep(self, pages: int) -> None:
        """Derive the next pages of stored journeys again."""
        while pages and is_sweeping(self.cache):
            effects = await sweep(self.cache, _SWEPT_AT_ONCE)
            await self._settle()
            self.running_commit = asyncio.create_task(commit(self.writer, effects, [], []))
            pages -= 1
        if not is_sweeping(self.cache):
            log.info("all journeys follow the terms agreed")

    async def _apply(self, pulled: _Pulled) -> None:
        """Fold a batch, and begin to commit it once the one before is committed."""
        effects = await self.preparation.prepare(pulled.batch, self.running_commit)
        for identifier in effects.harvest.entries.quarantined:
            log.warning("identifier quarantined: too many others share it", type=identifier.type)
        await self._settle()
        self.running_commit = asyncio.create_task(commit(self.writer, effects, pulled.advances, pulled.holes))

    async def _settle(self) -> None:
        """Wait for the running commit. Raises what it raised."""
        if self.running_commit is not None:
            running, self.running_commit = self.running_commit, None
            await running
            self.caution.committed()
