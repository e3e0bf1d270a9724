"""The projector: consume, read, fold, commit. Offsets live in PostgreSQL, beside the effects, behind a fence.

Whatever goes wrong with a connection, a process or a commit, the answer is the same: forget everything, read the fence
and go on from there.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from projections.playbook.rules import Rules
from store.commit import Fenced, Stale
from store.leases import enrol
from store.loading import load_register
from store.partitions import check_playbook, read_departments
from store.session import CONNECTION_LOST, closing, open_engine_connection, open_writer
from streams.engine.assignment import Assignment
from streams.engine.cache import Cache
from streams.engine.caution import Caution
from streams.engine.look_ahead import LookAhead
from streams.engine.preparation import Preparation
from streams.engine.rate_limit import RateLimit
from streams.engine.reader_process import BatchReader, ReaderGone
from streams.engine.work_session import WorkSession

log = structlog.get_logger(__name__)

_RECOVERABLE = (
    Fenced,
    Stale,
    ReaderGone,
    KafkaError,
    *CONNECTION_LOST,
)


class Projector:
    """One worker. `run` returns when `stop` is set; it raises only named errors that need a person."""

    def __init__(
        self,
        *,
        consumer_options: Mapping[str, object],
        database_url: str,
        rules: Rules,
        log_epoch: int,
        worker: bytes,
        projection: str = "public",
        ends: Mapping[TopicPartition, int] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        """`projection`: the schema that is written; `ends`: where to stop reading; `log_epoch`: of the logs read."""
        self._consumer_options = consumer_options
        self._database_url = database_url
        self._rules = rules
        self.log_epoch = log_epoch
        self._worker = worker
        self._projection = projection
        self._ends = ends
        self._rate_limit = rate_limit
        self._reader = BatchReader(rules)
        self._caution = Caution()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises LogRecreated, LogTruncated and other TandemErrors."""
        caution, failures = self._caution, 0
        try:
            while not stop.is_set():
                before = caution.batches
                try:
                    await self._work_session(stop)
                except _RECOVERABLE as error:
                    failures = 0 if caution.batches > before else failures + 1
                    caution.failed(stale=isinstance(error, Stale))
                    pause = min(5.0, 0.05 * 2**failures)
                    log.warning("projector starts over", error=type(error).__name__, detail=str(error), pause=pause)
                    await _wait(stop, pause)
        finally:
            await self._reader.close()

    async def _work_session(self, stop: asyncio.Event) -> None:
        """Work over one set of connections, until `stop` or an error."""
        database = (self._database_url, self._projection)
        async with AsyncExitStack() as stack:
            writer = await stack.enter_async_context(closing(await open_writer(*database)))
            lookups, ahead, control = [
                await stack.enter_async_context(closing(await open_engine_connection(*database))) for _ in range(3)
            ]
            consumer = AIOKafkaConsumer(**self._consumer_options)
            await consumer.start()
            # aiokafka starts a task that cannot be stopped before it has run once: a CancelledError would escape
            await asyncio.sleep(0)
            stack.push_async_callback(consumer.stop)
            await enrol(control, self._worker, writer.get_server_pid())
            cache = Cache(lookups, self._rules, await load_register(lookups))
            await check_playbook(control, self._rules.digest)  # the projections may have been switched
            departments = await read_departments(control)
            session = WorkSession(
                writer=writer,
                assignment=Assignment(
                    consumer=consumer,
                    control=control,
                    worker=self._worker,
                    log_epoch=self.log_epoch,
                    ends=self._ends,
                ),
                look_ahead=LookAhead(ahead, self._reader, departments),
                cache=cache,
                preparation=Preparation(cache, self._reader, departments),
                caution=self._caution,
                rate_limit=self._rate_limit,
            )
            await session.work(stop)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
