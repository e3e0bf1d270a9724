"""The hub: one reader of the change feed for the whole process, who tells all subscribers of what they want.

Nobody asks the database for each subscriber. What waits for a subscriber is bounded: one that reads too slowly is let
go, and goes on from its cursor when it comes back.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog

from api.feed.cursor import Cursor
from api.http.answers import encode
from projections.playbook.rules import Rules
from projections.playbook.windows import Window
from projections.views.feed import FeedChange, FeedJourney, change_view, feed_journey_view
from projections.views.interest import Interest, topics_of
from schemas.answers import journeys as answers
from store.feed import CHANNEL, Head, read_changes, read_head
from store.session import CONNECTION_LOST, Connection, open_connection
from streams.engine.live_rules import LiveRules

log = structlog.get_logger(__name__)

PAGE = 1_000  #: changes that are read at once
_POLL_SECONDS = 0.25  #: between two looks when no hint comes
_WAITING_CHANGES = 5_000  #: for one subscriber, at most
_WAITING_BYTES = 4 * 1024 * 1024
_RETRY_SECONDS = 1.0


class Message(NamedTuple):
    """One thing to tell a subscriber, and where it is then."""

    event: str  #: change, journey (of a snapshot), live (the snapshot is complete) or progress
    cursor: Cursor
    data: bytes  #: JSON
    journey_id: UUID | None = None  #: whose data it holds


class Subscriber:
    """Somebody who listens from now on."""

    def __init__(self, interest: Interest, window: Window) -> None:
        self.interest = interest
        self.window = window
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        #: why it was let go: `slow`, `other_epoch` or `closing`; None while it is served
        self.ended: str | None = None

    def tell(self, message: Message) -> None:
        """Keep a message until it is taken."""
        self._waiting.append(message)
        self._bytes += len(message.data)
        if len(self._waiting) > _WAITING_CHANGES or self._bytes > _WAITING_BYTES:
            self.end("slow")
        else:
            self._news.set()

    def end(self, why: str) -> None:
        """Tell no more."""
        self.ended = self.ended or why
        self._waiting.clear()
        self._bytes = 0
        self._news.set()

    async def take(self, seconds: float) -> list[Message]:
        """What waits, as soon as anything does; nothing after so many seconds, or when it was let go."""
        if not self._news.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                pass  # what came between the time-out and now must not be passed over
        self._news.clear()
        messages = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return messages


class Hub:
    """The reader. `position` is what it has told everybody of."""

    def __init__(self, database_url: str, agreed: LiveRules, clock: Callable[[], int]) -> None:
        self._database_url = database_url
        self._agreed = agreed
        self._clock = clock
        self._subscribers: dict[object, set[Subscriber]] = {}
        self._woken = asyncio.Event()
        self.position: Cursor | None = None  #: None before any worker has run

    def add(self, subscriber: Subscriber) -> None:
        """Tell it of all changes after `position`."""
        for topic in subscriber.interest.topics:
            self._subscribers.setdefault(topic, set()).add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Tell it no more."""
        for topic in subscriber.interest.topics:
            subscribers = self._subscribers.get(topic, set())
            subscribers.discard(subscriber)
            if not subscribers:
                self._subscribers.pop(topic, None)

    def close(self) -> None:
        """Let everybody go: the process ends."""
        self._end_all("closing")

    async def begin(self, connection: Connection) -> None:
        """Take up the position where the feed is now."""
        head = await read_head(connection)
        if head is not None:
            self._agree(head)

    async def run(self) -> None:
        """Read until cancelled; over a new connection whenever one breaks."""
        while True:
            try:
                await self._read()
            except CONNECTION_LOST as error:
                log.warning("feed reader starts over", error=type(error).__name__, detail=str(error))
            except Exception:
                log.exception("feed reader starts over")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _read(self) -> None:
        connection = await open_connection(self._database_url)
        try:
            await connection.add_listener(CHANNEL, lambda *_: self._woken.set())
            while True:
                if not await self._step(connection):
                    await self._wait()
        finally:
            connection.terminate()

    async def _step(self, connection: asyncpg.Connection) -> bool:
        """Tell of the next changes; False where there are none."""
        head = await read_head(connection)
        if head is None:
            return False
        position = self._agree(head)
        if position.seq == head.seq:
            return False
        changes = await read_changes(connection, position.seq, PAGE)
        if not changes or changes[0].seq != position.seq + 1:
            self._end_all("other_epoch")  # the feed was cut before us: whoever comes back is told to start over
            self.position = Cursor(head.epoch, head.seq)
            return True
        self.spread(changes)
        self.position = position._replace(seq=changes[-1].seq)
        return True

    def _agree(self, head: Head) -> Cursor:
        """The position in the epoch of the feed, as it is now."""
        if self.position is None or self.position.epoch != head.epoch or self.position.seq > head.seq:
            self._end_all("other_epoch")
            self.position = Cursor(head.epoch, head.seq)
        return self.position

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    def spread(self, changes: list[FeedChange]) -> None:
        """Tell each change to those who want it."""
        assert self.position is not None, "a reader knows where it is"
        printer = Printer(self._agreed.rules, self._clock())
        for change in changes:
            candidates = self._candidates(change)
            if not candidates:
                continue
            cursor = self.position._replace(seq=change.seq)
            for subscriber in candidates:
                if subscriber.ended is None and subscriber.interest.wants(change):
                    subscriber.tell(printer.change(change, cursor, subscriber.window))

    def _candidates(self, change: FeedChange) -> Iterable[Subscriber]:
        if change.journey is None:
            return self._everybody()
        groups = [self._subscribers[topic] for topic in topics_of(change) if topic in self._subscribers]
        return groups[0] if len(groups) == 1 else set().union(*groups)

    def _everybody(self) -> set[Subscriber]:
        return set().union(*self._subscribers.values())

    def _end_all(self, why: str) -> None:
        for subscriber in self._everybody():
            subscriber.end(why)


class Printer:
    """Makes messages of changes and journeys, each view once, at one time (microseconds since 1970 UTC)."""

    def __init__(self, rules: Rules, at: int) -> None:
        self._rules = rules
        self._at = at
        self._views: dict[UUID, answers.FeedJourney] = {}
        self._changes: dict[tuple[int, str], Message] = {}

    def change(self, change: FeedChange, cursor: Cursor, window: Window) -> Message:
        """A change as one sees it through a window."""
        key = (change.seq, window.name)
        if key not in self._changes:
            journey = None if change.journey is None else window.show(self._view(change.journey))
            if change.detail is not None:
                change = change._replace(detail=window.show(change.detail))
            data = encode(change_view(change, journey, self._rules))
            whose = None if change.journey is None else change.journey_id
            self._changes[key] = Message("change", cursor, data, whose)
        return self._changes[key]

    def journey(self, journey: FeedJourney, cursor: Cursor, window: Window) -> Message:
        """A journey of a snapshot, as one sees it through a window."""
        data = encode(window.show(self._view(journey)))
        return Message("journey", cursor, data, journey.summary.journey_id)

    def stage(self, journey: FeedJourney) -> int:
        """The stage that a journey is in."""
        return self._rules.names.index(self._view(journey).stage)

    def _view(self, journey: FeedJourney) -> answers.FeedJourney:
        key = journey.summary.journey_id
        if key not in self._views:
            self._views[key] = feed_journey_view(journey, self._rules, self._at)
        return self._views[key]
