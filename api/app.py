"""The HTTP API: queries over the projection, and ingest."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from aiokafka.errors import KafkaError
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api import changes, health, identity, ingest, queries
from api.context import Context
from api.hub import Hub
from api.problems import on_http_error, on_invalid_request, on_unexpected
from projections.playbook import DEFAULT_PLAYBOOK, compile_rules, load_playbook
from schemas.errors import TandemError
from store.session import give_raw_uuids, open_connection
from store.status import has_tables
from streams.gateway import Gateway
from streams.kafka import KafkaSettings, KafkaUnreachable

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
    clock: Callable[[], int] = _now,
) -> FastAPI:
    """The application. `clock` gives microseconds since 1970 UTC; without `kafka` there is no ingest."""
    rules = compile_rules(load_playbook(playbook_path or DEFAULT_PLAYBOOK))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = await asyncpg.create_pool(
            database_url,
            min_size=2,
            max_size=_POOL,
            command_timeout=30,
            reset=_leave_as_it_is,
            server_settings={"application_name": "tandem-api", "default_transaction_read_only": "on", "jit": "off"},
        )
        raw_pool = await asyncpg.create_pool(
            database_url,
            min_size=1,
            max_size=_RAW_POOL,
            init=give_raw_uuids,
            command_timeout=30,
            reset=_leave_as_it_is,
            server_settings={"application_name": "tandem-api", "default_transaction_read_only": "on", "jit": "off"},
        )
        gateway = Gateway(kafka) if kafka is not None else None
        try:
            await _check_schema(pool)
            if gateway is not None:
                await _connect(gateway)
            hub = Hub(database_url, rules, clock)
            app.state.context = Context(pool, raw_pool, gateway, rules, clock, hub, asyncio.Semaphore(_CATCHING_UP))
            async with pool.acquire() as connection:
                await hub.begin(connection)
            reading = asyncio.create_task(hub.run())
            yield
            hub.close()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        finally:
            if gateway is not None:
                await gateway.stop()
            await raw_pool.close()
            await pool.close()

    app = FastAPI(
        title="Tandem",
        version="1",
        summary="Customer journeys computed from the facts of marketing and sales.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for router in (health.router, queries.router, changes.router, identity.router, ingest.router):
        app.include_router(router)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(Exception, on_unexpected)
    return app


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


async def _connect(gateway: Gateway) -> None:
    try:
        await gateway.start()
    except (KafkaError, OSError) as error:
        raise KafkaUnreachable(f"Kafka does not answer: {error}; check TANDEM_KAFKA") from error
