"""Bad input on the real path: dead letters with the original bytes, neighbours applied, the worker alive."""

import asyncpg

from streams.kafka import KafkaSettings, event_topics
from tests.schemas.test_decode import REJECTED
from tests.support import body, expected_digest, produce, project, stored_digest


async def test_every_reason_keeps_its_bytes_and_costs_no_neighbour(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    nobody = body(900, who={"user_id": "null"})
    bad = [*(value for _, _, value in REJECTED), nobody]
    good = [body(number) for number in range(len(bad) + 1)]
    records: list[tuple[str, int, bytes | None]] = []
    for neighbour, value in zip(good, bad, strict=False):
        records += [("marketing", 0, neighbour), ("marketing", 0, value)]
    records.append(("marketing", 0, good[-1]))
    await produce(kafka_settings, records)
    counted = await project(kafka_settings, database_url, len(records))
    assert counted == {
        "read": len(records),
        "applied": len(good),
        "duplicates": 0,
        "dead": len(bad),
        "holes": 0,
    }
    assert await stored_digest(database_url) == expected_digest([("marketing", value) for value in good])
    connection = await asyncpg.connect(database_url)
    letters = await connection.fetch("SELECT record_offset, reason, payload FROM dead_letters ORDER BY record_offset")
    await connection.close()
    expected = [*(reason for reason, _, _ in REJECTED), "missing_identity"]
    assert [letter["reason"] for letter in letters] == expected
    assert [letter["payload"] for letter in letters] == bad
    assert [letter["record_offset"] for letter in letters] == list(range(1, 2 * len(bad), 2))


async def test_poison_first_middle_last_and_three_in_one_batch(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    """Fault 17."""
    poison = b"\xff"
    values = [poison, body(1), poison, poison, poison, body(2), poison]
    await produce(kafka_settings, [("marketing", 0, value) for value in values])
    counted = await project(kafka_settings, database_url, len(values))
    assert counted == {"read": 7, "applied": 2, "duplicates": 0, "dead": 5, "holes": 0}
    topic = event_topics(kafka_settings)["marketing"]
    connection = await asyncpg.connect(database_url)
    offsets = await connection.fetch(
        "SELECT record_offset FROM dead_letters JOIN partitions USING (partition_id) WHERE topic = $1", topic
    )
    await connection.close()
    assert sorted(row["record_offset"] for row in offsets) == [0, 2, 3, 4, 6]
