"""What tests of the feed share: a server, a subscriber over server-sent events, and a feed that fills quickly."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import httpx
import uvicorn

from api.app import create_app
from deploy.embedded.process import free_port

NOW = 1_800_000_000_000_000  #: microseconds since 1970 UTC


class Told(NamedTuple):
    """One server-sent event."""

    event: str
    cursor: str
    data: Any


@asynccontextmanager
async def serving(database_url: str) -> AsyncIterator[tuple[str, Any]]:
    """(base URL, hub) of an API without ingest."""
    app = create_app(database_url=database_url, kafka=None, clock=lambda: NOW)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}", app.state.context.hub
    finally:
        app.state.context.hub.close()
        server.should_exit = True
        await task


@asynccontextmanager
async def listening(base_url: str, cursor: str | None = None, **filters: Any) -> AsyncIterator[AsyncIterator[Told]]:
    """What a subscriber is told, from a cursor or from now on."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor} if cursor else {})
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", f"{base_url}/v1/changes", params=filters, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[Told]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "event" in fields:
            yield Told(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}


async def begin(connection: asyncpg.Connection) -> None:
    """A projection without journeys."""
    await connection.execute("INSERT INTO projection (log_epoch, cluster_id, playbook) VALUES (1, 'c', 'p')")


async def fill(connection: asyncpg.Connection, number: int, stage: int = 1) -> None:
    """So many changes of journeys that are no more, in one transaction."""
    async with connection.transaction():
        await connection.execute(
            "WITH last AS (UPDATE projection SET feed_seq = feed_seq + $1 RETURNING feed_seq) "
            "INSERT INTO changes (seq, journey_id, kind, stage_from, stage_to) "
            "SELECT feed_seq - $1 + n, gen_random_uuid(), 0, $2, $2 FROM last, generate_series(1, $1) AS n",
            number,
            stage,
        )
