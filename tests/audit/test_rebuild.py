"""A rebuild from the archive equals the live projection, also if it was killed in between."""

from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from audit import rebuild as rebuild_module
from audit.digest import projection_digest
from audit.rebuild import rebuild
from audit.switch import switch
from audit.verify import verify, verify_from_kafka
from store import rebuild as store_module
from store.rebuild import BeingBuilt, NoSuchProjection, UnusableName, claimed, commit_rebuilt, drop
from streams.engine.rate_limit import RateLimit
from streams.kafka import KafkaSettings
from tests.laws.histories import long_hostile_history
from tests.support import RULES, body, expected_digest, produce, project, stored_digest

_EVENTS = 600


async def test_a_rebuild_of_a_hostile_history_equals_the_live_projection(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rulings, releases, quarantine and conflicts in it; cut off after every few blocks, and begun again."""
    history = long_hostile_history(_EVENTS, seed=6)
    one, other = body(1, who={"user_id": "a"}), body(1, who={"user_id": "b"})  # one id, two bodies
    conflict = [("marketing", 0, one), ("marketing", 1, other)]
    records = [(owner, n % 3, value) for n, (owner, value) in enumerate(history)]
    await produce(kafka_settings, conflict[:1])
    await project(kafka_settings, database_url, 1)
    await produce(kafka_settings, [conflict[1], *records])
    await project(kafka_settings, database_url, 2 + _EVENTS)
    monkeypatch.setattr(rebuild_module, "_CHUNK_EVENTS", 40)
    monkeypatch.setattr(rebuild_module, "_TOUCHED", 10)
    kills = _die_at_every(monkeypatch, commits=4)
    heard: list[tuple[int, int]] = []
    while True:
        try:
            digest = await rebuild(database_url, RULES, "beside", lambda done, total: heard.append((done, total)))
            break
        except _Killed:
            pass
    print(f"{len(kills)} kills")
    assert len(kills) >= 3
    assert digest.sha256 == await stored_digest(database_url)
    assert heard[-1][0] == heard[-1][1] == len(await _archived(database_url))
    assert all(before[0] <= after[0] for before, after in pairwise(heard) if after[0] > before[0])
    assert await _rows(database_url, "beside") == await _rows(database_url, "public")
    assert len((await _rows(database_url, "beside", "rebuild"))["rebuild"]) == 1, (
        "there is one place that it goes on from"
    )


async def test_a_rebuild_disturbs_nothing_and_can_be_dropped(kafka_settings: KafkaSettings, database_url: str) -> None:
    """Its name may be a word of SQL."""
    bodies = [("marketing", body(n, who={"user_id": f"u{n % 5}"})) for n in range(40)]
    await produce(kafka_settings, [(owner, 0, value) for owner, value in bodies])
    await project(kafka_settings, database_url, len(bodies))
    before = await _rows(database_url, "public", "changes", "archive", "events", "batches", "partitions", "projection")
    digest = await rebuild(database_url, RULES, "check", lambda *_: None)
    assert digest.journeys == 5
    assert digest.sha256 == expected_digest(bodies)
    assert before == await _rows(
        database_url, "public", "changes", "archive", "events", "batches", "partitions", "projection"
    )
    connection = await asyncpg.connect(database_url)
    await drop(connection, "check")
    assert (await projection_digest(connection)).sha256 == digest.sha256
    assert not await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'check'")
    await connection.close()


@pytest.mark.parametrize("name", ["public", "pg_x", "a b", "A", "x;drop", "", "information_schema"])
async def test_a_projection_cannot_have_any_name(database_url: str, name: str) -> None:
    with pytest.raises(UnusableName):
        await rebuild(database_url, RULES, name, lambda *_: None)


async def test_somebody_elses_schema_is_left_alone(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE SCHEMA warehouse; CREATE TABLE warehouse.stock (item text)")
    with pytest.raises(UnusableName, match="not a projection"):
        await rebuild(database_url, RULES, "warehouse", lambda *_: None)
    with pytest.raises(NoSuchProjection):
        await drop(connection, "warehouse")
    assert await connection.fetchval("SELECT to_regclass('warehouse.journeys')") is None
    await connection.close()


async def test_at_a_pace_it_goes_on_evenly_and_writes_now_and_then(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = long_hostile_history(_EVENTS, seed=7)
    await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(history)])
    await project(kafka_settings, database_url, _EVENTS)
    monkeypatch.setattr(rebuild_module, "_PACED_SECONDS", 0.5)
    heard, places = [0], list[int]()

    async def commit(writer: asyncpg.Connection, **written: Any) -> None:
        places.append(written["position"].events)
        await commit_rebuilt(writer, **written)

    monkeypatch.setattr(rebuild_module, "commit_rebuilt", commit)
    found = await rebuild(database_url, RULES, "beside", lambda done, _: heard.append(done), RateLimit(300))
    assert found.sha256 == await stored_digest(database_url)
    assert max(after - before for before, after in pairwise(heard)) < 400, "a second's, and the rest of a block"
    assert len(places) >= 3
    assert places == sorted({*places})


@pytest.mark.parametrize("name", ["beside", "verification"])
async def test_one_command_at_a_time_works_on_a_projection(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    await produce(kafka_settings, [("marketing", 0, body(1))])
    await project(kafka_settings, database_url, 1)
    works: tuple[Coroutine[Any, Any, object], ...]
    if name == "beside":
        await rebuild(database_url, RULES, name, lambda *_: None)
        works = (rebuild(database_url, RULES, name, _quietly), switch(database_url, RULES, name, _quietly))
    else:
        by_log = verify_from_kafka(kafka_settings, database_url, RULES, _quietly)
        works = (verify(database_url, RULES, _quietly), by_log)
    monkeypatch.setattr(store_module, "_PATIENCE", "50ms")
    async with claimed(database_url, name):
        for work in works:
            with pytest.raises(BeingBuilt, match=f"another command builds, switches or drops the projection '{name}'"):
                await work
    assert (await verify(database_url, RULES, lambda *_: None)).sound


def _quietly(done: int, total: int) -> None:
    pass


class _Killed(Exception):
    pass


def _die_at_every(monkeypatch: pytest.MonkeyPatch, *, commits: int) -> list[int]:
    """Let every so many-th commit fail: before it, what was read ahead and folded is lost."""
    count, kills = 0, list[int]()

    async def commit(writer: asyncpg.Connection, **written: Any) -> None:
        nonlocal count
        count += 1
        if count % commits == 0:
            kills.append(count)
            raise _Killed
        await commit_rebuilt(writer, **written)

    monkeypatch.setattr(rebuild_module, "commit_rebuilt", commit)
    return kills


async def _archived(database_url: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database_url)
    found = await connection.fetch("SELECT generate_series(1, events) FROM archive")
    await connection.close()
    return list(found)


async def _rows(database_url: str, schema: str, *tables: str) -> dict[str, list[asyncpg.Record]]:
    """Journeys without their count of writes, who is called what, what people decided, who is in quarantine."""
    connection = await asyncpg.connect(database_url)
    found = {
        "journeys": await connection.fetch(
            f"SELECT journey_id, component, stage, stage_since, due, reached, first_seen, last_seen, events, channel, "
            f"campaign, owner, account, accounts, stays, score, value, state FROM {schema}.journeys ORDER BY 1"
        ),
        "identifiers": await connection.fetch(f"SELECT * FROM {schema}.identifiers ORDER BY 1"),
        "rulings": await connection.fetch(f"SELECT id, source, occurred_at, keys FROM {schema}.rulings ORDER BY 1, 2"),
        "releases": await connection.fetch(f"SELECT key, released_at FROM {schema}.releases ORDER BY 1, 2"),
        "quarantine": await connection.fetch(f"SELECT key, type, value FROM {schema}.quarantine ORDER BY 1"),
        "victims": await connection.fetch(f"SELECT * FROM {schema}.victims ORDER BY 1, 2"),
    }
    for table in tables:
        found[table] = await connection.fetch(f"SELECT t::text FROM {schema}.{table} t ORDER BY 1")
    await connection.close()
    return found
