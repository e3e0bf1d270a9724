"""The publisher: the change feed in Kafka, each change exactly once for readers of committed records.

A round is one Kafka transaction with records and position; then the position moves in PostgreSQL, too. Where something
goes wrong the outcome may be unknown, and the answer is always the same: forget everything, wait for the lead, start a
producer (which fences the one before), and go on from the later of the two positions.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from projections.playbook.model import Playbook
from projections.playbook.rules import Rules
from projections.playbook.windows import Window
from schemas.errors import TandemError
from store.feed import CHANNEL, Head, read_head, read_journeys
from store.partitions import check_playbook
from store.publications import (
    AnotherPublisher,
    Published,
    follows,
    move_published,
    publisher_connection,
    read_news,
    read_published,
    try_to_lead,
)
from store.session import CONNECTION_LOST
from streams.engine.live_rules import LiveRules
from streams.feed.records import Record, View, records_of_changes, records_of_journeys, tombstones
from streams.feed.topics import (
    TransactionLost,
    committed,
    is_untouched,
    live_keys,
    places_of,
    send,
    transactional_producer,
)
from streams.kafka import FeedTopics, KafkaSettings, ensure_feed_topics, feed_topics

log = structlog.get_logger(__name__)

AT_ONCE = 1_000  #: changes, or journeys of a snapshot, in one transaction at most
_POLL_SECONDS = 0.25
_STANDBY_SECONDS = 0.5
_STEADY_SECONDS = 5.0  #: after a lead that lasted longer, failures are counted anew
_NOWHERE = Published(UUID(int=0), 0)
_RECOVERABLE = (
    AnotherPublisher,
    TransactionLost,
    KafkaError,
    *CONNECTION_LOST,
)


class TransactionsRefused(TandemError):
    """The broker has no transactions: nothing can be published exactly once.

    Use a broker with transactions, or do without the topics.
    """


async def publish(
    kafka: KafkaSettings,
    database_url: str,
    rules: Rules,
    window: Callable[[Playbook], Window],
    stop: asyncio.Event,
    clock: Callable[[], int],
) -> None:
    """Publish the feed, or stand by while another process does, until `stop` is set.

    The database must be migrated; missing topics are created. `rules`: those that the projection began with; `window`:
    what readers of the topics may see under a playbook; `clock`: microseconds since 1970 UTC.

    Raises named errors (TandemError) that need a person: KafkaUnreachable, TopicUnfit, TransactionsRefused,
    PlaybookChanged.
    """
    if not kafka.idempotent:
        raise TransactionsRefused("publishing needs a broker with transactions, and TANDEM_KAFKA_IDEMPOTENCE is off")
    await ensure_feed_topics(kafka)
    agreed = LiveRules(rules)

    def view() -> View:
        at = clock()
        return View(agreed.rules, window(agreed.rules.at(at).playbook), at)

    now = asyncio.get_running_loop().time
    failures = 0
    while not stop.is_set():
        began = now()
        try:
            await _stand_and_lead(kafka, database_url, agreed, view, stop)
        except _RECOVERABLE as error:
            failures = 0 if now() - began > _STEADY_SECONDS else failures + 1
            pause = min(2.0, 0.05 * 2**failures)
            log.warning("publisher starts over", error=type(error).__name__, detail=str(error), pause=pause)
            await _wait(stop, pause)


async def _stand_and_lead(
    kafka: KafkaSettings, database_url: str, agreed: LiveRules, view: Callable[[], View], stop: asyncio.Event
) -> None:
    """Wait for the lead, and publish with it, until `stop` or an error."""
    topics = feed_topics(kafka)
    async with publisher_connection(database_url) as connection:
        while not await try_to_lead(connection, topics.publisher):
            if await _wait(stop, _STANDBY_SECONDS):
                return
        while (head := await read_head(connection)) is None:  # no worker has begun yet
            if await _wait(stop, _STANDBY_SECONDS):
                return
        await check_playbook(connection, agreed.rules.digest)
        async with transactional_producer(kafka, topics.publisher) as producer:
            lead = _Lead(kafka, topics, connection, producer, agreed, view)
            await lead.begin(head, stop)
            await lead.go_on(stop)


@dataclass(slots=True)
class _Lead:
    """The one publisher, over one connection and one producer: an error of either ends it."""

    kafka: KafkaSettings
    topics: FeedTopics
    connection: asyncpg.Connection
    producer: AIOKafkaProducer
    agreed: LiveRules
    view: Callable[[], View]
    published: Published = _NOWHERE
    written: Published | None = None  #: what PostgreSQL says

    async def begin(self, head: Head, stop: asyncio.Event) -> None:
        """Find out where to go on. As our producer has started, nobody else can move Kafka's position any more."""
        await self.agreed.look(self.connection)
        self.written = await read_published(self.connection, self.topics.publisher)
        positions = (await committed(self.kafka, self.topics), self.written)
        # read again: until our producer started, the former leader may have published more
        head = await read_head(self.connection) or head
        known = [position for position in positions if position is not None and position.epoch == head.epoch]
        self.published = max(known, key=lambda position: position.seq, default=_NOWHERE)
        log.info("publisher leads", published=self.published.seq, head=head.seq)
        if not follows(head, self.published):
            await self._tell_all(head, Published(head.epoch, head.seq), stop)
            return
        made_anew = self.published.seq > 0 and await is_untouched(self.kafka, await self._journeys())
        if made_anew:  # without a position in Kafka the snapshot is incomplete, and the next publisher must know
            await send(self.producer, self.topics, published=_NOWHERE)
        if made_anew or len(known) < len(positions):
            await self._tell_all(head, self.published, stop)
        else:
            await self._move(self.published)

    async def go_on(self, stop: asyncio.Event) -> None:
        """Publish the changes there are, and those that come, until `stop` is set."""
        news = asyncio.Event()
        await self.connection.add_listener(CHANNEL, lambda *_: news.set())
        while not stop.is_set():
            news.clear()
            if not await self._round(stop):
                await _wait(news, _POLL_SECONDS)

    async def _round(self, stop: asyncio.Event) -> bool:
        """Publish the next changes. False where there are none."""
        head, changes = await read_news(self.connection, self.published, AT_ONCE)
        if changes:
            await self.agreed.look(self.connection)
        if not follows(head, self.published):
            await self._tell_all(head, Published(head.epoch, head.seq), stop)
        elif changes:
            journeys, transitions = records_of_changes(changes, self.view())
            await self._commit(Published(head.epoch, changes[-1].seq), journeys, transitions)
        return bool(changes)

    async def _tell_all(self, head: Head, then: Published, stop: asyncio.Event) -> None:
        """Publish a snapshot of all journeys, tombstones for those that only the topic has, and go on from `then`.

        A change that comes meanwhile is published again: the head was read before.
        """
        log.info("publishing a snapshot of all journeys", head=head.seq, then=then.seq)
        gone = await live_keys(self.kafka, await self._journeys())
        last = UUID(int=0)
        while journeys := await read_journeys(self.connection, last, AT_ONCE):
            if stop.is_set():
                return
            ids = [journey.summary.journey_id for journey in journeys]
            gone.difference_update(ids)
            last = ids[-1]
            await send(self.producer, self.topics, records_of_journeys(journeys, head.seq, self.view()))
        left = sorted(gone)
        for start in range(0, len(left), AT_ONCE):
            await send(self.producer, self.topics, tombstones(left[start : start + AT_ONCE], head.seq))
        await self._commit(then)

    async def _journeys(self) -> list[TopicPartition]:
        return await places_of(self.producer, self.topics.journeys)

    async def _commit(
        self, published: Published, journeys: Iterable[Record] = (), transitions: Iterable[Record] = ()
    ) -> None:
        """Records and position in one transaction; then the position in PostgreSQL. Raises AnotherPublisher."""
        await send(self.producer, self.topics, journeys, transitions, published)
        await self._move(published)

    async def _move(self, published: Published) -> None:
        if published != self.written:
            await move_published(self.connection, self.topics.publisher, self.written, published)
        self.published = self.written = published


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, `seconds` at most. Whether it is set."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
