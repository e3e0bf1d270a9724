"""Switch: a projection takes the place of the live one while events go on coming, and can be switched back."""

import asyncio
import json
from collections.abc import Iterable

import asyncpg
import pytest

from audit.from_kafka import replay_from_kafka
from audit.past import Point
from audit.rebuild import rebuild
from audit.switch import switch
from audit.verify import verify
from projections.memory import digest_of_workspace, fold_events
from projections.playbook.model import InvalidPlaybook, Playbook
from projections.playbook.rules import Rules, compile_rules
from projections.playbook.strict_yaml import read_model
from projections.text import time_text
from schemas.decode import decode
from schemas.times import DAY
from store.handoffs import tell_alarms
from store.partitions import PlaybookChanged
from store.rebuild import AnotherPlaybook, NoSuchProjection, projections_beside
from store.session import open_engine_connection
from store.silence import tell_silence
from store.switch import NotSwitchable
from streams.engine.worker import run
from streams.kafka import KafkaSettings
from tests.laws.histories import long_hostile_history
from tests.plans import EAGER, agree
from tests.support import RULES, body, counts, expected_digest, produce, project, stored_digest, until, worker

SEED = 99


def _parts() -> list[list[tuple[str, bytes]]]:
    """A hostile history in four parts: with rulings, releases, quarantine; the joint playbook changes in the third."""
    history = long_hostile_history(800, SEED)
    parts = [history[:300], history[300:500], history[500:650], history[650:]]
    parts[2] = [*parts[2], *agree(1, "2026-01-05T00:00:00+00:00")]
    return parts


def _records(part: Iterable[tuple[str, bytes]]) -> list[tuple[str, int, bytes | None]]:
    return [(owner, n % 3, value) for n, (owner, value) in enumerate(part)]


async def _is_sound(database_url: str) -> bool:
    return (await verify(database_url, RULES, lambda *_: None)).differences == []


