"""Whatever happens to a publisher, the topics say what the database says, each transition once."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from functools import partial
from unittest.mock import patch
from uuid import uuid4

import asyncpg
import pytest
import structlog
from aiokafka import AIOKafkaProducer

import streams.feed.publisher as publisher_module
from store.feed import read_head
from store.publications import AnotherPublisher, Published, move_published, read_published
from streams.kafka import KafkaSettings, event_topics, feed_topics
from tests.published import (
    assert_journeys,
    assert_transitions,
    crash_once,
    eventful_history,
    is_published,
    publisher,
    read_topic,
    tell,
)
from tests.support import produce, project, until, worker

KILLS = 20
SEED = 20_27


@pytest.fixture
async def connection(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """To a database whose feed has begun and is published from its first change on."""
    await produce(kafka_settings, [])
    await project(kafka_settings, database_url, 0)
    found = await asyncpg.connect(database_url)
    async with publisher(kafka_settings, database_url):
        await until(lambda: is_published(found, kafka_settings))
    yield found
    await found.close()


async def assert_all_is_told(kafka: KafkaSettings, connection: asyncpg.Connection) -> None:
    await until(lambda: is_published(connection, kafka))
    await assert_journeys(kafka, connection)
    await assert_transitions(kafka, connection)


async def send(kafka: KafkaSettings, history: list[tuple[str, bytes]], chance: random.Random) -> None:
    """Send in small steps, so that the worker commits many small batches."""
    topics = event_topics(kafka)
    async with AIOKafkaProducer(**kafka.client_options()) as producer:
        for start in range(0, len(history), 5):
            for owner, value in history[start : start + 5]:
                await producer.send_and_wait(topics[owner], value, partition=chance.randrange(kafka.partitions))
            await asyncio.sleep(0.01)


async def spawn(kafka: KafkaSettings, database_url: str) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "TANDEM_KAFKA": kafka.bootstrap,
        "TANDEM_TOPIC_PREFIX": kafka.topic_prefix,
        "TANDEM_DATABASE_URL": database_url,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from cli.main import main; main()", "publish"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _leads(connection: asyncpg.Connection) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
            "AND application_name = 'tandem-publisher' AND datname = current_database()"
        )
    )


@pytest.mark.slow
async def test_twenty_kills_under_load(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    name = feed_topics(kafka_settings).publisher
    history = eventful_history(KILLS * 150, SEED)
    in_flight = 0
    async with worker(kafka_settings, database_url) as working:
        for kill in range(KILLS):
            process = await spawn(kafka_settings, database_url)
            try:
                await until(lambda: _leads(connection))
                before = await read_published(connection, name)
                sending = asyncio.create_task(send(kafka_settings, history[kill * 150 : (kill + 1) * 150], chance))
                await until(partial(_moved, connection, name, before))
                await asyncio.sleep(chance.random() * 0.25)
                assert process.returncode is None, "the publisher ended by itself"
            finally:
                process.kill()
                await process.wait()
            in_flight += not await is_published(connection, kafka_settings)
            await sending
            await tell(database_url, kill * 25)
            assert not working.done()
        await until(lambda: _read(connection, len(history)))
        await tell(database_url, 600)
    async with publisher(kafka_settings, database_url):
        await assert_all_is_told(kafka_settings, connection)
    for topic in feed_topics(kafka_settings)[:2]:
        started = len(await read_topic(kafka_settings, topic, "read_uncommitted"))
        print(f"{topic}: {started - len(await read_topic(kafka_settings, topic))} records of transactions cut off")
    assert in_flight >= KILLS / 4, "too few kills came in the middle of something: the test would prove nothing"


async def _moved(connection: asyncpg.Connection, name: str, before: Published | None) -> bool:
    return await read_published(connection, name) != before


async def _read(connection: asyncpg.Connection, records: int) -> bool:
    return bool(await connection.fetchval("SELECT sum(next_offset) FROM partitions") == records)


async def test_crash_before_and_after_every_step(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    """Also with the transaction committed and its answer lost, and before the position is written in PostgreSQL."""
    steps = [
        *((AIOKafkaProducer, step) for step in ("begin_transaction", "send_offsets_to_transaction")),
        (AIOKafkaProducer, "commit_transaction"),
        (publisher_module, "move_published"),
    ]
    history = eventful_history(8 * 40, 12)
    points = [(target, step, after) for target, step in steps for after in (False, True)]
    for number, (target, step, after) in enumerate(points):
        piece = history[number * 40 : (number + 1) * 40]
        await produce(kafka_settings, [(owner, 0, value) for owner, value in piece])
        await project(kafka_settings, database_url, (number + 1) * 40)
        with crash_once(target, step, after) as crashed:
            async with publisher(kafka_settings, database_url):
                await assert_all_is_told(kafka_settings, connection)
        assert crashed == [step]


@pytest.mark.parametrize(("step", "calls"), [("commit_transaction", 2), ("send_offsets_to_transaction", 0)])
async def test_crash_in_a_snapshot(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection, step: str, calls: int
) -> None:
    """It begins again; nobody goes on from the middle of one."""
    await produce(kafka_settings, [(owner, 0, value) for owner, value in eventful_history(100, 13)])
    await project(kafka_settings, database_url, 100)
    await connection.execute("UPDATE projection SET feed_epoch = $1", uuid4())
    with (
        patch.object(publisher_module, "AT_ONCE", 7),
        crash_once(AIOKafkaProducer, step, after=True, calls=calls) as crashed,
    ):
        async with publisher(kafka_settings, database_url):
            await until(lambda: is_published(connection, kafka_settings))
    assert crashed
    await assert_journeys(kafka_settings, connection)


@pytest.mark.slow
async def test_cut_connections(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    """pg_terminate_backend again and again: the publisher goes on, and its lock is never in its own way."""
    chance, ended = random.Random(SEED), 0
    history = eventful_history(600, 14)
    async with publisher(kafka_settings, database_url) as task, worker(kafka_settings, database_url):
        sending = asyncio.create_task(send(kafka_settings, history, chance))
        while ended < 12:
            await asyncio.sleep(chance.random() * 0.2)
            ended += await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE application_name = 'tandem-publisher' AND datname = current_database()"
            )
            assert not task.done()
        await sending
        await until(lambda: _read(connection, len(history)))
        await assert_all_is_told(kafka_settings, connection)


async def test_a_standby_takes_over(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    history = eventful_history(120, 15)
    async with publisher(kafka_settings, database_url):
        async with publisher(kafka_settings, database_url):
            await produce(kafka_settings, [(owner, 0, value) for owner, value in history[:60]])
            await project(kafka_settings, database_url, 60)
            await assert_all_is_told(kafka_settings, connection)
        await produce(kafka_settings, [(owner, 0, value) for owner, value in history[60:]])
        await project(kafka_settings, database_url, 120)
        await assert_all_is_told(kafka_settings, connection)


async def _always(*_: object) -> bool:
    return True


@pytest.mark.slow
async def test_two_that_both_believe_they_lead(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    """The lock decides who should publish, the fences who can: here they are alone."""
    history, chance = eventful_history(300, 16), random.Random(SEED)
    with patch.object(publisher_module, "try_to_lead", _always), structlog.testing.capture_logs() as logs:
        async with publisher(kafka_settings, database_url):
            async with publisher(kafka_settings, database_url), worker(kafka_settings, database_url):
                await send(kafka_settings, history, chance)
                await until(lambda: _read(connection, len(history)))
            await until(lambda: is_published(connection, kafka_settings))
    await assert_journeys(kafka_settings, connection)
    await assert_transitions(kafka_settings, connection)
    fenced = [line["error"] for line in logs if line["event"] == "publisher starts over"]
    print(f"fenced: {fenced}")
    assert fenced, "neither was in the other's way: the test would prove nothing"


async def test_who_does_not_know_the_position_cannot_move_it(connection: asyncpg.Connection) -> None:
    head = await read_head(connection)
    assert head is not None
    first, second, third = (Published(head.epoch, seq) for seq in (1, 2, 3))
    await move_published(connection, "a", None, first)
    await move_published(connection, "a", first, second)
    for unknown in (None, first, Published(uuid4(), 2)):
        with pytest.raises(AnotherPublisher):
            await move_published(connection, "a", unknown, third)
    assert await read_published(connection, "a") == second


async def test_a_hint_wakes_the_publisher(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    """With a poll that never comes, NOTIFY is enough."""
    with patch.object(publisher_module, "_POLL_SECONDS", 600):
        async with publisher(kafka_settings, database_url):
            await until(lambda: _leads(connection))
            await produce(kafka_settings, [("marketing", 0, value) for _, value in eventful_history(1, 17)])
            await project(kafka_settings, database_url, 1)

            async def hinted() -> bool:
                await connection.execute("NOTIFY tandem_changes")
                return await is_published(connection, kafka_settings)

            await until(hinted)
            await connection.execute("NOTIFY tandem_changes")  # so that it sees that it is to stop
