"""The HTTP API: queries over the projection, and ingest."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import Access, AccessSettings, Refused
from api.access.keys import KeyRing
from api.access.read_log import ReadLog
from api.access.tokens import Tokens
from api.context import Context
from api.feed.hub import Hub
from api.guard import guard, refusal
from api.http.lookup import Lookup
from api.http.openapi import describe
from api.http.problems import on_http_error, on_invalid_request, on_unexpected, problem
from api.joint_events import NotPublished
from api.routes import (
    accounts,
    attribution,
    audiences,
    changes,
    dead_letters,
    events,
    funnel,
    handoffs,
    health,
    identity,
    journeys,
    past,
    playbook,
    reads,
    rulings,
    what_if,
)
from projections.playbook.model import DEFAULT_PLAYBOOK, compile_rules, load_playbook
from schemas.errors import TandemError
from store.session import give_raw_uuids, open_connection
from store.status import has_tables
from streams.engine.live_rules import Agreed, keep_up
from streams.gateway import Gateway
from streams.kafka import KafkaSettings

#: In the order of the description.
_ROUTES = (
    *(journeys, funnel, accounts, attribution, audiences, changes, handoffs, identity, rulings, past),
    *(playbook, what_if, events, dead_letters, reads, health),
)
_POOL = 8
_RAW_POOL = 4
_CATCHING_UP = 3  #: subscribers that read from the database at once


class SchemaMissing(TandemError):
    """The database was not migrated."""


def _now() -> int:
    return time.time_ns() // 1000


async def _leave_as_it_is(connection: asyncpg.Connection) -> None:
    """Queries change nothing of a session, so nothing needs undoing: asyncpg's own way asks the server each time."""


def create_app(
    *,
    database_url: str,
    kafka: KafkaSettings | None,
    playbook_path: Path | None = None,
    access: AccessSettings | None = None,
    clock: Callable[[], int] = _now,
) -> FastAPI:
    """The application. `clock` gives microseconds since 1970 UTC; without `kafka` there is no ingest.

    Without `access` it is off: whoever asks from this machine may do everything, and nobody else anything.
    """
    first = compile_rules(load_playbook(playbook_path or DEFAULT_PLAYBOOK))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(_readers(database_url, min_size=2, max_size=_POOL))
            raw_pool = await stack.enter_async_context(
                _readers(database_url, min_size=1, max_size=_RAW_POOL, init=give_raw_uuids)
            )
            await _check_schema(pool)
            agreed = Agreed(first)
            async with pool.acquire() as connection:
                await agreed.look(connection)
            keeping_up = asyncio.create_task(keep_up(agreed, database_url))
            stack.callback(keeping_up.cancel)
            opened = None
            if access is not None:
                writers = await stack.enter_async_context(_writers(database_url))
                tokens = None if access.oidc is None else Tokens(access.oidc)
                opened = Access(KeyRing(pool), tokens, ReadLog(writers), lambda: agreed.windows(clock()))
            gateway = Gateway(kafka) if kafka is not None else None
            if gateway is not None:
                stack.push_async_callback(gateway.stop)
                await gateway.start()
            hub = Hub(database_url, agreed, clock)
            async with pool.acquire() as connection:
                await hub.begin(connection)
            reading = asyncio.create_task(hub.run())
            stack.push_async_callback(_end, hub, reading)
            catching_up = asyncio.Semaphore(_CATCHING_UP)
            attributing = asyncio.Semaphore(1)
            app.state.context = Context(
                database_url=database_url,
                pool=pool,
                raw_pool=raw_pool,
                lookup=Lookup(pool),
                gateway=gateway,
                agreed=agreed,
                clock=clock,
                hub=hub,
                catching_up=catching_up,
                attributing=attributing,
                access=opened,
            )
            yield

    app = FastAPI(
        title="Tandem",
        version="1",
        summary="Customer journeys computed from the facts of marketing and sales.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for route in _ROUTES:
        app.include_router(route.router)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    app.add_middleware(guard)
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(NotPublished, _on_not_published)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(Exception, on_unexpected)
    return app


def _readers(database_url: str, **options: Any) -> asyncpg.Pool:
    return asyncpg.create_pool(
        database_url,
        command_timeout=30,
        reset=_leave_as_it_is,
        server_settings={"application_name": "tandem-api", "default_transaction_read_only": "on", "jit": "off"},
        **options,
    )


def _writers(database_url: str) -> asyncpg.Pool:
    """For the record of reads, and nothing else."""
    settings = {"application_name": "tandem-api-reads"}
    return asyncpg.create_pool(database_url, min_size=1, max_size=2, command_timeout=5, server_settings=settings)


async def _end(hub: Hub, reading: "asyncio.Task[None]") -> None:
    hub.close()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def _on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refusal(error, request.scope)


async def _on_not_published(_: Request, error: Exception) -> Response:
    assert isinstance(error, NotPublished)
    return problem(503, error.title, error.detail, Retry_After=str(error.retry_after))


async def check_database(database_url: str) -> None:
    """Look once whether the API could work. Raises DatabaseUnreachable or SchemaMissing."""
    connection = await open_connection(database_url)
    try:
        await _check_schema(connection)
    finally:
        await connection.close()


async def _check_schema(connection: asyncpg.Connection | asyncpg.Pool) -> None:
    if not await has_tables(connection):
        raise SchemaMissing("the database has no tables of Tandem: run `tandem up` once, or migrate it")
