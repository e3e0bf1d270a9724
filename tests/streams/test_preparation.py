"""What the fold keeps in memory between batches."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from projections.journey.row import JourneyRow
from store.archive import LogRecord
from store.partitions import read_departments
from store.session import closing, open_engine_connection
from streams.engine import cache as cache_module
from streams.engine.effects import Effects
from streams.engine.look_ahead import LookAhead
from streams.engine.preparation import Preparation
from streams.engine.reader_process import BatchReader
from streams.kafka import KafkaSettings
from tests.laws.histories import long_hostile_history
from tests.support import RULES, body, expected_digest, produce, project, stored_digest

_EVENTS = 300


def preparing(
    connection: asyncpg.Connection, departments: dict[int, str]
) -> Callable[[int, int, bytes], Awaitable[Effects]]:
    """Folds one record (partition id, offset, value) after the other, each a batch; nothing is committed."""
    look_ahead = LookAhead(connection, BatchReader(RULES), departments)
    preparation = Preparation(cache_module.Cache(connection, RULES, None), None, departments)

    async def prepare(partition_id: int, offset: int, value: bytes) -> Effects:
        record = LogRecord(partition_id, offset, 0, None, value)
        return await preparation.prepare(await look_ahead.read([record], careful=False), None)

    return prepare


async def test_what_is_not_committed_yet_stays_in_memory(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the cache is: the database does not know it. Nothing is committed here."""
    monkeypatch.setattr(cache_module, "CACHED_JOURNEYS", 0)
    monkeypatch.setattr(cache_module, "CACHED_MOMENTS", 0)
    async with closing(await open_engine_connection(database_url)) as connection:
        prepare = preparing(connection, {1: "marketing"})

        async def rows(number: int, user: str) -> list[JourneyRow]:
            return (await prepare(1, number, body(number, who={"user_id": user}))).rows

        [_] = await rows(1, "u1")
        [_] = await rows(2, "u2")  # while the first batch is being committed
        [again] = await rows(3, "u1")
        assert (again.rev, again.events) == (2, 2)


async def test_hand_offs_that_are_as_they_were_are_not_written_again(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    u1, at = {"user_id": "u1"}, "2026-01-05T12:00:00Z"
    await produce(kafka_settings, [("marketing", 0, body(0, "lead_qualified", who=u1))])
    await project(kafka_settings, database_url, 1)
    async with closing(await open_engine_connection(database_url)) as connection:
        known = await read_departments(connection)
        of = {department: partition_id for partition_id, department in known.items()}
        prepare = preparing(connection, known)

        async def effects(number: int, department: str, value: bytes) -> tuple[int, int, int]:
            found = await prepare(of[department], number, value)
            return len(found.rows), len(found.with_handoffs), len(found.had_handoffs)

        for number in (10, 11):  # just loaded, and in memory
            assert await effects(number, "marketing", body(number, who=u1, occurred_at=at)) == (1, 0, 0)
        accepted = body(20, "lead_accepted", who=u1, occurred_at=at, data={"department": "rosa"})
        assert await effects(20, "sales", accepted) == (1, 1, 1)
        assert await effects(21, "marketing", body(21, "lead_qualified", who={"user_id": "u2"})) == (1, 1, 0)


async def test_a_cache_that_is_too_small_changes_nothing(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "CACHED_JOURNEYS", 3)
    monkeypatch.setattr(cache_module, "CACHED_MOMENTS", 8)
    monkeypatch.setattr("streams.engine.caution.BATCH_RECORDS", 16)
    history = long_hostile_history(_EVENTS, seed=11)
    await produce(kafka_settings, [(department, n % 3, value) for n, (department, value) in enumerate(history)])
    await project(kafka_settings, database_url, _EVENTS)
    assert await stored_digest(database_url) == expected_digest(history)