async def test_it_takes_the_place_with_all_that_came_meanwhile(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    parts = _parts()
    one, other = body(1, who={"user_id": "a"}), body(1, who={"user_id": "b"})  # one id, two bodies
    await produce(kafka_settings, [("marketing", 0, one), *_records(parts[0])])
    await project(kafka_settings, database_url, 1 + len(parts[0]))
    await rebuild(database_url, RULES, "next", lambda *_: None)
    await produce(kafka_settings, [("marketing", 1, other), *_records(parts[1]), *_records(parts[2])])
    read = 2 + sum(len(part) for part in parts[:3])
    await project(kafka_settings, database_url, read)
    connection = await asyncpg.connect(database_url)
    await _settle(kafka_settings, database_url, connection)
    before = await connection.fetchrow("SELECT feed_epoch, feed_seq FROM projection")
    live = await stored_digest(database_url)

    switched = await switch(database_url, RULES, "next", lambda *_: None)
    assert (switched.projection, switched.caught_up > 300) == ("next", True)
    after = await connection.fetchrow("SELECT feed_epoch, feed_seq FROM projection")
    await _settle(kafka_settings, database_url, connection)
    assert await stored_digest(database_url) == live
    assert await _is_sound(database_url)
    assert before is not None
    assert after is not None
    assert (after["feed_epoch"] != before["feed_epoch"], after["feed_seq"]) == (True, before["feed_seq"])
    [(name, done, total)] = await projections_beside(connection)
    assert (name, done) == ("next", total)

    await produce(kafka_settings, _records(parts[3]))
    await project(kafka_settings, database_url, read + len(parts[3]))
    assert await _is_sound(database_url)
    live = await stored_digest(database_url)
    await switch(database_url, RULES, "next", lambda *_: None)
    await _settle(kafka_settings, database_url, connection)
    assert await stored_digest(database_url) == live, "what was live is brought up to date and switched back"
    assert await _is_sound(database_url)
    assert live == _expected([one, other], parts)
    await connection.close()


def _expected(bodies: list[bytes], parts: list[list[tuple[str, bytes]]]) -> str:
    from streams.engine.conflicts import precedes

    winner = bodies[0] if precedes(bodies[0], bodies[1]) else bodies[1]
    return expected_digest([("marketing", winner), *[one for part in parts for one in part]])


async def test_events_go_on_coming_while_it_switches(kafka_settings: KafkaSettings, database_url: str) -> None:
    parts = _parts()
    history = [one for part in parts for one in part]
    await produce(kafka_settings, _records(parts[0]))
    await project(kafka_settings, database_url, len(parts[0]))
    await rebuild(database_url, RULES, "next", lambda *_: None)
    connection = await asyncpg.connect(database_url)

    async def send() -> None:
        for start in range(len(parts[0]), len(history), 25):
            await produce(kafka_settings, _records(history[start : start + 25]))

    async def all_read() -> bool:
        return (await counts(connection))["read"] == len(history)

    async with worker(kafka_settings, database_url), worker(kafka_settings, database_url):
        sending = asyncio.create_task(send())
        for _ in range(3):
            await switch(database_url, RULES, "next", lambda *_: None)
        await sending
        await until(all_read)
        await until(lambda: _swept(connection))
    assert await stored_digest(database_url) == expected_digest(history)
    assert await _is_sound(database_url)
    await connection.close()


async def test_an_exchange_that_a_reader_stands_in_the_way_of_is_tried_again(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    """The reader has one table and wants another; the exchange has that one and wants the first: a deadlock."""
    history = long_hostile_history(50, SEED)
    await produce(kafka_settings, _records(history))
    await project(kafka_settings, database_url, len(history))
    await rebuild(database_url, RULES, "next", lambda *_: None)
    reader, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)

    async def exchange_waits() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'identifiers'::regclass"
        return bool(await watcher.fetchval(waiting))

    await reader.execute("SET deadlock_timeout = '1min'")  # PostgreSQL undoes the exchange, not the reader
    async with reader.transaction():
        await reader.fetch("SELECT FROM identifiers LIMIT 1")
        switching = asyncio.create_task(switch(database_url, RULES, "next", lambda *_: None))
        await until(exchange_waits)
        await reader.fetch("SELECT FROM journeys LIMIT 1")
        assert not switching.done()
    assert (await switching).projection == "next"
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    await until(lambda: _is_positive(watcher, deadlocks))
    assert await stored_digest(database_url) == expected_digest(history)
    await reader.close()
    await watcher.close()


async def _is_positive(connection: asyncpg.Connection, query: str) -> bool:
    return bool(await connection.fetchval(query) > 0)


async def _settle(kafka: KafkaSettings, database_url: str, connection: asyncpg.Connection) -> None:
    """Let all stored journeys follow the terms agreed."""
    async with worker(kafka, database_url):
        await until(lambda: _swept(connection))


async def _swept(connection: asyncpg.Connection) -> bool:
    return await connection.fetchval("SELECT swept_until FROM projection") is None


async def test_what_time_has_done_is_not_told_again(kafka_settings: KafkaSettings, database_url: str) -> None:
    def at(day: int) -> int:
        return 1_767_225_600_000_000 + day * DAY  # from 2026-01-01

    facts: list[tuple[str, int, bytes | None]] = []
    for n in range(30):
        who, time = {"user_id": f"u{n}"}, time_text(at(n % 10))
        facts.append(("marketing", 0, body(n, "lead_qualified", who=who, occurred_at=time)))
        if n % 2:
            won = {"amount": 1, "currency": "EUR"}
            facts.append(("sales", 1, body(100 + n, "opportunity_won", who=who, version=2, occurred_at=time, data=won)))
            facts.append(("sales", 2, body(200 + n, "usage_reported", who=who, occurred_at=time)))
    await produce(kafka_settings, facts)
    await project(kafka_settings, database_url, len(facts))
    connection = await open_engine_connection(database_url)
    assert await _tick(connection, at(120)) > 0, "time has done something"
    await rebuild(database_url, RULES, "next", lambda *_: None)
    for _ in range(2):  # and back
        await switch(database_url, RULES, "next", lambda *_: None)
        assert await _tick(connection, at(120)) == 0
        assert (await project(kafka_settings, database_url, len(facts)))["read"] == len(facts)
    await _tick(connection, at(400))
    told = await connection.fetch("SELECT detail FROM changes WHERE kind = 5")
    names = [json.dumps(json.loads(row["detail"]), sort_keys=True) for row in told]
    assert len(names) == len(set(names)), "each thing that happened to a hand-off is told once"
    await connection.close()


async def _tick(connection: asyncpg.Connection, at: int) -> int:
    """Tell what time has done. Returns of how many."""
    told = 0
    for tell in (tell_silence, tell_alarms):
        while found := await tell(connection, at):
            told += found
    return told


async def test_another_playbook(kafka_settings: KafkaSettings, database_url: str) -> None:
    history = long_hostile_history(200, SEED)
    await produce(kafka_settings, _records(history))
    await project(kafka_settings, database_url, len(history))
    eager = compile_rules(read_model(EAGER, Playbook, "playbook", InvalidPlaybook))
    await rebuild(database_url, eager, "eager", lambda *_: None)
    with pytest.raises(AnotherPlaybook, match="--playbook"):
        await switch(database_url, RULES, "eager", lambda *_: None)
    async with worker(kafka_settings, database_url) as working:
        await switch(database_url, eager, "eager", lambda *_: None)
        more = body(90_000, "form_submitted", who={"user_id": "new"}, data={"form": "f"})
        await produce(kafka_settings, [("marketing", 0, more)])
        with pytest.raises(PlaybookChanged):
            await working
    await _project_with(eager, kafka_settings, database_url, len(history) + 1)
    events = [decode(value, owner) for owner, value in [*history, ("marketing", more)]]
    assert await stored_digest(database_url) == digest_of_workspace(fold_events(events, eager))


async def _project_with(rules: Rules, kafka: KafkaSettings, database_url: str, records: int) -> None:
    connection, stop = await asyncpg.connect(database_url), asyncio.Event()
    working = asyncio.create_task(run(kafka, database_url, rules, stop))

    async def read() -> bool:
        return working.done() or (await counts(connection))["read"] >= records

    await until(read)
    stop.set()
    await working
    await connection.close()


async def test_what_cannot_be_switched(kafka_settings: KafkaSettings, database_url: str) -> None:
    await produce(kafka_settings, [("marketing", 0, body(n)) for n in range(20)])
    await project(kafka_settings, database_url, 20)
    with pytest.raises(NoSuchProjection):
        await switch(database_url, RULES, "nothing", lambda *_: None)
    await rebuild(database_url, RULES, "past", lambda *_: None, point=Point(at=2**60))
    with pytest.raises(NotSwitchable, match="shows the past"):
        await switch(database_url, RULES, "past", lambda *_: None)
    await replay_from_kafka(kafka_settings, database_url, RULES, "logged", lambda *_: None)
    with pytest.raises(NotSwitchable, match="was read from Kafka"):
        await switch(database_url, RULES, "logged", lambda *_: None)
    await rebuild(database_url, RULES, "half", lambda *_: None)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE half.rebuild SET events = 1")
    with pytest.raises(NotSwitchable, match="not finished"):
        await switch(database_url, RULES, "half", lambda *_: None)
    await connection.close()
