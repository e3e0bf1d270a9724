"""What tests of agents share: agents in this process, and records in and out of their topics."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.agents.files import AgentsFile
from streams.agents.host import run
from streams.agents.settings import AgentSettings
from streams.kafka import KafkaSettings, create_missing


@asynccontextmanager
async def agents(
    settings: AgentSettings, *registers: Any, port: int | None = None
) -> AsyncIterator["asyncio.Task[None]"]:
    """Agents in this process, while inside."""
    stop = asyncio.Event()
    files = [AgentsFile(f"file-{number}", register) for number, register in enumerate(registers)]
    task = asyncio.create_task(run(settings, files, port, stop))
    try:
        yield task
    finally:
        stop.set()
        await task


async def make_topics(kafka: KafkaSettings, *names: str) -> None:
    """The topics that others make."""
    await create_missing(kafka, {f"{kafka.topic_prefix}.{name}": {} for name in names})


async def produce_to(kafka: KafkaSettings, name: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Send (key, value) records to `<prefix>.<name>`, in order."""
    async with AIOKafkaProducer(**kafka.client_options()) as producer:
        topic = f"{kafka.topic_prefix}.{name}"
        await asyncio.gather(*[await producer.send(topic, value, key=key) for key, value in records])


async def all_of(kafka: KafkaSettings, name: str) -> list[Any]:
    """All records of `<prefix>.<name>`, in order per partition."""
    consumer = AIOKafkaConsumer(**kafka.client_options(), isolation_level="read_committed")
    await consumer.start()
    try:
        topic = f"{kafka.topic_prefix}.{name}"
        await consumer.topics()
        partitions = [TopicPartition(topic, number) for number in range(kafka.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
        return found
    finally:
        await consumer.stop()


async def values_of(kafka: KafkaSettings, name: str) -> list[Any]:
    """The JSON values of `<prefix>.<name>`."""
    return [orjson.loads(record.value) for record in await all_of(kafka, name) if record.value is not None]


async def committed(kafka: KafkaSettings, name: str, agent: str) -> int:
    """How many records of `<prefix>.<name>` the agent's position has passed."""
    topic, group = f"{kafka.topic_prefix}.{name}", f"{kafka.topic_prefix}-agents-{agent}"
    consumer = AIOKafkaConsumer(**kafka.client_options(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(kafka.partitions)])
        return sum([await consumer.committed(partition) or 0 for partition in consumer.assignment()])
    finally:
        await consumer.stop()


def transition(number: int, *, journey: int = 0, to: str = "opportunity", **more: Any) -> tuple[bytes, bytes]:
    """A change of stage as the publisher writes it, with its key."""
    journey_id = str(UUID(int=journey))
    change = {
        "seq": number,
        "at": f"2026-11-25T19:20:{number % 60:02}.000000Z",
        "kind": "changed",
        "cause": "event",
        "journey_id": journey_id,
        "related": None,
        "stage_from": "engaged",
        "stage_to": to,
        "journey": view(journey, stage=to),
    }
    return journey_id.encode(), orjson.dumps(change | more)


def view(number: int, *, stage: str = "known", consent: dict[str, bool] | None = None, **more: Any) -> dict[str, Any]:
    """A journey as the feed shows it."""
    known = [{"type": "email", "value": f"p{number}@example.com"}, {"type": "anonymous_id", "value": f"d{number}"}]
    return {
        "journey_id": str(UUID(int=number)),
        "version": 3,
        "stage": stage,
        "stage_since": "2026-11-25T19:20:00.000000Z",
        "first_seen": "2026-11-25T19:00:00.000000Z",
        "last_seen": "2026-11-25T19:20:00.000000Z",
        "channel": "ads",
        "campaign": "spring",
        "owner": None,
        "account": None,
        "score": 30,
        "value": {},
        "identifiers": known,
        "consent": consent or {},
        **more,
    }
