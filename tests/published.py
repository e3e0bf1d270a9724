"""What tests of the publisher share: histories with everything in them, and the topics against the database."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import asyncpg
import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from projections.playbook.terms import DAY
from projections.playbook.windows import EVERYTHING
from projections.views.feed import FeedChange, change_view, feed_journey_view
from store.feed import read_changes, read_head, read_journeys
from store.publications import read_published
from store.session import open_engine_connection
from store.silence import tell_silence
from streams.feed.publisher import publish
from streams.kafka import KafkaSettings, feed_topics
from tests.laws.histories import long_hostile_history
from tests.support import RULES, body

#: All that silence does in the histories is over by the time the tests read, and by that of any clock.
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
START = int(EPOCH.timestamp()) * 1_000_000
NOW = START + 600 * DAY


@asynccontextmanager
async def publisher(
    kafka: KafkaSettings, database_url: str, clock: Callable[[], int] = lambda: NOW
) -> AsyncIterator["asyncio.Task[None]"]:
    """A publisher in this process, which must not end by itself."""
    stop = asyncio.Event()
    task = asyncio.create_task(publish(kafka, database_url, RULES, lambda _: EVERYTHING, stop, clock))
    try:
        yield task
    finally:
        stop.set()
        await task


class Crash(ConnectionError):
    """The publisher's connection dies here."""


@contextmanager
def crash_once(target: Any, step: str, after: bool, calls: int = 0) -> Iterator[list[str]]:
    """The call of a step after so many calls fails before it is done, or right after: then the server has done it."""
    do, passed, crashed = getattr(target, step), list[str](), list[str]()

    async def once(*arguments: Any, **more: Any) -> Any:
        if crashed or len(passed) < calls:
            passed.append(step)
            return await do(*arguments, **more)
        crashed.append(step)
        if after:
            await do(*arguments, **more)
        raise Crash(step)

    with patch.object(target, step, once):
        yield crashed


def eventful_history(size: int, seed: int) -> list[tuple[str, bytes]]:
    """Merges, splits, and customers of the first month, who spoke up later, too; the same for the same seed.

    What was said after the first month comes in the second half.
    """
    chance = random.Random(seed)
    return [
        _customer(chance, size + number, 30 if number < size / 2 else 300)
        if chance.random() < 0.4
        else (owner, value.replace(b"2026-01", b"2020-01"))
        for number, (owner, value) in enumerate(long_hostile_history(size, seed))
    ]


def _customer(chance: random.Random, number: int, days: int) -> tuple[str, bytes]:
    type_ = chance.choice(["opportunity_won", "usage_reported"])
    data = {"amount": 5, "currency": "EUR"} if type_ == "opportunity_won" else {}
    at = EPOCH + timedelta(days=chance.randrange(days))
    who = {"user_id": f"u{chance.randrange(30)}"}
    version = 2 if data else 1
    return "sales", body(number, type_, who=who, version=version, data=data, occurred_at=at.isoformat())


async def tell(database_url: str, day: int) -> int:
    """Let the feed tell what silence has done up to a day of the history. Returns of how many journeys."""
    connection = await open_engine_connection(database_url)
    try:
        told = 0
        while at_once := await tell_silence(connection, START + day * DAY):
            told += at_once
        return told
    finally:
        await connection.close()


async def is_published(connection: asyncpg.Connection, kafka: KafkaSettings) -> bool:
    """Whether all changes are published."""
    published, head = await read_published(connection, feed_topics(kafka).publisher), await read_head(connection)
    return published is not None and head is not None and published == (head.epoch, head.seq)


async def read_topic(kafka: KafkaSettings, topic: str, isolation: str = "read_committed") -> list[ConsumerRecord]:
    """All records of a topic, those of a partition in their order; waits for transactions that are being ended."""
    places = [TopicPartition(topic, number) for number in range(kafka.partitions)]
    async with _consumer(kafka, places, "read_uncommitted") as consumer:
        ends = await consumer.end_offsets(places)
    records = list[ConsumerRecord]()
    async with _consumer(kafka, places, isolation) as consumer:
        while any([await consumer.position(place) < ends[place] for place in places]):
            for found in (await consumer.getmany(timeout_ms=500)).values():
                records += found
    return records


@asynccontextmanager
async def _consumer(
    kafka: KafkaSettings, places: list[TopicPartition], isolation: str
) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**kafka.client_options(), isolation_level=isolation, auto_offset_reset="earliest")
    async with consumer:
        await asyncio.sleep(0)  # see streams/feed/topics.py
        consumer.assign(places)
        yield consumer


async def assert_journeys(kafka: KafkaSettings, connection: asyncpg.Connection, at: int = NOW) -> None:
    """The topic's last values by key are the stored journeys, and nothing more."""
    found: dict[str, Any] = {}
    places: dict[str, int] = {}
    for record in await read_topic(kafka, feed_topics(kafka).journeys):
        key = record.key.decode()
        assert places.setdefault(key, record.partition) == record.partition
        found[key] = None if record.value is None else orjson.loads(record.value)
    journeys = await read_journeys(connection, UUID(int=0), 1_000_000)
    expected = {
        str(journey.summary.journey_id): msgspec.to_builtins(feed_journey_view(journey, RULES, at))
        for journey in journeys
    }
    live = {key: value for key, value in found.items() if value is not None}
    assert live.keys() == expected.keys()
    assert [(live[key], expected[key]) for key in live if live[key] != expected[key]] == []


async def assert_transitions(kafka: KafkaSettings, connection: asyncpg.Connection) -> list[FeedChange]:
    """The topic has each change of a stage once, in order. Returns all changes."""
    changes = await read_changes(connection, 0, 1_000_000)
    expected = {change.seq: change for change in changes if change.stage_from != change.stage_to}
    found: dict[int, ConsumerRecord] = {}
    last = dict[int, int]()
    for record in await read_topic(kafka, feed_topics(kafka).transitions):
        seq = int(dict(record.headers)["seq"])
        assert seq not in found, f"change {seq} is there twice"
        assert last.get(record.partition, 0) < seq, "out of order"
        found[seq] = record
        last[record.partition] = seq
    assert found.keys() == expected.keys()
    for seq, record in found.items():
        told = orjson.loads(record.value) | {"journey": None}
        assert told == msgspec.to_builtins(change_view(expected[seq], None, RULES))
        assert record.key.decode() == told["journey_id"]
    return changes
