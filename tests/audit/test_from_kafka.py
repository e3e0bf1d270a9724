"""Replay from Kafka: the log read again gives the live projection, however often it is interrupted."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from audit.digest import ProjectionDigest
from audit.from_kafka import LogIncomplete, replay_from_kafka
from audit.rebuild import rebuild
from audit.verify import verify_from_kafka
from store.partitions import PlaybookChanged
from store.rebuild import UnusableName, drop, projections_beside
from streams.engine.rate_limit import RateLimit
from streams.kafka import KafkaSettings, event_topics
from tests.laws.histories import long_hostile_history
from tests.plans import agree
from tests.support import RULES, body, counts, expected_digest, produce, project, stored_digest

SEED = 77
STRICTER = replace(RULES, digest="0" * 64)


def _history() -> list[tuple[str, bytes]]:
    return [*long_hostile_history(600, SEED), *agree(1, "2026-01-05T00:00:00+00:00")]


@pytest.fixture
async def database(kafka_settings: KafkaSettings, database_url: str) -> str:
    """A hostile history with duplicates, a conflict across partitions, a playbook change, and poison."""
    records = [(owner, n % 3, value) for n, (owner, value) in enumerate([*_history(), *_history()[:50]])]
    conflict = [("marketing", n, body(800, who={"user_id": f"u{n}"})) for n in (0, 1)]
    poison = [("sales", 0, b"no event"), ("marketing", 1, None), ("joint", 2, b'{"id": 1}')]
    await produce(kafka_settings, [*records, *conflict, *poison])
    await project(kafka_settings, database_url, len(records) + 5)
    return database_url


async def test_the_log_read_again_gives_the_live_projection(kafka_settings: KafkaSettings, database: str) -> None:
    live = await stored_digest(database)
    told: list[tuple[int, int]] = []
    replayed = await replay_from_kafka(kafka_settings, database, RULES, "again", lambda *so_far: told.append(so_far))
    rebuilt = await rebuild(database, RULES, "archived", lambda *_: None)
    assert live == replayed.sha256 == rebuilt.sha256
    assert told[-1][0] == told[-1][1] == 658, "all records, duplicates and poison too"
    connection = await asyncpg.connect(database)
    before = await counts(connection)
    await connection.execute("SET search_path = again")
    assert await counts(connection) == before, "law 4 again"
    await connection.execute("RESET search_path")
    assert [one[0] for one in await projections_beside(connection)] == ["again", "archived"]
    await drop(connection, "again")
    await connection.close()
    assert await stored_digest(database) == live


async def test_it_goes_on_where_it_was_interrupted(kafka_settings: KafkaSettings, database: str) -> None:
    for _ in range(5):
        slowly, begun = _slowly(kafka_settings, database)
        await begun.wait()
        slowly.cancel()
        await asyncio.gather(slowly, return_exceptions=True)
    # what comes meanwhile is not in it
    await produce(kafka_settings, [("marketing", 0, body(900_000))])
    found = await replay_from_kafka(kafka_settings, database, RULES, "again", lambda *_: None)
    assert found.sha256 == await stored_digest(database)
    with pytest.raises(PlaybookChanged):
        await replay_from_kafka(kafka_settings, database, STRICTER, "again", lambda *_: None)


def _slowly(kafka: KafkaSettings, database_url: str) -> tuple["asyncio.Task[ProjectionDigest]", asyncio.Event]:
    """A replay, and when it is told how far it is."""
    begun = asyncio.Event()
    work = replay_from_kafka(kafka, database_url, RULES, "again", lambda *_: begun.set(), RateLimit(300))
    return asyncio.create_task(work), begun


async def test_verify_compares_with_the_log(kafka_settings: KafkaSettings, database: str) -> None:
    assert (await verify_from_kafka(kafka_settings, database, RULES, lambda *_: None)).differences == []
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE dead_letters SET payload = 'x' WHERE reason = 'not_json'")
    first = "(SELECT journey_id FROM journeys ORDER BY 1 LIMIT 1)"
    await connection.execute(f"UPDATE journeys SET score = score + 1 WHERE journey_id = {first}")
    found = await verify_from_kafka(kafka_settings, database, RULES, lambda *_: None)
    assert [one.table for one in found.differences] == ["journeys", "dead_letters"]
    assert await projections_beside(connection) == []
    await connection.close()


async def test_a_log_that_has_lost_its_beginning_is_refused(kafka_settings: KafkaSettings, database: str) -> None:
    place = TopicPartition(event_topics(kafka_settings)["marketing"], 1)
    admin = AIOKafkaAdminClient(**kafka_settings.client_options())
    await admin.start()
    await admin.delete_records({place: RecordsToDelete(before_offset=5)})
    await admin.close()
    with pytest.raises(LogIncomplete, match="replay with --from-archive"):
        await replay_from_kafka(kafka_settings, database, RULES, "again", lambda *_: None)
    assert (await rebuild(database, RULES, "archived", lambda *_: None)).sha256 == await stored_digest(database)
    with pytest.raises(UnusableName):
        await replay_from_kafka(kafka_settings, database, RULES, "public", lambda *_: None)
    assert expected_digest([]) != await stored_digest(database)
