"""How far the feed was published: the position, who may move it, and reading on from it.

One publisher leads: it holds a lock that lives and dies with its session. The position is the fence behind that lock:
who moves it must know it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

import asyncpg

from projections.views.feed import FeedChange
from schemas.errors import TandemError
from store.feed import Head, read_changes, read_head
from store.session import closing

#: A server that notices a dead publisher frees its lock; one that does not answer is given up by asyncpg.
_SETTINGS = {
    "application_name": "tandem-publisher",
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "60s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "jit": "off",
    "timezone": "UTC",
}
_ANSWER_SECONDS = 60

_LEAD = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"

#: The two halves of the lock's number, as PostgreSQL shows them.
_LED = """
    SELECT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint << 32 | objid::bigint = hashtextextended($1, 0)
    )
"""

_READ = "SELECT feed_epoch, seq FROM publications WHERE name = $1"
_BEGIN = "INSERT INTO publications (name, feed_epoch, seq) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_MOVE = """
    UPDATE publications SET feed_epoch = $2, seq = $3 WHERE name = $1 AND feed_epoch = $4 AND seq = $5
"""

_STATE = """
    SELECT seq, feed_seq - CASE WHEN publications.feed_epoch = projection.feed_epoch THEN seq ELSE 0 END AS lag
    FROM publications, projection WHERE name = $1
"""


class AnotherPublisher(TandemError):
    """Another publisher has moved the position: publishing is its job now. Nothing to do: this one stands by."""


class Published(NamedTuple):
    """How far the feed was published."""

    epoch: UUID  #: of the feed
    seq: int  #: of the last change that is published


class Publication(NamedTuple):
    """How far a publisher is, for status displays."""

    seq: int  #: of the last change that is published
    lag: int  #: changes that are not published yet


@asynccontextmanager
async def publisher_connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The one connection of a publisher: its lock ends with it. Raises what asyncpg raises."""
    connection = await asyncpg.connect(
        database_url, server_settings=_SETTINGS, timeout=10, command_timeout=_ANSWER_SECONDS
    )
    async with closing(connection):
        yield connection


async def try_to_lead(connection: asyncpg.Connection, name: str) -> bool:
    """Become the publisher of this name, for as long as the connection lives. False where another one is."""
    return bool(await connection.fetchval(_LEAD, name))


async def has_publisher(connection: asyncpg.Connection, name: str) -> bool:
    """Whether somebody is the publisher of this name now."""
    return bool(await connection.fetchval(_LED, name))


async def read_published(connection: asyncpg.Connection, name: str) -> Published | None:
    """The position; None before the first one."""
    row = await connection.fetchrow(_READ, name)
    return None if row is None else Published(*row)


async def move_published(connection: asyncpg.Connection, name: str, before: Published | None, after: Published) -> None:
    """Move the position from where it was known to be. Raises AnotherPublisher where it has been moved."""
    if before is None:
        status = await connection.execute(_BEGIN, name, *after)
    else:
        status = await connection.execute(_MOVE, name, *after, *before)
    if not status.endswith(" 1"):
        raise AnotherPublisher(
            f"another process publishes as {name}: give each stack its own TANDEM_TOPIC_PREFIX, if it is not a standby"
        )


def follows(head: Head, published: Published) -> bool:
    """Whether the feed can be read on from a position: it is of this epoch, and all that comes after it is kept."""
    return published.epoch == head.epoch and head.oldest - 1 <= published.seq <= head.seq


async def read_news(connection: asyncpg.Connection, published: Published, limit: int) -> tuple[Head, list[FeedChange]]:
    """The head, and the changes after a position, as of one moment. No changes where the feed does not follow it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        head = await read_head(connection)
        assert head is not None, "who reads on has read a head before"
        if head.seq == published.seq or not follows(head, published):
            return head, []
        return head, await read_changes(connection, published.seq, limit)


async def read_publication(connection: asyncpg.Connection, name: str) -> Publication | None:
    """How far the publisher of this name is; None where none has begun."""
    row = await connection.fetchrow(_STATE, name)
    return None if row is None else Publication(*row)
