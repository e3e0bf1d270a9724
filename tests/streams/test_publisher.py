"""The publisher: topics that say what the database says, whatever was published before."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import streams.feed.publisher as publisher_module
from projections.playbook.windows import EVERYTHING
from projections.views.feed import CAUSES, KINDS
from store.feed import Head, read_head
from store.partitions import PlaybookChanged
from store.publications import read_publication
from streams.feed.publisher import TransactionsRefused, publish
from streams.kafka import KafkaSettings, TopicUnfit, ensure_feed_topics, feed_topics
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
from tests.support import RULES, body, produce, project, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    found = await asyncpg.connect(database_url)
    yield found
    await found.close()


async def apply(kafka: KafkaSettings, database_url: str, history: list[tuple[str, bytes]], before: int = 0) -> None:
    """Produce and project a part of a history; `before` events were applied before."""
    await produce(kafka, [(owner, number % 3, value) for number, (owner, value) in enumerate(history)])
    await project(kafka, database_url, before + len(history))


async def test_the_topics_say_what_the_database_says(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    """Merges, splits and silence, also silence that later events deny; and no record but for a change."""
    history = eventful_history(400, 7)
    await apply(kafka_settings, database_url, [])
    async with publisher(kafka_settings, database_url):
        await until(lambda: is_published(connection, kafka_settings))
        await apply(kafka_settings, database_url, history[:200])
        await until(lambda: is_published(connection, kafka_settings))
        assert await tell(database_url, 150)
        await apply(kafka_settings, database_url, history[200:], 200)
        assert await tell(database_url, 600)
        await until(lambda: is_published(connection, kafka_settings))
    await assert_journeys(kafka_settings, connection)
    changes = await assert_transitions(kafka_settings, connection)
    assert {KINDS[change.kind] for change in changes} >= {"created", "changed", "merged", "split"}
    assert {CAUSES[change.cause] for change in changes} == {"event", "identity", "time"}


async def test_a_publisher_that_comes_late_tells_all_journeys(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    """What happened before the first start is in the journeys' topic; transitions begin with the next change."""
    await apply(kafka_settings, database_url, eventful_history(100, 8))
    async with publisher(kafka_settings, database_url):
        await until(lambda: is_published(connection, kafka_settings))
        await assert_journeys(kafka_settings, connection)
        assert await read_topic(kafka_settings, feed_topics(kafka_settings).transitions) == []
        await apply(kafka_settings, database_url, [("marketing", body(5_000, who={"user_id": "late"}))], 100)
        await until(lambda: is_published(connection, kafka_settings))
    [record] = await read_topic(kafka_settings, feed_topics(kafka_settings).transitions)
    assert record.headers == (("seq", b"%d" % await connection.fetchval("SELECT feed_seq FROM projection")),)


