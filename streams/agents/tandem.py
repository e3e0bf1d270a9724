"""What an agent's file is given beside the application: topics to read, and ways to publish."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import faust
import msgspec
import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord
from faust.agents import current_agent

from schemas.answers.events import Rejected
from schemas.errors import TandemError
from schemas.rejection import Rejection
from streams.agents.app import Topic
from streams.agents.records import Records
from streams.agents.settings import AgentSettings
from streams.gateway import Gateway
from streams.kafka import create_missing

log = structlog.get_logger(__name__)

#: Settings of a topic whose records nobody may lose.
FOR_EVER = {"retention.ms": "-1", "max.message.bytes": "16777216"}


class Tandem:
    """Kafka and the contracts, as agents use them. Its topics are for `@app.agent`."""

    def __init__(self, app: faust.App, settings: AgentSettings) -> None:
        self.settings = settings
        self.prefix = settings.kafka.topic_prefix  #: first part of the topics' names
        self.topics = {dead_letters(self.prefix): FOR_EVER}  #: name -> settings: made before agents start
        self.records: dict[str, Records] = {}  #: agent -> what it reads
        self.shown: dict[str, Callable[[], Any]] = {}  #: name -> what the agents' port shows under it, as JSON
        self._app = app
        self._gateway = Gateway(settings.kafka)
        self._producer: AIOKafkaProducer | None = None

    @property
    def transitions(self) -> Topic:
        """The changes of stage, as dicts."""
        return self.topic(f"{self.prefix}.transitions")

    @property
    def journeys(self) -> Topic:
        """The journeys as they are now, as dicts; None where one is no more."""
        return self.topic(f"{self.prefix}.journeys")

    def topic(self, name: str, *, raw: bool = False, new_only: bool = False, since: timedelta | None = None) -> Topic:
        """A topic to read, its values decoded from JSON; `raw` leaves them bytes.

        An agent that starts for the first time begins at the beginning; with `new_only`, behind what is there. With
        `since`, it reads everything from that long ago at each start, in each process.
        """
        open_records = partial(self._open, name, new_only=new_only, since=since)
        return Topic(self._app, open_records=open_records, raw=raw, on_unfit=self._unfit)

    async def publish(self, owner: str, event: Mapping[str, Any]) -> None:
        """Publish an event to a department's topic; returns when the broker has it.

        Raises Rejection where the contracts do not take it, and BrokerUnavailable.
        """
        [answer] = await self._gateway.publish(owner, msgspec.json.encode(event))
        if isinstance(answer, Rejected):
            raise Rejection(answer.reason, answer.field, answer.message)

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Send a record to any topic; returns when the broker has it."""
        assert self._producer is not None, "agents run after start"
        await self._producer.send_and_wait(topic, value, key=key, headers=headers)

    async def dead_letter(self, event: Any, reason: str, message: str) -> None:
        """Keep an event's record, byte for byte, with its place and the reason, in `<prefix>.dead-letters`."""
        await self._bury(event.message, list(event.message.headers.items()), reason, message)

    async def _unfit(self, record: ConsumerRecord, error: TandemError) -> None:
        await self._bury(record, list(record.headers), "not_json", str(error))

    async def _bury(self, record: Any, headers: list[tuple[str, bytes]], reason: str, message: str) -> None:
        place = f"{record.topic}/{record.partition}/{record.offset}"
        said = {"tandem-place": place, "tandem-reason": reason, "tandem-message": message}
        headers = [*headers, *((name, text.encode()) for name, text in said.items())]
        await self.send(dead_letters(self.prefix), key=record.key, value=record.value, headers=headers)
        agent = current_agent()
        if agent is not None and (records := self.records.get(agent.name)) is not None:
            records.dead_letters += 1
        log.warning(
            "record is a dead letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
            kept_in=dead_letters(self.prefix),
        )

    async def start(self) -> None:
        """Make the topics that agents write, and connect. Raises KafkaUnreachable or TopicUnfit."""
        await create_missing(self.settings.kafka, self.topics)
        await self._gateway.start()
        self._producer = AIOKafkaProducer(**self.settings.kafka.producer_options(), max_request_size=16 * 1024 * 1024)
        await self._producer.start()

    async def stop(self) -> None:
        """Commit what is finished, and disconnect."""
        for records in self.records.values():
            await records.close()
        if self._producer is not None:
            await self._producer.stop()
        await self._gateway.stop()

    def _open(self, topic: str, agent: str, *, new_only: bool, since: timedelta | None) -> Records:
        group = f"{self.prefix}-agents-{agent}"
        found = Records(self.settings.kafka, topic, group, new_only=new_only, since=since)
        self.records[agent] = found
        return found


def dead_letters(prefix: str) -> str:
    """The topic of records that agents could not take."""
    return f"{prefix}.dead-letters"
