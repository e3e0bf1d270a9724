"""Connections: settings that make a hung or disconnected worker harmless, and codecs for raw keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from schemas.errors import TandemError

#: What a lost connection may raise, also one that breaks in the middle of an answer.
CONNECTION_LOST = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    TimeoutError,
)

#: A connection, of its own or from a pool.
Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

#: A client that vanishes silently is noticed within 20 s, and its locks are freed.
WATCHED = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "3", "tcp_keepalives_count": "3"}

#: Durability stays as the server has it (fsync and synchronous_commit on). Joins are nested loops so that rows are
#: locked in the order of the sorted arrays that statements are given: two workers cannot lock in opposite order.
_ENGINE_SETTINGS = WATCHED | {
    "application_name": "tandem-worker",
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "60s",
    "lock_timeout": "5s",
    "client_connection_check_interval": "5s",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
    "timezone": "UTC",
}

#: Where a batch's rows lie before they are merged: COPY is the cheapest way in, and the server does the rest.
_STAGING = """
    CREATE TEMP TABLE staged_journeys (
        journey_id uuid, component uuid, rev bigint, stage smallint, stage_since bigint, due text, reached text,
        first_seen bigint, last_seen bigint, events bigint, channel text, campaign text, owner text, account text,
        accounts text[], stays text, score int, value text, audiences text[], handoffs int,
        state bytea
    ) WITH (toast_tuple_target = 8160) ON COMMIT DELETE ROWS;
"""


#: Errors that are not the statement's fault: classes 53, 57, 58 and 08, and 42501, of SQLSTATE.
_OUT_OF_ORDER = (
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InterfaceError,
)


class DatabaseUnreachable(TandemError):
    """The database does not answer, or refuses the login. Correct TANDEM_DATABASE_URL, or start the database."""


def out_of_order(error: Exception) -> str | None:
    """A message for people if an error means that the database is out of order; None for all other errors.

    Out of order: its disk is full, it is shutting down, or it lacks a permission.
    """
    if isinstance(error, asyncpg.DiskFullError):
        return f"the database's disk is full ({error}): make room, then start this again"
    if isinstance(error, _OUT_OF_ORDER) and not isinstance(error, ValueError):  # that is what it was asked
        return f"the database broke off ({error}): look at its log, then start this again"
    return None


async def open_connection(database_url: str, settings: dict[str, str] | None = None) -> asyncpg.Connection:
    """A plain connection, with `settings` of the server's for it. Raises DatabaseUnreachable."""
    try:
        return await asyncpg.connect(database_url, server_settings=settings, timeout=10)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, ValueError) as error:
        raise DatabaseUnreachable(f"cannot connect to the database: {error}; check TANDEM_DATABASE_URL") from error


@asynccontextmanager
async def closing(connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """Closes the connection at the end, or terminates it if the server does not answer."""
    try:
        yield connection
    finally:
        try:
            await connection.close(timeout=2)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            connection.terminate()


async def open_engine_connection(database_url: str, projection: str = "public") -> asyncpg.Connection:
    """A connection for the engine, on which uuid values are 16 raw bytes. Raises what asyncpg raises.

    `projection`: the schema of its journeys; tables that the schema lacks are the live projection's.
    """
    settings = _ENGINE_SETTINGS | {"search_path": f'"{projection}", public'}
    connection = await asyncpg.connect(database_url, server_settings=settings, timeout=10)
    await give_raw_uuids(connection)
    return connection


async def give_raw_uuids(connection: asyncpg.Connection) -> None:
    """Let a connection give and take uuid values as 16 raw bytes."""
    await connection.set_type_codec("uuid", schema="pg_catalog", format="binary", encoder=bytes, decoder=bytes)


async def open_writer(database_url: str, projection: str = "public") -> asyncpg.Connection:
    """An engine connection that batches can be committed on."""
    connection = await open_engine_connection(database_url, projection)
    await connection.execute(_STAGING)
    return connection
