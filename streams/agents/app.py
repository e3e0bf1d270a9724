"""Faust's agents on positions of ours.

Faust acknowledges a record when its loop over the stream ends, also when the agent raised or was cancelled, and one
consumer with one position serves all agents of an application (docs/decisions/agents.md). So the application here has
no consumer: each agent's stream reads its own records, and an agent that failed begins anew with the record it failed
on.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NoReturn

import faust
import orjson
import structlog
from faust.app.base import BootStrategy
from faust.exceptions import Skip
from faust.types import TP, ConsumerMessage
from mode.supervisors import SupervisorStrategy
from mode.utils.futures import maybe_async

from schemas.errors import TandemError
from streams.agents.records import Records

log = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.2  #: seconds before an agent that failed is started again; doubles with each failure
_LONGEST_PAUSE = 30.0
_STEADY_SECONDS = 60.0  #: an agent that ran for longer is started again as if it had never failed


class AgentFailed(TandemError):
    """An agent raised, or ended; it is started again with the record it failed on.

    Correct the agent, or let it call `tandem.dead_letter` for such records.
    """


class NotOffered(TandemError):
    """The agent uses something of Faust's that needs Faust's own consumer and position.

    Do without it: docs/decisions/agents.md says why.
    """


class UnfitRecord(TandemError):
    """The record's value is no JSON, so the agent's topic cannot hand it out.

    Correct the producer, or open the topic with raw=True.
    """


Open = Callable[[str], Records]  #: the records of the agent with this name


class Topic(faust.Channel[Any]):
    """A Kafka topic that agents read: what `tandem.topic` gives."""

    def __init__(self, app: faust.App, *, open_records: Open, raw: bool, on_unfit: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.open_records, self.raw, self.on_unfit = open_records, raw, on_unfit

    def _clone_args(self) -> dict[str, Any]:
        own = {"open_records": self.open_records, "raw": self.raw, "on_unfit": self.on_unfit}
        return {**super()._clone_args(), **own}


class Stream(faust.Stream[Any]):
    """One agent's stream. A record is finished when the agent asks for the next one, and not before."""

    channel: Topic
    records: Records | None = None

    async def __aiter__(self) -> AsyncIterator[Any]:
        records = self.records = self.records or self.channel.open_records(self.prefix)
        while True:
            record = await records.next()
            try:
                event = self._event(record)
                value = event.value
                for processor in self._processors:
                    value = await maybe_async(processor(value))
            except UnfitRecord as error:
                await self.channel.on_unfit(record, error)
            except Skip:
                pass
            else:
                self._set_current_event(event)
                yield value
                self._set_current_event(None)
            await records.finish(record)

    def _event(self, record: Any) -> Any:
        message = ConsumerMessage(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp / 1000,
            timestamp_type=record.timestamp_type,
            headers=dict(record.headers),
            key=record.key,
            value=record.value,
            checksum=record.checksum,
            serialized_key_size=record.serialized_key_size,
            serialized_value_size=record.serialized_value_size,
            tp=TP(record.topic, record.partition),
            generation_id=0,
        )
        value = record.value
        if value is not None and not self.channel.raw:
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError as error:
                raise UnfitRecord(f"the value is not JSON: {error}") from error
        return faust.Event(self.app, record.key, value, message.headers, message)

    def _enable_passive(self, *_: Any, **__: Any) -> NoReturn:
        """Behind take, group_by and through: they finish records that the agent has not seen yet."""
        raise NotOffered("take, group_by and through are not available to agents: loop over the stream itself")


class Supervisor(SupervisorStrategy):
    """Starts an agent that failed again, with growing pauses, for ever; the other agents do not notice."""

    _failures = 0
    _failed_at = 0.0

    def service_operational(self, service: Any) -> bool:
        """Whether it still runs: neither has it raised, nor has its loop come to an end."""
        return super().service_operational(service) and not service.actor_task.done()

    async def restart_service(self, service: Any) -> None:
        """Say what happened, pause, and start it again."""
        if not isinstance(service.crash_reason, asyncio.CancelledError):
            await self.sleep(self._pause(service))
        if self.should_stop:
            return
        index = self._index[service]
        assert self.replacement is not None, "agents replace their actors"
        replaced: Any = await self.replacement(service, index)
        self.insert(index, replaced)
        await replaced.maybe_start()

    def _pause(self, service: Any) -> float:
        now = asyncio.get_running_loop().time()
        if now - self._failed_at > _STEADY_SECONDS + _LONGEST_PAUSE:
            self._failures = 0
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**self._failures)
        self._failures, self._failed_at = self._failures + 1, now
        failed = AgentFailed(f"agent {service.agent.name} {_what_happened(service)}")
        if (records := service.stream.records) is not None:
            records.failures += 1
            records.last_error = str(failed)
        place = _place(service.crash_reason)
        log.error("agent failed", error=type(failed).__name__, detail=str(failed), **place, pause=pause)
        return pause


def _what_happened(service: Any) -> str:
    reason, records = service.crash_reason, service.stream.records
    what = "ended, and agents never do" if reason is None else f"raised {type(reason).__name__}: {reason}"
    if records is None or (record := records.current) is None:
        return what
    return f"{what} (at {record.topic}/{record.partition}/{record.offset}, which it gets again)"


def _place(reason: BaseException | None) -> dict[str, str]:
    """Where in the code it was raised; empty where nothing was."""
    frames = [] if reason is None else list(traceback.walk_tb(reason.__traceback__))
    if not frames:
        return {}
    frame, line = frames[-1]
    return {"at": f"{frame.f_code.co_filename}:{line}"}


class _Boot(BootStrategy):
    """Agents alone: no consumer, no producer, no web server and no tables of Faust's."""

    enable_kafka = False

    def producer_only(self) -> Any:
        return self.agents()


def create_app(name: str, folder: Path) -> faust.App:
    """The application that agents are declared on. `folder` is where Faust may leave files; nothing in it matters."""
    app = faust.App(
        name,
        datadir=folder,
        autodiscover=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        Stream=Stream,
        agent_supervisor=Supervisor,
    )
    app.boot_strategy = _Boot(app)
    app.producer_only = True
    return app


def close_unused(app: faust.App) -> None:
    """After the end: close the event loop of the consumer's thread, which Faust makes and nobody here runs."""
    consumer: Any = app._consumer
    if consumer is not None:
        consumer._thread.thread_loop.close()
