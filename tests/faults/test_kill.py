"""kill -9 of the worker at random moments under load: afterwards the projection is what was produced, to the record."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from streams.kafka import KafkaSettings, ensure_topics, event_topics
from tests.support import body, counts, expected_digest, project, stored_digest, until

KILLS = 20
SEED = 20_26


def spawn(kafka: KafkaSettings, database_url: str) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "TANDEM_KAFKA": kafka.bootstrap,
        "TANDEM_TOPIC_PREFIX": kafka.topic_prefix,
        "TANDEM_DATABASE_URL": database_url,
    }
    return subprocess.Popen(
        [sys.executable, "-c", "from cli.main import main; main()", "work"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def send(kafka: KafkaSettings, producer: AIOKafkaProducer, records: list[tuple[str, int, bytes]]) -> None:
    """Send in small steps, so that the worker gets its share of what is still coming."""
    topics = event_topics(kafka)
    for start in range(0, len(records), 50):
        sent = [
            await producer.send(topics[owner], value, key=b"k", partition=number)
            for owner, number, value in records[start : start + 50]
        ]
        await asyncio.gather(*sent)


def burst(chance: random.Random, bodies: list[tuple[str, bytes]]) -> list[tuple[str, int, bytes]]:
    """A thousand new events, some of which tie their user to one shared device, and fifty old ones."""
    fresh = []
    for n in range(1000):
        who = {"user_id": f"u{chance.randrange(300)}"} | ({"anonymous_id": "d1"} if chance.random() < 0.02 else {})
        fresh.append(("marketing", body(len(bodies) + n, who=who)))
    bodies += fresh
    return [(owner, chance.randrange(3), value) for owner, value in (*fresh, *chance.sample(bodies, 50))]


@pytest.mark.slow
async def test_twenty_kills_under_load(kafka_settings: KafkaSettings, database_url: str) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    await ensure_topics(kafka_settings)
    bodies: list[tuple[str, bytes]] = []
    sent = in_flight = 0
    connection = await asyncpg.connect(database_url)

    async def read() -> int:
        return (await counts(connection))["read"]

    async with AIOKafkaProducer(**kafka_settings.client_options()) as producer:
        for _ in range(KILLS):
            before = await read()
            process = spawn(kafka_settings, database_url)
            try:
                records = burst(chance, bodies)
                await send(kafka_settings, producer, records[:50])
                await until(partial(_more, read, before))  # it works
                sending = asyncio.create_task(send(kafka_settings, producer, records[50:]))
                sent += len(records)
                await asyncio.sleep(chance.random() * 0.06)
                assert process.poll() is None, "the worker ended by itself"
            finally:
                process.kill()
                process.wait()
            in_flight += not sending.done()
            await sending
    await project(kafka_settings, database_url, sent)
    found = await counts(connection)
    assert found == {"read": sent, "applied": len(bodies), "duplicates": sent - len(bodies), "dead": 0, "holes": 0}
    assert await connection.fetchval("SELECT count(*) FROM events") == len(bodies)
    assert await stored_digest(database_url) == expected_digest(bodies)
    assert in_flight >= KILLS / 4, "too few kills came in the middle of something: the test would prove nothing"
    await connection.close()


async def _more(read: Callable[[], Awaitable[int]], than: int) -> bool:
    return await read() > than
