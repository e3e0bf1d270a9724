"""Verify: whatever is changed behind the projector's back is found and named; and nothing else is."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from audit import rebuild as rebuild_module
from audit.rebuild import fold_archive, rebuild
from audit.verify import Verdict, verify
from store.rebuild import AnotherPlaybook, commit_rebuilt, projections_beside
from streams.engine import cache as cache_module
from streams.kafka import KafkaSettings
from tests.laws.histories import long_hostile_history
from tests.plans import agree
from tests.support import RULES, body, counts, expected_digest, produce, project

SEED = 11


@pytest.fixture
async def database(kafka_settings: KafkaSettings, database_url: str) -> str:
    """A history with merges, rulings, quarantine, hand-offs and a playbook change, dead letters and duplicates."""
    history = [*long_hostile_history(400, SEED), *agree(1, "2026-01-05T00:00:00+00:00")]
    for n in range(20):
        at = f"2026-01-{n % 9 + 1:02}T00:00:00Z"
        history.append(("marketing", body(5_000 + n, "lead_qualified", who={"user_id": f"u{n}"}, occurred_at=at)))
    records = [(owner, n % 3, value) for n, (owner, value) in enumerate([*history, *history[:30]])]
    await produce(kafka_settings, [*records, ("sales", 0, b"no event"), ("marketing", 1, None)])
    await project(kafka_settings, database_url, len(records) + 2)
    return database_url


async def _verify(database_url: str) -> Verdict:
    found = await verify(database_url, RULES, lambda *_: None)
    connection = await asyncpg.connect(database_url)
    assert await projections_beside(connection) == [], "what was built for it is gone"
    await connection.close()
    return found


async def test_what_was_projected_is_sound(database: str) -> None:
    found = await _verify(database)
    assert found.differences == []
    assert found.journeys > 20
    assert found.sha256 == expected_digest(
        [
            *long_hostile_history(400, SEED),
            *agree(1, "2026-01-05T00:00:00+00:00"),
            *(
                (
                    "marketing",
                    body(
                        5_000 + n,
                        "lead_qualified",
                        who={"user_id": f"u{n}"},
                        occurred_at=f"2026-01-{n % 9 + 1:02}T00:00:00Z",
                    ),
                )
                for n in range(20)
            ),
        ]
    )


async def _flip_a_state(connection: asyncpg.Connection, chance: random.Random) -> str:
    rows = await connection.fetch("SELECT journey_id, state FROM journeys ORDER BY 1")
    row = chance.choice(rows)
    state = bytearray(row["state"])
    state[chance.randrange(len(state))] ^= 1 << chance.randrange(8)
    await connection.execute("UPDATE journeys SET state = $2 WHERE journey_id = $1", row["journey_id"], bytes(state))
    return str(row["journey_id"])


async def _change_a_stage(connection: asyncpg.Connection, chance: random.Random) -> str:
    row = chance.choice(await connection.fetch("SELECT journey_id FROM journeys ORDER BY 1"))
    await connection.execute("UPDATE journeys SET stage = (stage + 1) % 5 WHERE journey_id = $1", row["journey_id"])
    return str(row["journey_id"])


async def _delete_a_journey(connection: asyncpg.Connection, chance: random.Random) -> str:
    row = chance.choice(await connection.fetch("SELECT journey_id FROM journeys ORDER BY 1"))
    await connection.execute("DELETE FROM journeys WHERE journey_id = $1", row["journey_id"])
    return str(row["journey_id"])


async def _move_an_identifier(connection: asyncpg.Connection, chance: random.Random) -> str:
    row = chance.choice(await connection.fetch("SELECT key FROM identifiers ORDER BY 1"))
    await connection.execute("UPDATE identifiers SET journey_id = gen_random_uuid() WHERE key = $1", row["key"])
    return str(row["key"])


async def _close_a_handoff(connection: asyncpg.Connection, chance: random.Random) -> str:
    row = chance.choice(await connection.fetch("SELECT handoff_id FROM handoffs ORDER BY 1"))
    await connection.execute("UPDATE handoffs SET touched_at = 1 WHERE handoff_id = $1", row["handoff_id"])
    return str(row["handoff_id"])


async def _invent_a_ruling(connection: asyncpg.Connection, chance: random.Random) -> str:
    row = await connection.fetchrow(
        "INSERT INTO rulings (id, source, occurred_at, joined, keys, batch_id) "
        "VALUES (gen_random_uuid(), 'x', 1, true, ARRAY[gen_random_uuid(), gen_random_uuid()], 1) RETURNING id"
    )
    assert row is not None
    return str(row["id"])


async def _damage_the_archive(connection: asyncpg.Connection, chance: random.Random) -> str:
    row = chance.choice(await connection.fetch("SELECT bucket, batch_id, payload FROM archive ORDER BY 1, 2"))
    payload = bytearray(row["payload"])
    payload[len(payload) // 2] ^= 255
    await connection.execute(
        "UPDATE archive SET payload = $3 WHERE bucket = $1 AND batch_id = $2",
        row["bucket"],
        row["batch_id"],
        bytes(payload),
    )
    return ""


async def _delete_a_block(connection: asyncpg.Connection, chance: random.Random) -> str:
    row = chance.choice(await connection.fetch("SELECT bucket, batch_id FROM archive ORDER BY 1, 2"))
    await connection.execute("DELETE FROM archive WHERE bucket = $1 AND batch_id = $2", *row)
    return ""


async def _forget_a_dead_letter(connection: asyncpg.Connection, chance: random.Random) -> str:
    await connection.execute(
        "DELETE FROM dead_letters WHERE record_offset = (SELECT min(record_offset) FROM dead_letters)"
    )
    return ""


Damage = Callable[[asyncpg.Connection, random.Random], Awaitable[str]]


@pytest.mark.parametrize(
    "damage",
    [
        *(_flip_a_state, _change_a_stage, _delete_a_journey, _move_an_identifier, _close_a_handoff, _invent_a_ruling),
        *(_damage_the_archive, _delete_a_block, _forget_a_dead_letter),
    ],
    ids=lambda damage: damage.__name__.strip("_"),
)
async def test_whatever_was_changed_is_found_and_named(database: str, damage: Damage) -> None:
    connection = await asyncpg.connect(database)
    for seed in range(3):
        key = await damage(connection, random.Random(seed))
        found = await _verify(database)
        assert not found.sound, seed
        assert key in {"", *(one.key for one in found.differences)}, found.differences
        assert all(one.what for one in found.differences)
    await connection.close()


async def test_what_comes_meanwhile_is_counted_and_not_compared(
    kafka_settings: KafkaSettings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To journeys that there were, and to a new one; all else is compared."""
    connection = await asyncpg.connect(database)
    read = (await counts(connection))["read"]

    async def fold_and_go_on(*args: Any, **named: Any) -> None:
        await fold_archive(*args, **named)
        await produce(
            kafka_settings,
            [("marketing", 0, body(6_000 + n, who={"user_id": user})) for n, user in enumerate(("u0", "u1", "new"))],
        )
        await project(kafka_settings, database, read + 3)

    monkeypatch.setattr("audit.verify.fold_archive", fold_and_go_on)
    found = await _verify(database)
    assert found.differences == []
    assert found.meanwhile >= 3
    monkeypatch.undo()
    assert (await _verify(database)).meanwhile == 0
    await connection.close()


@pytest.mark.parametrize("limit", ["_MOST_TOUCHED", "_MOST_HELD"])
async def test_it_writes_as_memory_runs_short_and_not_before(
    database: str, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    written = 0

    async def commit(writer: asyncpg.Connection, **rows: Any) -> None:
        nonlocal written
        written += 1
        await commit_rebuilt(writer, **rows)

    monkeypatch.setattr(rebuild_module, "commit_rebuilt", commit)
    assert (await _verify(database)).sound
    assert written == 2, "the joint events, and all else"
    monkeypatch.setattr(rebuild_module, "_CHUNK_EVENTS", 20)
    monkeypatch.setattr(rebuild_module, limit, 10)
    monkeypatch.setattr(cache_module, "CACHED_JOURNEYS", 3)
    monkeypatch.setattr(cache_module, "CACHED_MOMENTS", 8)
    written = 0
    assert (await _verify(database)).sound
    assert written > 6


async def test_a_replay_goes_on_under_its_own_playbook_only(database: str) -> None:
    await rebuild(database, RULES, "beside", lambda *_: None)
    with pytest.raises(AnotherPlaybook, match="was begun under the playbook"):
        await rebuild(database, replace(RULES, digest="another"), "beside", lambda *_: None)
