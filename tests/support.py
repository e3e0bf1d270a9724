"""What tests of the running system share: producing, projecting, comparing with the in-memory fold."""

import asyncio
import os
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import uvicorn
from aiokafka import AIOKafkaProducer

from audit.digest import projection_digest
from projections.memory import digest_of_workspace, fold_events
from projections.playbook.rules import Rules, load_rules
from schemas.decode import decode
from store.migrate import create_database, migrate
from streams.engine.worker import run
from streams.kafka import KafkaSettings, ensure_topics, event_topics

RULES: Rules = load_rules()


def body(number: int, type_: str = "page_viewed", *, who: dict[str, Any] | None = None, **more: Any) -> bytes:
    """JSON of a valid event; equal numbers have equal ids."""
    data = {"url": "https://x.org/"} if type_ == "page_viewed" else {}
    event = {
        "id": str(uuid.UUID(int=number + 1)),
        "type": type_,
        "version": 1,
        "source": "web",
        "occurred_at": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",
        "identities": [{"type": key, "value": value} for key, value in (who or {"anonymous_id": "d1"}).items()],
        "data": data,
    }
    return msgspec.json.encode(event | more)


async def fresh_database(server: str, name: str) -> str:
    """URL of a new, migrated database."""
    url = await create_database(server, name)
    connection = await asyncpg.connect(url)
    await migrate(connection)
    await connection.close()
    return url


async def produce(kafka: KafkaSettings, records: Iterable[tuple[str, int, bytes | None]]) -> None:
    """Send (owner, partition, value) records, in order, and wait for the broker."""
    await ensure_topics(kafka)
    topics = event_topics(kafka)
    async with AIOKafkaProducer(**kafka.client_options(), max_request_size=16 * 1024 * 1024) as producer:
        sent = [
            await producer.send(topics[owner], value, key=b"k", partition=number) for owner, number, value in records
        ]
        await asyncio.gather(*sent)


@asynccontextmanager
async def worker(kafka: KafkaSettings, database_url: str) -> AsyncIterator["asyncio.Task[None]"]:
    """A projector in this process."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(kafka, database_url, RULES, stop))
    try:
        yield task
    finally:
        stop.set()
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Exception):
            traceback.print_exception(outcome)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition of the running system."""
    deadline = time.monotonic() + float(os.environ.get("TANDEM_TEST_PATIENCE", "60"))
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.02)


async def swept(connection: asyncpg.Connection) -> bool:
    """Whether every stored journey follows the terms agreed."""
    return bool(await connection.fetchval("SELECT swept_until IS NULL FROM projection"))


@asynccontextmanager
async def served(app: Any, port: int) -> AsyncIterator[None]:
    """An application behind a real server on a loopback port."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started or serving.done()

    try:
        await until(started)
        yield
    finally:
        server.should_exit = True
        await serving


async def counts(connection: asyncpg.Connection) -> dict[str, int]:
    """Law 4's counts over all partitions."""
    row = await connection.fetchrow(
        "SELECT sum(next_offset - first_offset)::bigint AS read, sum(applied)::bigint AS applied, "
        "sum(duplicates)::bigint AS duplicates, sum(dead)::bigint AS dead, sum(holes)::bigint AS holes FROM partitions"
    )
    assert row is not None
    return {key: value or 0 for key, value in row.items()}


async def project(kafka: KafkaSettings, database_url: str, records: int) -> dict[str, int]:
    """Run a worker until so many records are read. Returns law 4's counts."""
    connection = await asyncpg.connect(database_url)
    try:
        async with worker(kafka, database_url) as task:

            async def read_all() -> bool:
                if task.done():
                    task.result()
                return (await counts(connection))["read"] >= records

            await until(read_all)
        return await counts(connection)
    finally:
        await connection.close()


async def stored_digest(database_url: str) -> str:
    """The digest of what is stored."""
    connection = await asyncpg.connect(database_url)
    try:
        return (await projection_digest(connection)).sha256
    finally:
        await connection.close()


def expected_digest(bodies: Iterable[tuple[str, bytes]]) -> str:
    """The digest of the in-memory fold of distinct (owner, value) events."""
    return digest_of_workspace(fold_events([decode(value, owner) for owner, value in bodies], RULES))
