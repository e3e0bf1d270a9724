"""Following the feed: a snapshot if one was begun, what the database has, then what the hub tells. No hole between.

A subscriber first reads from the database until it is near the hub's position, then joins the hub, and reads once more
up to where it joined. From there on the hub tells it.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple
from uuid import UUID

import asyncpg

from api.context import Context
from api.feed.cursor import Cursor
from api.feed.hub import Message, Printer, Subscriber
from projections.playbook.windows import Window
from projections.views.interest import Interest
from schemas.answers.changes import ResetReason
from schemas.errors import TandemError
from store.feed import Head, read_changes, read_head, read_journeys

PAGE = 500  #: changes or journeys that are read at once
SILENT_SECONDS = 5.0  #: after which a subscriber is told how far the feed is
START = UUID(int=0)  #: before all journeys of a snapshot
NOTHING = b"{}"
#: What a subscriber meets while the database restarts: it comes back with its cursor.
FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
NOT_READY = "no worker has run on this database yet: start one with `tandem work`"


class FeedNotReady(TandemError):
    """No worker has run on this database yet, or the database does not answer. Start a worker, or try again."""


class FeedReset(TandemError):
    """The cursor cannot be resumed; `reason` says why. Start over with a snapshot."""

    def __init__(self, reason: ResetReason) -> None:
        super().__init__(f"the feed cannot go on from this cursor ({reason}): start over with snapshot=true")
        self.reason = reason


class Following(NamedTuple):
    """What to tell whom."""

    context: Context
    interest: Interest
    window: Window

    async def start(self, *, snapshot: bool) -> Cursor:
        """Where the feed is now; for a snapshot: before its first journey. Raises FeedNotReady."""
        head = await self._head()
        return Cursor(head.epoch, head.seq, START if snapshot else None)

    async def batches(self, cursor: Cursor) -> AsyncGenerator[list[Message], None]:
        """Everything after the cursor, without end. Raises FeedReset and FeedNotReady.

        Ends when the subscriber is let go, because it is too slow or the process ends: it may go on from its cursor.
        """
        await self._admit(cursor)
        while cursor.after is not None:
            told, cursor = await self.snapshot(cursor)
            yield told
        near = False
        while not near:
            told, cursor, near = await self._page(cursor)
            yield [*told, Message("progress", cursor, NOTHING)]
        async with aclosing(self._live(cursor, SILENT_SECONDS)) as live:
            async for told in live:
                yield told

    async def batch(self, cursor: Cursor, wait: float) -> list[Message]:
        """The next ones after the cursor; waits for news for at most `wait` seconds. The last says where one is then.

        Raises FeedReset and FeedNotReady.
        """
        await self._admit(cursor)
        if cursor.after is not None:
            return (await self.snapshot(cursor))[0]
        near = False
        while not near:
            told, cursor, near = await self._page(cursor)
            if told:
                return told
        if wait:
            async with aclosing(self._live(cursor, wait)) as live:
                async for told in live:
                    return told
        return [Message("progress", cursor, NOTHING)]

    async def _admit(self, cursor: Cursor) -> None:
        reason = refusal(await self._head(), cursor)
        if reason is not None:
            raise FeedReset(reason)

    async def _head(self) -> Head:
        async with self.context.pool.acquire() as connection:
            head = await read_head(connection)
        if head is None:
            raise FeedNotReady(NOT_READY)
        return head

    async def snapshot(self, cursor: Cursor) -> tuple[list[Message], Cursor]:
        """(the next journeys of a snapshot, in the order of their ids and as they are now; where one is then)."""
        assert cursor.after is not None, "the cursor is within a snapshot"
        async with self.context.catching_up, self.context.pool.acquire() as connection:
            journeys = await read_journeys(connection, cursor.after, PAGE)
        printer = Printer(self.context.rules, self.context.clock())
        told = [
            printer.journey(one, cursor._replace(after=one.summary.journey_id), self.window)
            for one in journeys
            if self.interest.holds(one, printer.stage(one))
        ]
        cursor = cursor._replace(after=journeys[-1].summary.journey_id if len(journeys) == PAGE else None)
        return [*told, Message("progress" if cursor.after else "live", cursor, NOTHING)], cursor

    async def _page(self, cursor: Cursor, until: int | None = None) -> tuple[list[Message], Cursor, bool]:
        """(what the next page has for this subscriber, where it is then, whether the database had no more)."""
        async with self.context.catching_up, self.context.pool.acquire() as connection:
            found = await read_changes(connection, cursor.seq, PAGE)
        if found and found[0].seq != cursor.seq + 1:
            raise FeedReset("too_old")
        changes = [change for change in found if until is None or change.seq <= until]
        printer = Printer(self.context.rules, self.context.clock())
        told = [
            printer.change(change, cursor._replace(seq=change.seq), self.window)
            for change in changes
            if self.interest.wants(change)
        ]
        return told, cursor._replace(seq=changes[-1].seq) if changes else cursor, len(found) < PAGE

    async def _live(self, cursor: Cursor, silent: float) -> AsyncGenerator[list[Message], None]:
        hub, subscriber = self.context.hub, Subscriber(self.interest, self.window)
        hub.add(subscriber)
        try:
            joined = hub.position
            if joined is None or joined.epoch != cursor.epoch:
                return  # the hub has not heard of this epoch yet: who comes back in a moment finds it there
            while cursor.seq < joined.seq:
                told, cursor, _ = await self._page(cursor, joined.seq)
                if told:
                    yield told
            while subscriber.ended is None:
                told = [message for message in await subscriber.take(silent) if message.cursor.seq > cursor.seq]
                if told:
                    yield told
                elif subscriber.ended is None and hub.position is not None:
                    # nothing waits, so all up to the hub's position was told or not wanted
                    cursor = max(cursor, hub.position, key=lambda place: place.seq)
                    yield [Message("progress", cursor, NOTHING)]
            if subscriber.ended == "other_epoch":
                raise FeedReset("other_epoch")
        finally:
            hub.remove(subscriber)


def refusal(head: Head, cursor: Cursor) -> ResetReason | None:
    """Why the feed cannot go on from a cursor; None where it can."""
    if cursor.epoch != head.epoch:
        return "other_epoch"
    if cursor.seq > head.seq:
        return "ahead"
    return "too_old" if cursor.seq < head.oldest - 1 else None
