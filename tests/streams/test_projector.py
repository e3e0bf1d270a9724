"""The projector against real Kafka and PostgreSQL."""

from functools import partial

import asyncpg
import structlog

from streams.kafka import KafkaSettings
from tests.support import (
    body,
    counts,
    expected_digest,
    fresh_database,
    produce,
    project,
    stored_digest,
    until,
    worker,
)


async def test_facts_become_journeys(kafka_settings: KafkaSettings, database_url: str) -> None:
    bodies = [
        ("marketing", body(1)),
        ("marketing", body(2, "form_submitted", who={"anonymous_id": "d1", "email": "a@x.org"}, data={"form": "f"})),
        ("sales", body(3, "lead_accepted", who={"email": "A@x.org", "crm_lead": "l1"}, data={"owner": "rosa"})),
    ]
    await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(bodies)])
    counted = await project(kafka_settings, database_url, 3)
    assert counted == {"read": 3, "applied": 3, "duplicates": 0, "dead": 0, "holes": 0}
    assert await stored_digest(database_url) == expected_digest(bodies)


async def test_conflicting_bodies_give_the_same_winner_in_either_order(
    kafka_settings: KafkaSettings, database_url: str, postgres_server: str
) -> None:
    one, other = body(1, who={"user_id": "u1"}), body(1, who={"user_id": "u2"})
    later = body(2, who={"user_id": "u2", "anonymous_id": "d9"})
    digests, losers = set(), set()
    for suffix, order in (("a", [one, other]), ("b", [other, one])):
        settings = KafkaSettings(kafka_settings.bootstrap, topic_prefix=kafka_settings.topic_prefix + suffix)
        url = await fresh_database(postgres_server, settings.topic_prefix)
        # each in a batch of its own, so that the second meets the first in the archive
        for number, value in enumerate([order[0], later, order[1]], start=1):
            await produce(settings, [("marketing", 0, value)])
            counted = await project(settings, url, number)
        assert counted == {"read": 3, "applied": 2, "duplicates": 0, "dead": 1, "holes": 0}
        digests.add(await stored_digest(url))
        losers.add(await _dead(url))
        await _drop(postgres_server, settings.topic_prefix)
    assert len(digests) == 1
    assert len(losers) == 1
    [(reason, payload)] = losers
    assert reason == "conflict"
    winner = other if payload == one else one
    assert digests == {expected_digest([("marketing", winner), ("marketing", later)])}


async def test_the_same_event_in_other_words_is_a_duplicate(kafka_settings: KafkaSettings, database_url: str) -> None:
    plain = body(1)
    spaced = plain.replace(b'":', b'" : ')
    await produce(kafka_settings, [("marketing", 0, plain), ("marketing", 0, spaced), ("marketing", 1, plain)])
    counted = await project(kafka_settings, database_url, 3)
    await produce(kafka_settings, [("marketing", 2, spaced)])
    counted = await project(kafka_settings, database_url, 4)
    assert counted == {"read": 4, "applied": 1, "duplicates": 3, "dead": 0, "holes": 0}
    assert await stored_digest(database_url) == expected_digest([("marketing", plain)])


async def test_an_id_that_is_late_for_its_partition_and_known_is_a_duplicate(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    """An id that looks new is not looked up: the table's key finds it, and what is read again is careful."""
    bodies = [body(n, id=f"019b0000-000{n}-7000-8000-000000000000", who={"user_id": f"u{n}"}) for n in range(6)]
    places = [(1, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 4), (1, 2), (1, 5)]  # (partition, which event)
    connection = await asyncpg.connect(database_url)
    with structlog.testing.capture_logs() as logs:
        await produce(kafka_settings, [])
        async with worker(kafka_settings, database_url):
            for number, (partition, which) in enumerate(places, start=1):
                await produce(kafka_settings, [("marketing", partition, bodies[which])])
                await until(partial(_has_read, connection, number))
    counted = await counts(connection)
    await connection.close()
    assert [log["error"] for log in logs if log["event"] == "projector starts over"] == ["Stale"]
    assert counted == {"read": 8, "applied": 6, "duplicates": 2, "dead": 0, "holes": 0}
    assert await stored_digest(database_url) == expected_digest([("marketing", value) for value in bodies])


async def _has_read(connection: asyncpg.Connection, records: int) -> bool:
    return (await counts(connection))["read"] == records


async def _drop(server: str, name: str) -> None:
    admin = await asyncpg.connect(server)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def _dead(url: str) -> tuple[str, bytes]:
    connection = await asyncpg.connect(url)
    row = await connection.fetchrow("SELECT reason, payload FROM dead_letters")
    await connection.close()
    assert row is not None
    return row["reason"], row["payload"]
