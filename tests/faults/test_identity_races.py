"""Identity on two workers: journeys, identifiers and rulings that both of them touch."""

import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import asyncpg
import pytest
import structlog

from projections.identifiers import identifier_key
from projections.identity.workspace import Move
from projections.journey.row import row_of
from projections.memory import fold_events
from schemas.decode import decode
from store.archive import read_all
from store.commit import Batch, commit_batch, write_journeys
from store.session import open_engine_connection, open_writer
from streams.engine import caution, committing
from streams.kafka import KafkaSettings
from tests.laws.histories import long_hostile_history
from tests.support import RULES, body, counts, expected_digest, produce, project, stored_digest, until, worker

_MERGES = 500
_HANDFUL = 10


async def test_a_batch_folded_with_an_old_register_is_refused(kafka_settings: KafkaSettings, database_url: str) -> None:
    """A ruling that another worker has committed meanwhile is heeded, though none of its journeys is touched."""
    first, second = body(1, who={"user_id": "u1"}), body(2, who={"user_id": "u2"})
    ruling = body(3, "identity_joined", who={"user_id": "u1", "email": "x@y.org"}, data={})
    ruled = body(4, "identified", who={"user_id": "u2", "email": "x@y.org"}, data={})
    connection = await asyncpg.connect(database_url)
    await produce(kafka_settings, [("marketing", 0, first)])
    async with worker(kafka_settings, database_url):
        await until(lambda: _read(connection, 1))
        keys = sorted([identifier_key("user_id", "u1").hex(), identifier_key("email", "x@y.org").hex()])
        await connection.execute(
            "INSERT INTO rulings VALUES ($1, 'web', 1767225603000000, true, $2::text[]::uuid[], 0)",
            f"{4:032x}",
            keys,
        )
        await connection.execute("UPDATE projection SET register_version = register_version + 1")
        await produce(kafka_settings, [("marketing", 0, second), ("marketing", 0, ruled)])
        await until(lambda: _read(connection, 3))
    await connection.close()
    bodies = [("marketing", first), ("marketing", second), ("marketing", ruled), ("joint", ruling)]
    assert await stored_digest(database_url) == expected_digest(bodies)


