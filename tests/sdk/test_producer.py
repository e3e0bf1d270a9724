"""The producer against a real broker: nothing is dropped, not even while the broker is away."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.embedded.kafka import start_kafka, stop_kafka
from deploy.embedded.process import free_port
from streams.kafka import KafkaSettings, ensure_topics, event_topics
from tandem import (
    AsyncProducer,
    BufferFull,
    DeliveryFailed,
    Identifier,
    InvalidEvent,
    Producer,
    Receipt,
    Undelivered,
    events,
)

WHO = [Identifier("email", "ada@example.org")]


async def read_all(kafka: KafkaSettings, topic: str) -> list[bytes]:
    """Every value of a topic."""
    places = [TopicPartition(topic, number) for number in range(kafka.partitions)]
    async with AIOKafkaConsumer(**kafka.client_options(), auto_offset_reset="earliest") as consumer:
        consumer.assign(places)
        missing = sum((await consumer.end_offsets(places)).values())
        found: list[bytes] = []
        while len(found) < missing:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [record.value for record in records]
        return found


@pytest.mark.slow
async def test_events_wait_for_a_broker_that_restarts(own_folder: Path) -> None:
    port = free_port()
    broker = start_kafka(own_folder / "kafka", port, own_folder / "kafka.log")
    kafka = KafkaSettings(bootstrap=broker.bootstrap, partitions=3)
    try:
        await ensure_topics(kafka)
        async with AsyncProducer(department="marketing", source="web", kafka=broker.bootstrap) as producer:
            receipts = [await producer.emit(events.LeadCaptured(), identities=WHO) for _ in range(50)]
            await producer.flush()
            await asyncio.to_thread(stop_kafka, broker)
            receipts += [await producer.emit(events.LeadCaptured(), identities=WHO) for _ in range(50)]
            broker = await asyncio.to_thread(start_kafka, own_folder / "kafka", port, own_folder / "kafka.log")
            await producer.flush()
            places = [receipt.result() for receipt in receipts]
        assert len({place.event_id for place in places}) == 100
        assert len(await read_all(kafka, event_topics(kafka)["marketing"])) == 100
    finally:
        stop_kafka(broker)


async def test_a_key_keeps_its_order_and_receipts_name_the_place(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    topic = event_topics(kafka_settings)["sales"]
    reports: list[tuple[str, Receipt | DeliveryFailed]] = []
    async with AsyncProducer(
        department="sales",
        source="crm",
        kafka=kafka_settings.bootstrap,
        topic_prefix=kafka_settings.topic_prefix,
        on_delivery=lambda id_, outcome: reports.append((id_, outcome)),
    ) as producer:
        sent = [await producer.emit("call_logged", identities=WHO, data={}) for _ in range(200)]
        await producer.flush()
    receipts = [one.result() for one in sent]
    assert {receipt.topic for receipt in receipts} == {topic}
    assert len({receipt.partition for receipt in receipts}) == 1
    offsets = [receipt.offset for receipt in receipts]
    assert offsets == sorted(offsets)
    assert len(reports) == 200


async def test_what_cannot_be_delivered_is_reported(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    producer = AsyncProducer(
        department="marketing", source="web", http=f"http://127.0.0.1:{free_port()}", delivery_timeout=0.5, max_events=4
    )
    await producer.start()
    answer = await producer.emit(events.LeadCaptured(), identities=WHO)
    with pytest.raises(DeliveryFailed):
        await answer
    assert len(producer.undelivered) == 1
    with pytest.raises(Undelivered):
        await producer.close()


def test_a_full_buffer_makes_the_caller_wait() -> None:
    producer = Producer(
        department="marketing", source="web", http=f"http://127.0.0.1:{free_port()}", delivery_timeout=1.0, max_events=1
    )
    producer.emit(events.LeadCaptured(), identities=WHO)
    with pytest.raises(BufferFull):
        producer.emit(events.LeadCaptured(), identities=WHO, timeout=0.05)
    with pytest.raises(Undelivered):
        producer.close()


async def test_errors_name_the_field(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    async with AsyncProducer(
        department="marketing", source="web", kafka=kafka_settings.bootstrap, topic_prefix=kafka_settings.topic_prefix
    ) as producer:
        with pytest.raises(InvalidEvent, match="url"):
            await producer.emit("page_viewed", identities=WHO, data={})
        with pytest.raises(InvalidEvent, match="identities"):
            await producer.emit(events.LeadCaptured(), identities=[])
