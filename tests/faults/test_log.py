"""Faults 15 and 16: what the log has lost, or is not any more, is never passed over in silence."""

import asyncio

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.errors import TandemError
from store.commit import Hole
from store.leases import Lease
from streams.engine.positions import LogRecreated, LogTruncated, Position
from streams.kafka import KafkaSettings, TopicUnfit, ensure_topics, event_topics
from tests.support import body, produce, project, until, worker


def lease(next_offset: int) -> Lease:
    return Lease(1, "t", 0, "marketing", 1, next_offset, None)


class Record:
    def __init__(self, offset: int) -> None:
        self.offset, self.timestamp, self.value = offset, 0, b"x"


def test_a_missing_offset_is_recorded_as_a_hole() -> None:
    position, holes = Position.of(lease(3)), list[Hole]()
    assert position.accept(Record(3), holes)
    assert position.accept(Record(6), holes)
    assert holes == [Hole(1, 4, 6)]
    assert not position.accept(Record(6), holes)
    assert position.next_offset == 7


async def test_transaction_markers_are_holes_in_the_equation(kafka_settings: KafkaSettings, database_url: str) -> None:
    await ensure_topics(kafka_settings)
    topic = event_topics(kafka_settings)["marketing"]
    async with AIOKafkaProducer(
        **kafka_settings.client_options(), transactional_id=kafka_settings.topic_prefix
    ) as producer:
        for number in range(3):
            async with producer.transaction():
                await producer.send_and_wait(topic, body(number), partition=0)
    await produce(kafka_settings, [("marketing", 0, body(9))])
    counted = await project(kafka_settings, database_url, 7)
    assert counted == {"read": 7, "applied": 4, "duplicates": 0, "dead": 0, "holes": 3}


async def test_a_compacted_topic_is_refused(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    admin = AIOKafkaAdminClient(**kafka_settings.client_options())
    await admin.start()
    topic = event_topics(kafka_settings)["sales"]
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": "compact"})])
    await admin.close()

    async def refused() -> bool:  # the broker takes a moment to know its own settings
        try:
            await ensure_topics(kafka_settings)
        except TopicUnfit as error:
            return "compacted" in str(error)
        return False

    await until(refused)


async def test_retention_past_the_next_record_halts(kafka_settings: KafkaSettings, database_url: str) -> None:
    await produce(kafka_settings, [("marketing", 0, body(number)) for number in range(3)])
    await project(kafka_settings, database_url, 3)
    await produce(kafka_settings, [("marketing", 0, body(number)) for number in range(3, 8)])
    admin = AIOKafkaAdminClient(**kafka_settings.client_options())
    await admin.start()
    place = TopicPartition(event_topics(kafka_settings)["marketing"], 0)
    await admin.delete_records({place: RecordsToDelete(before_offset=5)})
    await admin.close()
    before = await _everything(database_url)
    await _halts(kafka_settings, database_url, LogTruncated)
    assert await _everything(database_url) == before


@pytest.mark.parametrize("again", [1, 3, 6])
async def test_a_recreated_topic_halts(kafka_settings: KafkaSettings, database_url: str, again: int) -> None:
    """Shorter than before, as long, and longer: only the witness tells the last two."""
    await produce(kafka_settings, [("marketing", 0, body(number)) for number in range(3)])
    await project(kafka_settings, database_url, 3)
    admin = AIOKafkaAdminClient(**kafka_settings.client_options())
    await admin.start()
    topic = event_topics(kafka_settings)["marketing"]
    await admin.delete_topics([topic])
    while topic in await admin.list_topics():  # noqa: ASYNC110 (the broker tells nobody)
        await asyncio.sleep(0.05)
    await admin.close()
    await produce(kafka_settings, [("marketing", 0, body(100 + number)) for number in range(again)])
    before = await _everything(database_url)
    await _halts(kafka_settings, database_url, LogRecreated)
    assert await _everything(database_url) == before


async def _halts(kafka: KafkaSettings, database_url: str, kind: type[TandemError]) -> None:
    async with worker(kafka, database_url) as task:
        with pytest.raises(kind):
            await asyncio.wait_for(asyncio.shield(task), 30)


async def _everything(database_url: str) -> list[object]:
    connection = await asyncpg.connect(database_url)
    found: list[object] = []
    for table in ("journeys", "identifiers", "events", "archive", "changes", "batches", "dead_letters"):
        found.append(sorted(map(repr, await connection.fetch(f"SELECT * FROM {table}"))))
    await connection.close()
    return found