async def test_merges_in_opposite_order_on_two_workers(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 27: two partitions merge the same people in opposite order; small batches make the workers meet."""
    monkeypatch.setattr(caution, "BATCH_RECORDS", 16)
    monkeypatch.setattr(caution, "SMALLEST_BATCH", 2)
    singles, left, right = _crossing_merges()
    connection = await asyncpg.connect(database_url)
    with structlog.testing.capture_logs() as logs:
        await produce(kafka_settings, [])  # makes the topics
        async with worker(kafka_settings, database_url), worker(kafka_settings, database_url):
            await until(lambda: _both_hold(connection))
            await produce(kafka_settings, singles)
            await until(lambda: _read(connection, len(singles)))
            # each worker has some of the partitions, and every pair of merges lies on two of them
            crossing: list[tuple[str, int, bytes]] = []
            for start in range(0, _MERGES, _HANDFUL):
                handful = [*left[start : start + _HANDFUL], *right[start : start + _HANDFUL]]
                crossing += handful
                await produce(kafka_settings, handful)
                done = len(singles) + len(crossing)
                await until(partial(_read, connection, done))
    counted = await counts(connection)
    await connection.close()
    restarts = [log for log in logs if log["event"] == "projector starts over"]
    print(f"{_MERGES} pairs of merges, {len(restarts)} restarts: {sorted({log['error'] for log in restarts})}")
    assert restarts, "the two workers never met: the test shows nothing"
    assert not [log for log in restarts if "Deadlock" in log["error"]]
    assert counted["read"] == counted["applied"]
    bodies = [(owner, value) for owner, _, value in [*singles, *crossing]]
    assert await stored_digest(database_url) == expected_digest(bodies)


def _crossing_merges() -> tuple[list[tuple[str, int, bytes]], ...]:
    """Single people; merges of them in one order, and in the opposite order over the other partitions."""
    number = iter(range(1_000_000))
    whos = [({"user_id": f"u{n}"}, {"email": f"e{n}@x.org"}, {"anonymous_id": f"d{n}"}) for n in range(_MERGES)]
    singles = [("marketing", n % 3, body(next(number), who=who)) for n, three in enumerate(whos) for who in three]
    left = [
        ("marketing", n % 3, body(next(number), "identified", who={**u, **d}, data={}))
        for n, (u, _, d) in enumerate(whos)
    ]
    right = [
        ("sales", n % 3, body(next(number), "call_logged", who={**u, **e}, data={})) for n, (u, e, _) in enumerate(whos)
    ]
    # in opposite order within each handful, so that both workers are at the same people all the time
    right = [record for n in range(0, _MERGES, _HANDFUL) for record in reversed(right[n : n + _HANDFUL])]
    random.Random(27).shuffle(singles)
    return singles, left, right


async def _read(connection: asyncpg.Connection, records: int) -> bool:
    return (await counts(connection))["read"] >= records


async def _both_hold(connection: asyncpg.Connection) -> bool:
    held = await connection.fetch("SELECT worker, count(*) AS n FROM partitions WHERE worker IS NOT NULL GROUP BY 1")
    return len(held) == 2 and min(row["n"] for row in held) >= 4


async def test_a_ruling_takes_effect_and_is_taken_back(kafka_settings: KafkaSettings, database_url: str) -> None:
    """Case 19 over Kafka and PostgreSQL: state, accounts and feed."""
    one = [{"type": "user_id", "value": "u1"}, {"type": "account", "value": "acme"}]
    events = [
        ("marketing", 0, body(1, identities=one)),
        ("sales", 0, body(2, "opportunity_won", version=2, identities=one, data={"amount": 9, "currency": "EUR"})),
        ("marketing", 1, body(3, who={"user_id": "u2"})),
    ]
    await project_more(kafka_settings, database_url, events, 3)
    before, rows = await stored_digest(database_url), await _rows(database_url)
    pair = [{"type": "user_id", "value": "u1"}, {"type": "user_id", "value": "u2"}]
    join = body(4, "identity_joined", identities=pair, data={"by": "ops"})
    split = body(5, "identity_split", identities=pair, data={"by": "ops"})
    await project_more(kafka_settings, database_url, [("joint", 0, join)], 4)
    assert len(await _rows(database_url)) == 1
    await project_more(kafka_settings, database_url, [("joint", 1, split)], 5)
    assert await stored_digest(database_url) == before
    assert await _rows(database_url) == rows
    connection = await asyncpg.connect(database_url)
    feed = await connection.fetch("SELECT kind, cause, journey_id, related FROM changes WHERE cause = 1 ORDER BY seq")
    await connection.close()
    # joined: one is merged into the other, which changes; split: the other is changed back, the one comes out of it
    assert sorted((row["kind"], row["cause"]) for row in feed) == [(0, 1), (0, 1), (2, 1), (4, 1)]
    [merged] = [row for row in feed if row["kind"] == 2]
    [parted] = [row for row in feed if row["kind"] == 4]
    assert (merged["journey_id"], merged["related"]) == (parted["journey_id"], parted["related"])


async def test_a_join_and_a_split_of_ten_thousand_events_give_back_every_byte(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    """Case 19 at size: two people, a tablet that they share, and devices of their own."""
    whos = [
        {"user_id": "u1", "email": "a@b.org"},
        {"user_id": "u2", "anonymous_id": "d2"},
        {"user_id": "u1", "anonymous_id": "tablet"},
        {"anonymous_id": "tablet"},
        {"user_id": "u2", "anonymous_id": "tablet"},
    ]
    hours = [f"2026-{n // 672 % 12 + 1:02}-{n // 24 % 28 + 1:02}T{n % 24:02}:{n % 60:02}:00Z" for n in range(10_000)]
    events = [
        ("marketing", n % 3, body(n, who=whos[n * 7 % len(whos)], occurred_at=hour)) for n, hour in enumerate(hours)
    ]
    pair = [{"type": "user_id", "value": "u1"}, {"type": "user_id", "value": "u2"}]
    await project_more(kafka_settings, database_url, events, len(events))
    before = await _rows(database_url)
    for number, ruling in enumerate(("identity_joined", "identity_split")):
        when = f"2027-01-0{number + 1}T00:00:00Z"
        record = ("joint", 0, body(20_000 + number, ruling, identities=pair, data={}, occurred_at=when))
        await project_more(kafka_settings, database_url, [record], len(events) + number + 1)
        assert len(await _rows(database_url)) == (1 if number == 0 else len(before))
    assert len(before) == 3
    assert await _rows(database_url) == before


async def test_a_late_release_folds_again_from_the_archive(kafka_settings: KafkaSettings, database_url: str) -> None:
    """Case 31 when the release comes after events that it concerns."""
    events = [
        ("marketing", 0, body(1, who={"user_id": "7", "email": "ana@b.org"})),
        ("marketing", 1, body(30, who={"user_id": "7", "email": "bob@b.org"})),
        ("marketing", 2, body(40, who={"user_id": "7"})),
    ]
    release = ("joint", 0, body(20, "identifier_released", who={"user_id": "7"}, data={}))
    await project_more(kafka_settings, database_url, events, 3)
    await project_more(kafka_settings, database_url, [release], 4)
    bodies = [(owner, value) for owner, _, value in [release, *events]]
    assert await stored_digest(database_url) == expected_digest(bodies)
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT sum(events)::int FROM journeys") == 3
    await connection.close()


async def project_more(
    kafka: KafkaSettings, database_url: str, records: list[tuple[str, int, bytes]], total: int
) -> None:
    """Produce, and run a worker until so many records are read in all."""
    await produce(kafka, records)
    await project(kafka, database_url, total)


async def _rows(database_url: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database_url)
    try:
        return list(
            await connection.fetch(
                "SELECT journey_id, stage, stage_since, reached, first_seen, last_seen, events, owner, account, "
                "accounts, stays, score, value, state FROM journeys ORDER BY journey_id"
            )
        )
    finally:
        await connection.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_hostile_history_in_any_partitions_equals_the_fold_and_the_archive(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Rulings, releases, shared devices: live, in small batches on one or two workers, and from the archive."""
    monkeypatch.setattr(caution, "BATCH_RECORDS", 24)
    monkeypatch.setattr(caution, "SMALLEST_BATCH", 2)
    history = long_hostile_history(600, seed=5)
    chance = random.Random(workers)
    records = [(owner, chance.randrange(3), value) for owner, value in chance.sample(history, len(history))]
    connection = await asyncpg.connect(database_url)
    async with AsyncExitStack() as stack:
        await produce(kafka_settings, [])
        for _ in range(workers):
            await stack.enter_async_context(worker(kafka_settings, database_url))
        if workers == 2:
            await until(lambda: _both_hold(connection))
        await produce(kafka_settings, records)
        await until(lambda: _read(connection, len(records)))
    department_of = {
        row["partition_id"]: row["department"] for row in await connection.fetch("SELECT * FROM partitions")
    }
    archived = [(department_of[event.partition_id], event.value) async for event in read_all(connection)]
    await connection.close()
    assert len(archived) == len(history)
    digest = await stored_digest(database_url)
    assert digest == expected_digest(history)
    assert digest == expected_digest(archived)


async def test_whom_a_ruling_did_not_find_must_not_have_come_meanwhile(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ruling names somebody new; another worker, which does not know the ruling, commits their journey first."""
    known = ("marketing", body(1, who={"user_id": "u1"}))
    other = ("marketing", body(2, "identified", who={"email": "x@y.org"}, data={}))
    ruling = ("joint", body(3, "identity_joined", who={"user_id": "u1", "email": "x@y.org"}, data={}))
    [journey] = fold_events([decode(other[1], "marketing")], RULES).journeys.values()

    async def as_another_worker(batch: Batch) -> bool:
        if not batch.entries.rulings:
            return False
        connection = await open_writer(database_url)
        async with connection.transaction():
            moves = [Move(key, None, journey.journey_id) for key in journey.identifiers]
            await write_journeys(connection, [row_of(journey, RULES)], [], moves)
        await connection.close()
        return True

    await _commit_after(monkeypatch, as_another_worker)
    with structlog.testing.capture_logs() as logs:
        await produce(kafka_settings, [(owner, 0, value) for owner, value in (known, ruling)])
        await project(kafka_settings, database_url, 2)
    assert [log["error"] for log in logs if log["event"] == "projector starts over"] == ["Stale"]
    assert await stored_digest(database_url) == expected_digest([known, other, ruling])


async def test_who_was_judged_with_others_must_be_as_they_were(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third user on a device that two share: their journeys stay as they are, and must be as they were."""
    visits = [("marketing", body(n, who={"user_id": f"u{n}", "anonymous_id": "kiosk"})) for n in range(3)]

    async def as_another_worker(batch: Batch) -> bool:
        if not batch.consulted.journeys:
            return False
        connection = await open_engine_connection(database_url)
        await connection.execute(
            "UPDATE journeys SET rev = rev + 1 WHERE journey_id = $1", batch.consulted.journeys[0][0]
        )
        await connection.close()
        return True

    done = await _commit_after(monkeypatch, as_another_worker)
    with structlog.testing.capture_logs() as logs:
        for number, (owner, value) in enumerate(visits):
            await produce(kafka_settings, [(owner, 0, value)])
            await project(kafka_settings, database_url, number + 1)
    assert done, "no batch consulted a journey without changing it: the test shows nothing"
    assert [log["error"] for log in logs if log["event"] == "projector starts over"] == ["Stale"]
    assert await stored_digest(database_url) == expected_digest(visits)


async def _commit_after(monkeypatch: pytest.MonkeyPatch, deed: Callable[[Batch], Awaitable[bool]]) -> list[bool]:
    """Let something happen right before a commit, until it says that it did."""
    done: list[bool] = []

    async def commit(connection: asyncpg.Connection, batch: Batch) -> int:
        if not done and await deed(batch):
            done.append(True)
        return await commit_batch(connection, batch)

    monkeypatch.setattr(committing, "commit_batch", commit)
    return done
