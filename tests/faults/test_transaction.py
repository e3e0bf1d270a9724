"""Faults 1, 2, 4, 8, 13, 14 and 18, around the one transaction, with real PostgreSQL."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest

from store.commit import Batch, Fenced, commit_batch
from streams.engine import caution, committing
from streams.kafka import KafkaSettings
from tests.support import body, counts, expected_digest, produce, project, stored_digest, until, worker

BODIES = [
    ("marketing", body(1)),
    ("marketing", body(2, "form_submitted", who={"anonymous_id": "d1", "email": "a@x.org"}, data={"form": "f"})),
    ("sales", body(3, "lead_accepted", who={"email": "a@x.org", "crm_lead": "l1"}, data={"owner": "rosa"})),
    ("marketing", body(4, who={"user_id": "u1", "email": "a@x.org"})),
    ("sales", body(5, "opportunity_won", version=2, who={"crm_lead": "l1"}, data={"amount": 5, "currency": "EUR"})),
]


class Crash(ConnectionError):
    """The worker's connection dies here."""


class Crashing:
    """A connection that is cut before its n-th step, or right after it: then the server may have done it."""

    def __init__(self, connection: asyncpg.Connection, step: int, after: bool, steps: list[str]) -> None:
        self._connection, self._step, self._after, self.steps = connection, step, after, steps

    async def _do(self, name: str, *arguments: Any, **more: Any) -> Any:
        self.steps.append(name)
        if len(self.steps) - 1 == self._step and not self._after:
            self._connection.terminate()
            raise Crash(name)
        done = await getattr(self._connection, name)(*arguments, **more)
        if len(self.steps) - 1 == self._step:
            self._connection.terminate()
            raise Crash(name)
        return done

    def __getattr__(self, name: str) -> Any:
        if name in ("execute", "fetch", "fetchrow", "fetchval", "copy_records_to_table", "copy_to_table"):
            return lambda *arguments, **more: self._do(name, *arguments, **more)
        return getattr(self._connection, name)

    def transaction(self) -> "CrashingTransaction":
        return CrashingTransaction(self)


class CrashingTransaction:
    def __init__(self, connection: Crashing) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        await self._connection.execute("BEGIN")

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            await self._connection.execute("COMMIT")
        elif not self._connection.is_closed():
            await self._connection.execute("ROLLBACK")


@contextmanager
def crash_once(step: int, after: bool) -> Iterator[list[str]]:
    """The first commit of the projector crashes at one step; what follows goes through."""
    steps: list[str] = []
    crashed = False

    async def commit(connection: asyncpg.Connection, batch: Batch) -> int:
        nonlocal crashed
        if crashed:
            return await commit_batch(connection, batch)
        crashed = True
        return await commit_batch(Crashing(connection, step, after, steps), batch)  # type: ignore[arg-type]

    with patch.object(committing, "commit_batch", commit):
        yield steps


