"""Following the feed into your own database: what a change does there and the cursor are one transaction."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, NoReturn, Protocol, TypeVar

from tandem._async.client import AsyncClient
from tandem.errors import FeedReset, FollowedTwice
from tandem.feed import Change
from tandem.identifiers import Identifier
from tandem.terms import ChangeKind, Department

#: Before a snapshot after a reset: the API may take a moment to learn that another projection took its place.
_RESET_SECONDS = 1.0

# two that begin at once would both make the table
_CREATE = """
    SELECT pg_advisory_xact_lock(hashtext('tandem_cursors'));
    CREATE TABLE IF NOT EXISTS tandem_cursors (name text PRIMARY KEY, cursor text)
"""
_REGISTER = "INSERT INTO tandem_cursors (name) VALUES ($1) ON CONFLICT DO NOTHING"
# waits for the last transaction of a process that was killed
_WHERE = "SELECT cursor FROM tandem_cursors WHERE name = $1 FOR UPDATE"
_MOVE = """
    UPDATE tandem_cursors SET cursor = $3 WHERE name = $1 AND cursor IS NOT DISTINCT FROM $2 RETURNING name
"""


class Connection(Protocol):
    """What is needed of a connection to PostgreSQL; asyncpg's has it."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A transaction that commits unless an error leaves it."""

    async def execute(self, query: str, *args: Any) -> Any:
        """Run a statement, or several without arguments."""

    async def fetchval(self, query: str, *args: Any) -> Any:
        """The first value of the first row, or None."""


_C = TypeVar("_C", bound=Connection)


async def follow(
    client: AsyncClient,
    connection: _C,
    *,
    name: str,
    apply: Callable[[_C, Change], Awaitable[object]],
    department: Department | None = None,
    stage: str | None = None,
    journey: Identifier | None = None,
    account: str | None = None,
    kind: ChangeKind | None = None,
) -> NoReturn:
    """Apply every change exactly once, until cancelled. The filters are those of `AsyncClient.subscribe`.

    Changes that came together are one transaction: the cursor in the table `tandem_cursors`, and what `apply` does over
    the same connection. At the first start, and when one cannot go on from the cursor, `apply` is given a change of
    kind `reset`, then all journeys (`snapshot`), then `live`: journeys that did not come since the reset no longer
    exist.

    Raises FollowedTwice, ApiError, and whatever `apply` and the connection raise.
    """
    async with connection.transaction():
        await connection.execute(_CREATE)
        await connection.execute(_REGISTER, name)
        stored: str | None = await connection.fetchval(_WHERE, name)
    start = stored
    while True:
        subscription = client.subscribe(
            cursor=start,
            snapshot=start is None,
            department=department,
            stage=stage,
            journey=journey,
            account=account,
            kind=kind,
        )
        try:
            async with aclosing(subscription.runs()) as runs:
                async for run in runs:
                    reached = subscription.cursor
                    assert reached is not None, "every run has a cursor"
                    if reached == stored:
                        continue
                    begun = [Change(kind="reset", cursor=reached)] if start is None else []
                    async with connection.transaction():
                        if await connection.fetchval(_MOVE, name, stored, reached) is None:
                            raise FollowedTwice(name)
                        for change in (*begun, *run):
                            await apply(connection, change)
                    start = stored = reached
        except FeedReset:
            start = None
            await asyncio.sleep(_RESET_SECONDS)