async def test_a_head_from_before_another_s_last_round_takes_nothing_back(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    """Whoever led before may publish until the new producer has started: what was read earlier is old."""
    await apply(kafka_settings, database_url, [])
    async with publisher(kafka_settings, database_url):
        await until(lambda: is_published(connection, kafka_settings))
        await apply(kafka_settings, database_url, eventful_history(60, 21))
        await until(lambda: is_published(connection, kafka_settings))
    real, heads = read_head, list[Head]()

    async def late(reader: asyncpg.Connection) -> Head | None:
        found = await real(reader)
        assert found is not None
        heads.append(found)
        return found._replace(seq=found.seq - 5) if len(heads) == 1 else found

    with patch.object(publisher_module, "read_head", late):
        async with publisher(kafka_settings, database_url):
            await until(lambda: _read_twice(heads))
            await until(lambda: is_published(connection, kafka_settings))
    await assert_transitions(kafka_settings, connection)


async def _read_twice(heads: list[Head]) -> bool:
    return len(heads) > 1


async def test_how_far_it_is(kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection) -> None:
    """What `tandem status` shows: the last change that is published, and how many wait."""
    name = feed_topics(kafka_settings).publisher
    await apply(kafka_settings, database_url, eventful_history(30, 18))
    assert await read_publication(connection, name) is None
    async with publisher(kafka_settings, database_url):
        await until(lambda: is_published(connection, kafka_settings))
    head = await connection.fetchval("SELECT feed_seq FROM projection")
    assert await read_publication(connection, name) == (head, 0)
    await connection.execute("UPDATE projection SET feed_seq = feed_seq + 5")
    assert await read_publication(connection, name) == (head, 5)
    await connection.execute("UPDATE projection SET feed_epoch = $1", uuid4())
    assert await read_publication(connection, name) == (head, head + 5)


async def test_another_playbook_is_refused(kafka_settings: KafkaSettings, database_url: str) -> None:
    """Its stages have other numbers."""
    await apply(kafka_settings, database_url, [])
    rules = replace(RULES, digest="another one")
    with pytest.raises(PlaybookChanged):
        await publish(kafka_settings, database_url, rules, lambda _: EVERYTHING, asyncio.Event(), lambda: 0)


@pytest.mark.parametrize("fault", ["pruned", "new epoch", "ahead of the head"])
async def test_where_the_feed_does_not_go_on_all_journeys_are_told(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection, fault: str
) -> None:
    """Journeys that are no more get tombstones, though the change that said so is not in the feed any more."""
    history = eventful_history(200, 9)
    async with publisher(kafka_settings, database_url):
        await apply(kafka_settings, database_url, history[:100])
        await until(lambda: is_published(connection, kafka_settings))
    await apply(kafka_settings, database_url, history[100:], 100)
    gone = await connection.fetchval("SELECT count(*) FROM changes WHERE kind IN (2, 3)")
    assert gone > 0
    if fault == "pruned":
        await connection.execute("DELETE FROM changes WHERE seq <= (SELECT feed_seq - 10 FROM projection)")
    elif fault == "new epoch":
        await connection.execute("UPDATE projection SET feed_epoch = $1", uuid4())
    else:  # a backup was restored
        await connection.execute("DELETE FROM changes")
        await connection.execute("UPDATE projection SET feed_seq = 1")
    async with publisher(kafka_settings, database_url):
        await until(lambda: is_published(connection, kafka_settings))
        await assert_journeys(kafka_settings, connection)
        await apply(kafka_settings, database_url, [("marketing", body(5_000, who={"user_id": "late"}))], 200)
        await until(lambda: is_published(connection, kafka_settings))
    await assert_journeys(kafka_settings, connection)


async def test_a_new_epoch_is_seen_while_publishing(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    await apply(kafka_settings, database_url, eventful_history(50, 10))
    async with publisher(kafka_settings, database_url):
        await until(lambda: is_published(connection, kafka_settings))
        await connection.execute(
            "DELETE FROM journeys WHERE journey_id = (SELECT min(journey_id::text)::uuid FROM journeys)"
        )
        await connection.execute("UPDATE projection SET feed_epoch = $1", uuid4())
        await until(lambda: is_published(connection, kafka_settings))
    await assert_journeys(kafka_settings, connection)


async def test_a_journeys_topic_that_was_made_anew_is_filled_again(
    kafka_settings: KafkaSettings, database_url: str, connection: asyncpg.Connection
) -> None:
    """Also when that is cut off; and no transition is lost or told twice by it."""
    topic = feed_topics(kafka_settings).journeys
    await apply(kafka_settings, database_url, [])
    async with publisher(kafka_settings, database_url):
        await until(lambda: is_published(connection, kafka_settings))
        await apply(kafka_settings, database_url, eventful_history(100, 11))
        await until(lambda: is_published(connection, kafka_settings))
    admin = AIOKafkaAdminClient(**kafka_settings.client_options())
    await admin.start()
    await admin.delete_topics([topic])
    await until(lambda: _lacks(admin, topic))
    await admin.close()
    await apply(kafka_settings, database_url, [("marketing", body(5_000, who={"user_id": "late"}))], 100)
    with patch.object(publisher_module, "AT_ONCE", 7), crash_once(publisher_module, "send", False, 3) as crashed:
        async with publisher(kafka_settings, database_url):
            await until(lambda: is_published(connection, kafka_settings))
    assert crashed
    await assert_journeys(kafka_settings, connection)
    await assert_transitions(kafka_settings, connection)


async def _lacks(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


async def test_topics_that_would_lose_records_are_refused(kafka_settings: KafkaSettings) -> None:
    topics = feed_topics(kafka_settings)
    admin = AIOKafkaAdminClient(**kafka_settings.client_options())
    await admin.start()
    await admin.create_topics([NewTopic(topics.journeys, 1, 1, topic_configs={"cleanup.policy": "delete"})])
    await until(lambda: _has(admin, topics.journeys))
    await admin.close()
    with pytest.raises(TopicUnfit, match="set compact"):
        await ensure_feed_topics(kafka_settings)


async def _has(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic in await admin.list_topics()


async def test_a_broker_without_transactions_is_refused(kafka_settings: KafkaSettings, database_url: str) -> None:
    with pytest.raises(TransactionsRefused):
        await publish(
            replace(kafka_settings, idempotent=False),
            database_url,
            RULES,
            lambda _: EVERYTHING,
            asyncio.Event(),
            lambda: 0,
        )


async def test_the_page_s_subscriber_runs_as_written(
    kafka: str, database_url: str, connection: asyncpg.Connection
) -> None:
    settings = KafkaSettings(bootstrap=kafka)
    await apply(settings, database_url, [("marketing", body(1, "lead_captured", who={"email": f"{uuid4()}@x.org"}))])
    [journey_id] = [str(row[0]) for row in await connection.fetch("SELECT journey_id FROM journeys")]
    async with publisher(settings, database_url):
        await until(lambda: is_published(connection, settings))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "docs/snippets/subscribe_kafka.py",
        env={**os.environ, "TANDEM_KAFKA": kafka},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while (await process.stdout.readline()).decode().split() != [journey_id, "known"]:
                assert process.returncode is None
    finally:
        process.kill()
        await process.communicate()
