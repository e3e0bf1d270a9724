"""Assignment: the partitions that a worker holds, leased in PostgreSQL and read with one consumer."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from schemas.errors import TandemError
from store.archive import LogRecord
from store.commit import Advance, Fenced, Hole
from store.leases import Lease, dismiss, heartbeat, release, take
from streams.engine.positions import LogTruncated, Position, witness_of

log = structlog.get_logger(__name__)

LEASE_ROUND_SECONDS = 2.0
STANDSTILL_SECONDS = 30.0
_IDLE_MS = 200


class Standstill(TandemError):
    """The broker holds records, but the consumer delivers none. Start the worker again."""


class Accepted(NamedTuple):
    """Records that are next in their partitions, and how far they take each."""

    records: list[LogRecord]
    advances: list[Advance]  #: without counts
    holes: list[Hole]


class Assignment:
    """The partitions of one session. Only `share` changes which they are."""

    def __init__(
        self,
        *,
        consumer: AIOKafkaConsumer,
        control: asyncpg.Connection,
        worker: bytes,
        log_epoch: int,
        ends: Mapping[TopicPartition, int] | None,
    ) -> None:
        """`control`: a connection for leases alone; `ends`: where to stop reading."""
        self._consumer = consumer
        self._control = control
        self._control_lock = asyncio.Lock()  # heartbeats and lease rounds share one connection
        self._worker = worker
        self._log_epoch = log_epoch
        self._ends = ends
        self.positions: dict[TopicPartition, Position] = {}

    @property
    def _held(self) -> list[int]:
        return [position.lease.partition_id for position in self.positions.values()]

    @property
    def sweeps(self) -> bool:
        """Whether this worker lets stored journeys follow a change of terms: one worker does."""
        leases = [position.lease for position in self.positions.values()]
        return any(lease.department == "joint" and lease.partition == 0 for lease in leases)

    async def offers(self) -> tuple[list[Lease], list[TopicPartition]]:
        """(new leases, partitions beyond a fair share): both are to be given to `share`."""
        held = self._held
        async with self._control_lock:
            leases, share = await take(self._control, self._worker, self._log_epoch, held)
        surplus = list(self.positions)[share:] if len(held) > share else []
        return leases, surplus

    async def share(self, leases: list[Lease], surplus: list[TopicPartition]) -> None:
        """Give back what is surplus, and read what was leased. Nothing of what was read may be under way."""
        if surplus:
            ids = [self.positions.pop(partition).lease.partition_id for partition in surplus]
            async with self._control_lock:
                await release(self._control, self._worker, ids)
        added = {TopicPartition(lease.topic, lease.partition): Position.of(lease) for lease in leases}
        self.positions |= added
        self._consumer.assign(list(self.positions))
        await self._seek(added)
        log.info("partitions", held=len(self.positions), added=len(added), given_back=len(surplus))

    async def _seek(self, added: dict[TopicPartition, Position]) -> None:
        beginnings = await self._consumer.beginning_offsets(list(added))
        ends = await self._consumer.end_offsets(list(added))
        for partition, position in added.items():
            position.check_range(beginnings[partition], ends[partition])
        # assign() forgets the positions of the partitions held before
        for partition, position in self.positions.items():
            self._consumer.seek(partition, position.seek_offset())

    async def fetch(self, limit: int) -> Accepted | None:
        """What has come, as soon as anything has, `limit` records at most; None if nothing came for a while.

        Raises LogRecreated and LogTruncated.
        """
        if not self.positions:
            await asyncio.sleep(_IDLE_MS / 1000)
            return None
        try:
            records: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                timeout_ms=_IDLE_MS, max_records=limit
            )
        except OffsetOutOfRangeError as error:
            raise LogTruncated(f"Kafka no longer has the next records: {error}. Restore them") from error
        return self._accept(records) if records else None

    def _accept(self, fetched: dict[TopicPartition, list[ConsumerRecord]]) -> Accepted:
        accepted = Accepted([], [], [])
        for partition, records in fetched.items():
            position = self.positions[partition]
            lease, start, last = position.lease, position.next_offset, None
            for record in records:
                if self._ends is not None and record.offset >= self._ends[partition]:
                    break
                if position.accept(record, accepted.holes):
                    accepted.records.append(_log_record(lease.partition_id, record))
                    last = record
            if last is not None:
                advance = Advance(
                    partition_id=lease.partition_id,
                    epoch=lease.epoch,
                    from_offset=start,
                    to_offset=position.next_offset,
                    witness=witness_of(last),
                    applied=0,
                    duplicates=0,
                    dead=0,
                    holes=0,
                )
                accepted.advances.append(advance)
        return accepted

    async def check_for_standstill(self) -> None:
        """Nothing came for a while: that is well only where the broker has nothing. Raises Standstill."""
        ends = await self._consumer.end_offsets(list(self.positions))
        if self._ends is not None:
            ends = self._ends
        behind = {
            str(partition): ends[partition]
            for partition, position in self.positions.items()
            if ends[partition] > position.next_offset
        }
        if behind:
            raise Standstill(
                f"the broker holds records up to {behind}, but none came in {STANDSTILL_SECONDS:.0f} s: "
                "start the worker again"
            )

    async def keep_leases(self) -> None:
        """Send heartbeats until cancelled. Raises Fenced where the others have given this worker up."""
        while True:
            await asyncio.sleep(LEASE_ROUND_SECONDS)
            async with self._control_lock:
                alive = await heartbeat(self._control, self._worker)
            if not alive:
                raise Fenced("this worker was silent for too long, and the others gave it up")

    async def leave(self) -> None:
        """Free the leases, as far as the connection still allows."""
        if not self._control.is_closed():
            await dismiss(self._control, self._worker, self._held)


def _log_record(partition_id: int, record: ConsumerRecord) -> LogRecord:
    received_at = None
    if record.headers:
        for name, value in record.headers:
            if name == "received_at":
                received_at = value.decode("ascii", "replace")
    return LogRecord(partition_id, record.offset, record.timestamp * 1000, received_at, record.value)
