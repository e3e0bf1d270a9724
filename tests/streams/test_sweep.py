"""A playbook that is agreed while journeys are stored: they follow it, page by page, whatever happens meanwhile."""

import uuid
from functools import partial
from typing import Any

import asyncpg
import msgspec
import pytest

from audit.rebuild import rebuild
from schemas.times import DAY
from store import commit as commit_module
from store.proposals import move_sweep
from streams.engine import work_session
from streams.kafka import KafkaSettings
from tests.plans import TEXT, agree, at_micros
from tests.support import RULES, body, expected_digest, produce, project, stored_digest, swept, until, worker

_NOW = 1_767_225_600_000_000 + 100 * DAY
_SHORTER = TEXT.replace("of: usage_reported, days: 60", "of: usage_reported, days: 1").replace(
    "  - name: known\n", "  - name: curious\n    when: {events: [page_viewed]}\n  - name: known\n"
)


def _customers(count: int) -> list[tuple[str, bytes]]:
    """People who bought and have used what they bought once; the n-th n hours after the first."""
    found = []
    for n in range(count):
        at = _NOW - 30 * DAY + n * 3_600_000_000
        for k, (type_, data) in enumerate(
            [("opportunity_won", {"amount": 5, "currency": "EUR"}), ("usage_reported", {})]
        ):
            event: dict[str, Any] = {
                "id": str(uuid.UUID(int=n * 2 + k + 1)),
                "type": type_,
                "version": 2 - k,
                "source": "crm",
                "occurred_at": at_micros(at),
                "identities": [{"type": "user_id", "value": f"u{n}"}],
                "data": data,
            }
            found.append(("sales", msgspec.json.encode(event)))
    return found


async def _read(connection: asyncpg.Connection, records: int) -> bool:
    return bool(await connection.fetchval("SELECT sum(next_offset) FROM partitions") == records)


async def test_stored_journeys_follow_the_terms_agreed(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crashes in the middle of the sweep, and events meanwhile: the digest is that of the fold, the feed is a chain."""
    monkeypatch.setattr(work_session, "_SWEPT_AT_ONCE", 7)
    monkeypatch.setattr(work_session, "_IDLE_PAGES", 1)
    first, later = _customers(60), [("marketing", body(1_000 + n, who={"user_id": f"u{n}"})) for n in range(30)]
    plan = agree(1, at_micros(_NOW - 20 * DAY), _SHORTER)
    await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(first)])
    await project(kafka_settings, database_url, len(first))
    crashes = _crash_every(monkeypatch, pages=3)
    await produce(kafka_settings, [(owner, 0, value) for owner, value in plan])
    await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(later)])
    await project(kafka_settings, database_url, len(first) + len(plan) + len(later))
    connection = await asyncpg.connect(database_url)
    async with worker(kafka_settings, database_url):
        await until(lambda: swept(connection))
    assert crashes[0] >= 2
    assert await stored_digest(database_url) == expected_digest([*first, *plan, *later])
    assert await connection.fetchval("SELECT count(*) FROM journeys WHERE due IS NOT NULL") == 60
    await _check_chain(connection)
    await connection.close()


async def test_two_workers_and_a_rebuild_agree(kafka_settings: KafkaSettings, database_url: str) -> None:
    first, plan = _customers(300), agree(1, at_micros(_NOW - 20 * DAY), _SHORTER)
    second = agree(10, at_micros(_NOW - 10 * DAY), TEXT)
    everything = [*first, *plan, *second]
    connection = await asyncpg.connect(database_url)
    async with worker(kafka_settings, database_url), worker(kafka_settings, database_url):
        produced = 0
        for part in (first, plan, second):
            await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(part)])
            produced += len(part)
            if part is first:  # journeys that no later event touches: only the sweep can bring them up to date
                await until(partial(_read, connection, produced))

        async def done() -> bool:
            return await _read(connection, len(everything)) and await swept(connection)

        await until(done)
    assert await stored_digest(database_url) == expected_digest(everything)
    assert (await rebuild(database_url, RULES, "beside", lambda *_: None)).sha256 == await stored_digest(database_url)
    await _check_chain(connection)
    await connection.close()


def _crash_every(monkeypatch: pytest.MonkeyPatch, pages: int) -> list[int]:
    """Every so many pages of the sweep fail before their end. Returns how often, counting."""
    move, found = move_sweep, [0, 0]

    async def failing(connection: asyncpg.Connection, swept: Any) -> bool:
        found[1] += 1
        if found[1] % pages == 0:
            found[0] += 1
            raise ConnectionResetError("a crash")
        return await move(connection, swept)

    monkeypatch.setattr(commit_module, "move_sweep", failing)
    return found


async def _check_chain(connection: asyncpg.Connection) -> None:
    """Each journey's changes lead from one stage to the next, and the last one to the stored stage."""
    rows = await connection.fetch(
        "SELECT journey_id, stage_from, stage_to FROM changes WHERE detail IS NULL ORDER BY seq"
    )
    stages: dict[uuid.UUID, int] = {}
    for journey_id, before, after in rows:
        assert stages.get(journey_id) == before
        stages[journey_id] = after
    told = {r["journey_id"]: r["stage"] for r in await connection.fetch("SELECT journey_id, stage FROM announced")}
    stored = {r["journey_id"]: r["stage"] for r in await connection.fetch("SELECT journey_id, stage FROM journeys")}
    assert stages == stored | told
