"""One agent's records: a consumer and a position of its own. An unfinished record is read again."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalStateError, KafkaError

from streams.kafka import KafkaSettings

log = structlog.get_logger(__name__)

_COMMIT_SECONDS = 1.0
_TOPIC_SECONDS = 1.0  #: between two looks for a topic that does not exist yet
_POLL_MS = 500
#: An agent may hold one record for as long as it likes, such as while a webhook is down.
_LONGEST_MS = 7 * 86_400_000


class Records:
    """The records of a topic, one at a time: the next one comes when the one before is finished.

    All processes that run the agent share the topic's partitions and the position, which is committed to Kafka only for
    what is finished. With `since`, each process reads all partitions from that long ago instead, and keeps no position.
    """

    def __init__(
        self, kafka: KafkaSettings, topic: str, group: str, *, new_only: bool = False, since: timedelta | None = None
    ) -> None:
        self.topic = topic
        self.current: Any = None  #: a ConsumerRecord that was handed out and not finished
        self.finished = 0  #: records
        self.dead_letters = 0  #: records of these that the agent could not take, each time they were kept
        self.failures = 0
        self.last_error: str | None = None
        self._kafka, self._group, self._new_only, self._since = kafka, group, new_only, since
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, int] = {}  #: behind what is finished and not committed yet
        self._committed_at = time.monotonic()

    async def next(self) -> Any:
        """The next record; first of all the one that was handed out and not finished."""
        if self.current is None:
            consumer = self._consumer or await self._open()
            while self.current is None:
                await self._commit_if_due()
                for records in (await consumer.getmany(timeout_ms=_POLL_MS, max_records=1)).values():
                    self.current = records[0]
        return self.current

    async def finish(self, record: Any) -> None:
        """The record is done. Does nothing if its partition was taken away meanwhile."""
        if record is not self.current:
            return
        self.current, self.last_error = None, None
        self.finished += 1
        self._positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
        await self._commit_if_due()

    async def close(self) -> None:
        """Commit what is finished, and disconnect."""
        if self._consumer is not None:
            await self.commit()
            await self._consumer.stop()

    async def commit(self) -> None:
        """Commit what is finished. If that fails, whoever has the partition then reads the records again."""
        positions, self._positions = self._positions, {}
        self._committed_at = time.monotonic()
        if not positions or self._since is not None:
            return
        assert self._consumer is not None, "what is finished was read"
        try:
            await self._consumer.commit(positions)
        except (KafkaError, IllegalStateError) as error:
            self._positions = positions | self._positions
            log.warning("position not committed", topic=self.topic, group=self._group, error=type(error).__name__)

    def give_back(self) -> None:
        """The partitions belong to another process now: forget their records."""
        self.current = None
        self._positions.clear()

    async def begin_at_end(self, consumer: AIOKafkaConsumer, partitions: set[TopicPartition]) -> None:
        """Where there is no position yet, begin behind what is there, and keep that as the position at once."""
        if not self._new_only:
            return
        fresh = [partition for partition in partitions if await consumer.committed(partition) is None]
        for partition, end in (await consumer.end_offsets(fresh)).items():
            consumer.seek(partition, end)
            self._positions[partition] = end
        await self.commit()

    async def _commit_if_due(self) -> None:
        if self._positions and time.monotonic() - self._committed_at >= _COMMIT_SECONDS:
            await self.commit()

    async def _open(self) -> AIOKafkaConsumer:
        partitions = await self._until_there()
        consumer = AIOKafkaConsumer(
            **self._kafka.client_options(),
            group_id=None if self._since is not None else self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_interval_ms=_LONGEST_MS,
            max_partition_fetch_bytes=256 * 1024,
        )
        await consumer.start()
        # aiokafka starts a task that cannot be stopped before it has run once: a CancelledError would escape
        await asyncio.sleep(0)
        self._consumer = consumer
        if self._since is not None:
            await self._begin_in_the_past(consumer, partitions, self._since)
        else:
            consumer.subscribe([self.topic], listener=_Listener(self, consumer))
        return consumer

    async def _begin_in_the_past(
        self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition], since: timedelta
    ) -> None:
        consumer.assign(partitions)
        begin = int((datetime.now(UTC) - since).timestamp() * 1000)
        ends = await consumer.end_offsets(partitions)
        for partition, first in (await consumer.offsets_for_times(dict.fromkeys(partitions, begin))).items():
            consumer.seek(partition, ends[partition] if first is None else first.offset)

    async def _until_there(self) -> list[TopicPartition]:
        """Wait for the topic: a consumer that asks for a missing topic makes the broker create it."""
        waited = False
        admin = AIOKafkaAdminClient(**self._kafka.client_options())
        try:
            await admin.start()
            while self.topic not in await admin.list_topics():
                if not waited:
                    log.warning("waiting for a topic", topic=self.topic, group=self._group)
                waited = True
                await asyncio.sleep(_TOPIC_SECONDS)
            [described] = await admin.describe_topics([self.topic])
        finally:
            await admin.close()
        return [TopicPartition(self.topic, partition["partition"]) for partition in described["partitions"]]


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """What a rebalance means for an agent's records."""

    def __init__(self, records: Records, consumer: AIOKafkaConsumer) -> None:
        self._records, self._consumer = records, consumer

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._records.commit()
        self._records.give_back()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self._records.begin_at_end(self._consumer, set(assigned))