async def test_crash_before_and_after_every_step_of_the_transaction(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    """Faults 1 and 2: also with COMMIT sent and its answer lost. Nothing is lost or doubled."""
    await produce(kafka_settings, [*((owner, 0, value) for owner, value in BODIES), ("marketing", 0, b"poison")])
    expected, reached, committed_unheard = expected_digest(BODIES), 0, 0
    for after in (False, True):
        step = 0
        while True:
            connection = await asyncpg.connect(database_url)
            await _reset(connection)
            with crash_once(step, after) as steps:
                counted = await project(kafka_settings, database_url, len(BODIES) + 1)
            assert counted == {"read": 6, "applied": 5, "duplicates": 0, "dead": 1, "holes": 0}, (step, after, steps)
            assert await connection.fetchval("SELECT count(*) FROM dead_letters") == 1
            assert await stored_digest(database_url) == expected, (step, after, steps)
            await _feed_has_no_gap(connection)
            await connection.close()
            if len(steps) <= step:
                break  # the transaction has no such step: it went through at once
            reached += 1
            committed_unheard += after and steps[-1] == "execute" and step == len(steps) - 1
            step += 1
    print(f"{reached} crash points reached")
    assert reached >= 2 * 10
    assert committed_unheard


async def _reset(connection: asyncpg.Connection) -> None:
    """As if nothing had been read yet."""
    await connection.execute(
        "TRUNCATE journeys, identifiers, events, archive, changes, batches, dead_letters, holes, partitions, workers, "
        "projection"
    )


async def _feed_has_no_gap(connection: asyncpg.Connection) -> None:
    seqs = [row["seq"] for row in await connection.fetch("SELECT seq FROM changes ORDER BY seq")]
    assert seqs == list(range(1, len(seqs) + 1))
    assert await connection.fetchval("SELECT feed_seq FROM projection") == len(seqs)


async def test_a_worker_that_lost_its_partition_writes_nothing(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    """Fault 4: a worker wakes up after another one has taken over."""
    await produce(kafka_settings, [(owner, 0, value) for owner, value in BODIES])
    fenced: list[BaseException] = []
    asleep, go_on = asyncio.Event(), asyncio.Event()
    first = True

    async def commit(connection: asyncpg.Connection, batch: Batch) -> int:
        nonlocal first
        if not first:
            return await commit_batch(connection, batch)
        first = False
        asleep.set()
        await go_on.wait()
        try:
            return await commit_batch(connection, batch)
        except Fenced as error:
            fenced.append(error)
            raise

    connection = await asyncpg.connect(database_url)
    with patch.object(committing, "commit_batch", commit):
        async with worker(kafka_settings, database_url):
            await asleep.wait()
            # what a takeover does: raise the epoch
            await connection.execute("UPDATE partitions SET epoch = epoch + 1")
            go_on.set()

            async def done() -> bool:
                return (await counts(connection))["read"] == len(BODIES)

            await until(done)
    assert len(fenced) == 1
    assert (await counts(connection))["applied"] == len(BODIES)
    assert await stored_digest(database_url) == expected_digest(BODIES)
    await connection.close()


async def test_terminated_connections_are_opened_again(kafka_settings: KafkaSettings, database_url: str) -> None:
    """Fault 8: the engine's sessions are ended again and again under load; the worker does not exit."""
    bodies = [("marketing", body(number, who={"user_id": f"u{number % 50}"})) for number in range(8_000)]
    await produce(kafka_settings, [(owner, n % 3, value) for n, (owner, value) in enumerate(bodies)])
    connection = await asyncpg.connect(database_url)
    ended = 0

    async def held() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM partitions WHERE worker IS NOT NULL"))

    with patch.object(caution, "BATCH_RECORDS", 25):
        async with worker(kafka_settings, database_url) as task:
            await until(held)

            async def done() -> bool:
                nonlocal ended
                assert not task.done()
                if ended < 12:
                    ended += await connection.fetchval(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE application_name = 'tandem-worker' AND datname = current_database()"
                    )
                    await asyncio.sleep(0.2)
                return (await counts(connection))["read"] == len(bodies)

            await until(done)
    assert ended >= 12
    assert (await counts(connection))["applied"] == len(bodies)
    assert await stored_digest(database_url) == expected_digest(bodies)
    await _feed_has_no_gap(connection)
    await connection.close()


@pytest.mark.parametrize("batch_records", [1, 7, 8_192])
async def test_duplicates_have_one_effect_and_are_counted(
    kafka_settings: KafkaSettings, database_url: str, batch_records: int
) -> None:
    """Faults 13 and 14: each event one to three times, over partitions and batches, in another order."""
    bodies = [("marketing", body(number, who={"user_id": f"u{number % 7}"})) for number in range(60)]
    records = [
        (owner, (n * 7 + time) % 3, value)
        for time in range(3)
        for n, (owner, value) in enumerate(bodies)
        if n % 3 >= time
    ]
    records.sort(key=lambda record: hash((record[1], record[2][20:60])) % 1000)
    await produce(kafka_settings, records)
    with patch.object(caution, "BATCH_RECORDS", batch_records):
        counted = await project(kafka_settings, database_url, len(records))
    assert counted == {
        "read": len(records),
        "applied": len(bodies),
        "duplicates": len(records) - len(bodies),
        "dead": 0,
        "holes": 0,
    }
    assert await stored_digest(database_url) == expected_digest(bodies)


async def test_a_database_fault_that_passes_makes_no_dead_letter(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    """Fault 18: time-outs and serialisation failures are retried."""
    await produce(kafka_settings, [(owner, 0, value) for owner, value in BODIES])
    faults: list[Exception] = [
        asyncpg.QueryCanceledError("statement timeout"),
        asyncpg.SerializationError("could not serialize"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        TimeoutError(),
    ]

    async def commit(connection: asyncpg.Connection, batch: Batch) -> int:
        if faults:
            raise faults.pop()
        return await commit_batch(connection, batch)

    with patch.object(committing, "commit_batch", commit):
        counted = await project(kafka_settings, database_url, len(BODIES))
    assert faults == []
    assert counted["dead"] == 0
    assert await stored_digest(database_url) == expected_digest(BODIES)
