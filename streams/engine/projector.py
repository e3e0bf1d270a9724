"""The projector: consume, read, fold, commit. Offsets live in PostgreSQL, beside the effects, behind a fence.

While PostgreSQL commits one batch, the next one is folded, and another process reads the one after that. Whatever goes
wrong with a connection, a process or a commit, the answer is the same: forget all, read the fence, go on from there.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from projections.playbook.rules import Rules
from schemas.errors import TandemError
from store.archive import LogRecord
from store.commit import Advance, Batch, Fenced, Hole, Stale, commit_batch
from store.feed import hint
from store.leases import dismiss, enrol, heartbeat, release, take
from store.loading import load_register
from store.partitions import check_playbook, owners
from store.session import CONNECTION_LOST, closing, open_engine_connection, open_writer
from streams.engine.desk import Packed
from streams.engine.look_ahead import LookAhead
from streams.engine.positions import LogTruncated, Position, witness_of
from streams.engine.preparation import Ahead, Effects, Preparation
from streams.engine.rate_limit import Pace
from streams.engine.reader_process import LARGE, Reader, ReaderGone

log = structlog.get_logger(__name__)

BATCH_RECORDS = 16_384  #: at most, when behind; when not, a batch is what has come meanwhile
_SMALLEST_BATCH = 128
_CAREFUL_BATCHES = 1_000  #: after a batch that was void: it may have held events that were known and not looked up
_IDLE_MS = 200
_SWEPT_AT_ONCE, _IDLE_PAGES = 200, 50  #: journeys a page, and pages between two looks for records while there are none
_LEASE_ROUND_SECONDS = 2.0
_STANDSTILL_SECONDS = 30.0
_RECOVERABLE = (
    Fenced,
    Stale,
    ReaderGone,
    KafkaError,
    *CONNECTION_LOST,
)


class Standstill(TandemError):
    """The broker holds records, and the consumer delivers none."""


class _Pulled(NamedTuple):
    """A batch that was read and is not folded yet."""

    ahead: Ahead
    advances: list[Advance]  #: without counts
    holes: list[Hole]


class Projector:
    """One worker. `run` returns when `stop` is set; it raises only named errors that need a person."""

    def __init__(
        self,
        *,
        consumer_options: Mapping[str, object],
        database_url: str,
        rules: Rules,
        log_epoch: int,
        worker: bytes,
        projection: str = "public",
        ends: Mapping[TopicPartition, int] | None = None,
        pace: Pace | None = None,
    ) -> None:
        """`projection`: the schema that is written; `ends`: where to stop reading; `pace`: how fast to read at most."""
        self._projection = projection
        self._ends = ends
        self._pace = pace
        self._consumer_options = consumer_options
        self._database_url = database_url
        self._rules = rules
        #: of the logs that are read
        self.log_epoch = log_epoch
        self._worker = worker
        self._positions: dict[TopicPartition, Position] = {}
        self._reader = Reader(rules)
        self._pulling: asyncio.Task[_Pulled | None] | None = None
        self._commit: asyncio.Task[int] | None = None
        self._control_lock = asyncio.Lock()  # heartbeats and lease rounds share one connection
        self._batch_records = BATCH_RECORDS
        self._careful_until = 0
        #: batches committed since the start
        self.batches = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises LogRecreated, LogTruncated and other TandemErrors."""
        try:
            failures = 0
            while not stop.is_set():
                before = self.batches
                try:
                    await self._session(stop)
                except _RECOVERABLE as error:
                    failures = 0 if self.batches > before else failures + 1
                    if isinstance(error, Stale):
                        # another worker works on the same journeys: smaller batches meet it less often
                        self._batch_records = max(_SMALLEST_BATCH, self._batch_records // 2)
                    self._careful_until = self.batches + _CAREFUL_BATCHES
                    pause = min(5.0, 0.05 * 2**failures)
                    log.warning("projector starts over", error=type(error).__name__, detail=str(error), pause=pause)
                    await _wait(stop, pause)
        finally:
            await self._reader.close()

    async def _session(self, stop: asyncio.Event) -> None:
        """Work over one set of connections, until `stop` or an error."""
        self._positions, self._pulling, self._commit = {}, None, None
        place = (self._database_url, self._projection)
        async with AsyncExitStack() as stack:
            writer = await stack.enter_async_context(closing(await open_writer(*place)))
            reader = await stack.enter_async_context(closing(await open_engine_connection(*place)))
            ahead = await stack.enter_async_context(closing(await open_engine_connection(*place)))
            control = await stack.enter_async_context(closing(await open_engine_connection(*place)))
            consumer = AIOKafkaConsumer(**self._consumer_options)
            await consumer.start()
            # aiokafka starts a task that cannot be stopped before it has run once: a CancelledError would escape
            await asyncio.sleep(0)
            stack.push_async_callback(consumer.stop)
            await enrol(control, self._worker, writer.get_server_pid())
            register = await load_register(reader)
            await check_playbook(control, self._rules.digest)  # another projection may have taken the place
            known = await owners(control)
            look_ahead = LookAhead(ahead, self._reader, known)
            preparation = Preparation(reader, self._reader, self._rules, known, register)
            rounds = asyncio.create_task(self._keep_leases(control))
            try:
                await self._work(stop, consumer, writer, control, look_ahead, preparation, rounds)
            finally:
                await self._leave(control, rounds)

    async def _work(
        self,
        stop: asyncio.Event,
        consumer: AIOKafkaConsumer,
        writer: asyncpg.Connection,
        control: asyncpg.Connection,
        look_ahead: LookAhead,
        preparation: Preparation,
        rounds: "asyncio.Task[None]",
    ) -> None:
        clock = asyncio.get_running_loop().time
        due, heard = 0.0, clock()
        while not stop.is_set():
            if rounds.done():
                rounds.result()
            if clock() >= due:
                await self._share(consumer, writer, control, preparation)
                due = clock() + _LEASE_ROUND_SECONDS
            pulled = await (self._pulling or self._pull(consumer, look_ahead))
            behind = pulled is not None and len(pulled.ahead.records) >= LARGE
            self._pulling = asyncio.create_task(self._pull(consumer, look_ahead)) if behind else None
            if preparation.sweeping and self._sweeps():
                await self._sweep(writer, preparation, pages=_IDLE_PAGES if pulled is None else 1)
            if pulled is not None:
                heard = clock()
                await self._apply(pulled, writer, preparation)
                if self._pace is not None:
                    await self._pace.keep(len(pulled.ahead.records))
                continue
            await self._settle()
            if clock() >= heard + _STANDSTILL_SECONDS and self._positions:
                await self._check_for_standstill(consumer)
                heard = clock()
        await self._settle()

    async def _pull(self, consumer: AIOKafkaConsumer, look_ahead: LookAhead) -> _Pulled | None:
        """The next batch, read; None if nothing came for a while."""
        records = await self._fetch(consumer)
        if not records:
            return None
        accepted, advances, holes = self._accept(records)
        careful = self.batches < self._careful_until
        return _Pulled(await look_ahead.read(accepted, careful=careful), advances, holes)

    async def _apply(self, pulled: _Pulled, writer: asyncpg.Connection, preparation: Preparation) -> None:
        """Fold a batch, and begin to commit it once the one before is committed."""
        effects = await preparation.prepare(pulled.ahead, self._commit)
        for identifier in effects.harvest.entries.quarantined:
            log.warning("identifier quarantined: too many others share it", type=identifier.type)
        await self._settle()
        self._commit = asyncio.create_task(_commit(writer, effects, pulled.advances, pulled.holes))

    def _sweeps(self) -> bool:
        """Whether it is this worker that lets stored journeys follow a change of terms: one does."""
        leases = [position.lease for position in self._positions.values()]
        return any(lease.owner == "joint" and lease.partition == 0 for lease in leases)

    async def _sweep(self, writer: asyncpg.Connection, preparation: Preparation, pages: int) -> None:
        """Derive the next pages of stored journeys again."""
        while pages and preparation.sweeping:
            effects = await preparation.sweep(_SWEPT_AT_ONCE)
            await self._settle()
            self._commit = asyncio.create_task(_commit(writer, effects, [], []))
            pages -= 1
        if not preparation.sweeping:
            log.info("all journeys follow the terms agreed")

    async def _fetch(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord]]:
        """What has come, as soon as anything has."""
        if not self._positions:
            await asyncio.sleep(_IDLE_MS / 1000)
            return {}
        try:
            found: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
                timeout_ms=_IDLE_MS, max_records=self._batch_records
            )
        except OffsetOutOfRangeError as error:
            raise LogTruncated(f"Kafka no longer has the next records: {error}. Restore them") from error
        return found

    def _accept(
        self, records: dict[TopicPartition, list[ConsumerRecord]]
    ) -> tuple[list[LogRecord], list[Advance], list[Hole]]:
        """The records that are next, and how far they take each partition. Raises LogRecreated."""
        accepted, advances, holes = list[LogRecord](), list[Advance](), list[Hole]()
        for place, found in records.items():
            position = self._positions[place]
            lease, start, last = position.lease, position.next_offset, None
            for record in found:
                if self._ends is not None and record.offset >= self._ends[place]:
                    break
                if position.accept(record, holes):
                    accepted.append(_log_record(lease.partition_id, record))
                    last = record
            if last is not None:
                advances.append(
                    Advance(lease.partition_id, lease.epoch, start, position.next_offset, witness_of(last), 0, 0, 0, 0)
                )
        return accepted, advances, holes

    async def _check_for_standstill(self, consumer: AIOKafkaConsumer) -> None:
        """Nothing came for a while: that is well only where the broker has nothing. Raises Standstill."""
        ends = await consumer.end_offsets(list(self._positions))
        if self._ends is not None:
            ends = self._ends
        behind = {str(place): ends[place] for place, at in self._positions.items() if ends[place] > at.next_offset}
        if behind:
            raise Standstill(
                f"the broker holds records up to {behind}, but none came in {_STANDSTILL_SECONDS:.0f} s: "
                "start the worker again"
            )

    async def _settle(self) -> None:
        """Wait for the running commit. Raises what it raised."""
        if self._commit is not None:
            commit, self._commit = self._commit, None
            await commit
            self.batches += 1
            self._batch_records = min(BATCH_RECORDS, self._batch_records + _SMALLEST_BATCH)

    async def _share(
        self,
        consumer: AIOKafkaConsumer,
        writer: asyncpg.Connection,
        control: asyncpg.Connection,
        preparation: Preparation,
    ) -> None:
        """Take free partitions, or give back what is more than a fair share."""
        held = [position.lease.partition_id for position in self._positions.values()]
        async with self._control_lock:
            leases, share = await take(control, self._worker, self.log_epoch, held)
        surplus = list(self._positions)[share:] if len(held) > share else []
        if not leases and not surplus:
            return
        pulled, self._pulling = await self._pulling if self._pulling else None, None
        if pulled is not None:
            await self._apply(pulled, writer, preparation)
        await self._settle()
        if surplus:
            ids = [self._positions.pop(place).lease.partition_id for place in surplus]
            async with self._control_lock:
                await release(control, self._worker, ids)
        added = {TopicPartition(lease.topic, lease.partition): Position.of(lease) for lease in leases}
        self._positions |= added
        consumer.assign(list(self._positions))
        await self._seek(consumer, added)
        log.info("partitions", held=len(self._positions), added=len(added), given_back=len(surplus))

    async def _seek(self, consumer: AIOKafkaConsumer, added: dict[TopicPartition, Position]) -> None:
        beginnings = await consumer.beginning_offsets(list(added))
        ends = await consumer.end_offsets(list(added))
        for place, position in added.items():
            position.check_range(beginnings[place], ends[place])
        # assign() forgets where the partitions held before stood
        for place, position in self._positions.items():
            consumer.seek(place, position.seek_offset())

    async def _keep_leases(self, control: asyncpg.Connection) -> None:
        while True:
            await asyncio.sleep(_LEASE_ROUND_SECONDS)
            async with self._control_lock:
                alive = await heartbeat(control, self._worker)
            if not alive:
                raise Fenced("this worker was silent for too long and was given up by the others")

    async def _leave(self, control: asyncpg.Connection, rounds: "asyncio.Task[None]") -> None:
        """Stop what runs and free the leases, as far as the connection still allows."""
        tasks = [task for task in (rounds, self._pulling, self._commit) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        held = [position.lease.partition_id for position in self._positions.values()]
        if not control.is_closed():
            await dismiss(control, self._worker, held)


async def _commit(writer: asyncpg.Connection, effects: Effects, advances: list[Advance], holes: list[Hole]) -> int:
    packed = Packed([], b"") if effects.packing is None else await effects.packing
    batch_id = await commit_batch(writer, _batch(effects, packed, advances, holes))
    await hint(writer)
    return batch_id


def _batch(effects: Effects, packed: Packed, advances: list[Advance], holes: list[Hole]) -> Batch:
    applied = Counter([found.partition_id for found in effects.applied])
    dead = Counter([letter.partition_id for letter in effects.dead_letters])
    missing: dict[int, int] = {}
    for hole in holes:
        missing[hole.partition_id] = missing.get(hole.partition_id, 0) + hole.to_offset - hole.from_offset
    counted = [
        advance._replace(
            applied=applied[advance.partition_id],
            duplicates=effects.duplicates[advance.partition_id],
            dead=dead[advance.partition_id],
            holes=missing.get(advance.partition_id, 0),
        )
        for advance in advances
    ]
    return Batch(
        advances=sorted(counted),
        events=packed.events,
        superseded=sorted(effects.superseded),
        blocks=packed.blocks,
        journeys=effects.rows,
        gone=effects.harvest.gone,
        moved=effects.harvest.moved,
        entries=effects.harvest.entries,
        consulted=effects.harvest.consulted,
        register_version=effects.register_version,
        dead_letters=[
            letter._replace(salt=os.urandom(16)) for letter in sorted(effects.dead_letters, key=lambda one: one[:2])
        ],
        holes=holes,
        changes=effects.changes,
        swept=effects.swept,
        with_handoffs=effects.with_handoffs,
        had_handoffs=effects.had_handoffs,
        erasing=effects.erasing,
    )


def _log_record(partition_id: int, record: ConsumerRecord) -> LogRecord:
    received_at = None
    if record.headers:
        for name, value in record.headers:
            if name == "received_at":
                received_at = value.decode("ascii", "replace")
    return LogRecord(partition_id, record.offset, record.timestamp * 1000, received_at, record.value)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
