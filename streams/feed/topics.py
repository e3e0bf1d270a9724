"""The feed's side of Kafka: transactions that carry records and position together, and what the topics hold."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CoordinatorNotAvailableError, IllegalOperation
from aiokafka.structs import OffsetAndMetadata

from schemas.errors import TandemError
from store.publications import Published
from streams.feed.records import Record
from streams.kafka import FeedTopics, KafkaSettings

_START_SECONDS = 30
_TRANSACTION_SECONDS = 25
_MIB = 1024 * 1024


class TransactionLost(TandemError):
    """The broker has ended a transaction that was not ready.

    Nothing to do: the publisher starts over from its position.
    """


@asynccontextmanager
async def transactional_producer(kafka: KafkaSettings, name: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose start has fenced all earlier ones of this name, and ended their transactions.

    Raises what aiokafka raises, and TimeoutError.
    """
    producer = AIOKafkaProducer(
        **kafka.client_options(),
        transactional_id=name,
        # Readers of committed records wait for an open transaction; for that of a dead publisher at most so long.
        transaction_timeout_ms=(_TRANSACTION_SECONDS + 5) * 1000,
        request_timeout_ms=10_000,
        max_batch_size=_MIB,
        max_request_size=16 * _MIB,
    )
    try:
        async with asyncio.timeout(_START_SECONDS):
            await producer.start()
        yield producer
    finally:
        await _discard(producer)


async def _discard(producer: AIOKafkaProducer) -> None:
    """Stop a producer at once: stop() alone first sends what is queued, and waits for a lost broker."""
    sending = producer._sender.sender_task
    if sending is not None:
        sending.cancel()
    with suppress(TimeoutError):
        await asyncio.wait_for(producer.stop(), 5)


async def send(
    producer: AIOKafkaProducer,
    topics: FeedTopics,
    journeys: Iterable[Record] = (),
    transitions: Iterable[Record] = (),
    published: Published | None = None,
) -> None:
    """One transaction: records of both topics, and the position where there is a new one.

    After an error the outcome is unknown: discard the producer, start another one and read the position. Raises
    TransactionLost, TimeoutError, and what aiokafka raises.
    """
    try:
        async with asyncio.timeout(_TRANSACTION_SECONDS):
            await producer.begin_transaction()
            sent = [await _send(producer, topics.journeys, record) for record in journeys]
            sent += [await _send(producer, topics.transitions, record) for record in transitions]
            await asyncio.gather(*sent)  # the commit would go through without those that were refused
            if published is not None:
                position = OffsetAndMetadata(published.seq, str(published.epoch))
                await producer.send_offsets_to_transaction({_place(topics): position}, topics.publisher)
            await producer.commit_transaction()
    except (IllegalOperation, AssertionError) as error:  # how aiokafka reports a transaction that has failed meanwhile
        raise TransactionLost(f"{error}: another publisher has started, or the transaction took too long") from error


async def _send(producer: AIOKafkaProducer, topic: str, record: Record) -> "asyncio.Future[object]":
    headers = [("seq", b"%d" % record.seq)]
    sent: asyncio.Future[object] = await producer.send(
        topic, record.value, key=str(record.journey_id).encode(), headers=headers
    )
    sent.add_done_callback(_have_seen)
    return sent


def _have_seen(sent: "asyncio.Future[object]") -> None:
    """One error of a transaction is enough: asyncio would log those of all its records."""
    if not sent.cancelled():
        sent.exception()


async def committed(kafka: KafkaSettings, topics: FeedTopics) -> Published | None:
    """The position that was committed with the last transaction; None where there is none."""
    place = _place(topics)
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        async with asyncio.timeout(_START_SECONDS):
            await admin.start()
            while True:
                try:
                    offsets = await admin.list_consumer_group_offsets(topics.publisher, partitions=[place])
                except CoordinatorNotAvailableError:  # a new cluster creates its topic for offsets only now
                    await asyncio.sleep(0.1)
                    continue
                if place in offsets:  # without an answer for the partition, the coordinator is not ready
                    break
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
    return Published(UUID(offsets[place].metadata), offsets[place].offset) if offsets[place].offset >= 0 else None


async def places_of(producer: AIOKafkaProducer, topic: str) -> list[TopicPartition]:
    """All partitions of a topic."""
    return [TopicPartition(topic, number) for number in sorted(await producer.partitions_for(topic))]


def _place(topics: FeedTopics) -> TopicPartition:
    """What the position is committed for; its offset is a number of the feed."""
    return TopicPartition(topics.transitions, 0)


async def is_untouched(kafka: KafkaSettings, places: list[TopicPartition]) -> bool:
    """Whether the partitions of a topic have never held a record."""
    return not any((await _ends(kafka, places)).values())


async def live_keys(kafka: KafkaSettings, places: list[TopicPartition]) -> set[UUID]:
    """The journeys that the partitions of a compacted topic have a value for, by their committed records.

    Waits for transactions that are being ended.
    """
    keys = set[UUID]()
    ends = await _ends(kafka, places)
    async with _reading(kafka, places, "read_committed") as consumer:
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    (keys.discard if record.value is None else keys.add)(UUID(record.key.decode()))
    return keys


async def _ends(kafka: KafkaSettings, places: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Where partitions end; one that reads committed records would see them end before an open transaction."""
    async with _reading(kafka, places, "read_uncommitted") as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
        return ends


@asynccontextmanager
async def _reading(
    kafka: KafkaSettings, places: list[TopicPartition], isolation: str
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer at the beginning of partitions."""
    consumer = AIOKafkaConsumer(
        **kafka.client_options(),
        isolation_level=isolation,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    try:
        async with asyncio.timeout(_START_SECONDS):
            await consumer.start()
        # aiokafka starts a task that cannot be stopped before it has run once: a CancelledError would escape
        await asyncio.sleep(0)
        consumer.assign(places)
        yield consumer
    finally:
        await consumer.stop()
