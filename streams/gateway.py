"""The gateway: events over HTTP into Kafka. An event is accepted when the broker has acknowledged it, not before."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.answers.events import Accepted, Rejected
from schemas.decode import decode
from schemas.envelope import MAX_BYTES
from schemas.errors import TandemError
from schemas.event import Event
from schemas.ids import format_id
from schemas.rejection import Rejection
from streams.kafka import KafkaSettings, event_topics, unreachable

MAX_EVENTS = 1_000  #: of one request
MAX_BODY = 8 * 1024 * 1024  #: bytes of one request, decompressed
_PENDING_BYTES = 64 * 1024 * 1024  #: of all requests; beyond, new ones are turned away
_ACKNOWLEDGE_SECONDS = 8.0

_events = msgspec.json.Decoder(list[msgspec.Raw])
_IDENTITY_ORDER = ("user_id", "crm_contact", "crm_lead", "email", "phone", "anonymous_id", "account")


class BrokerUnavailable(TandemError):
    """The broker did not acknowledge in time. Nothing is known to be written: send the same events again."""


class InvalidBody(TandemError):
    """The request as a whole is no event and no array of events."""


class Gateway:
    """Takes events for the departments' topics."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._topics = event_topics(kafka)
        self._producer: AIOKafkaProducer | None = None
        self._pending = 0

    async def start(self) -> None:
        """Connect. Raises KafkaUnreachable."""
        producer = AIOKafkaProducer(
            **self._kafka.producer_options(),
            linger_ms=2,
            max_request_size=MAX_BYTES + 65_536,
            request_timeout_ms=int(_ACKNOWLEDGE_SECONDS * 1000),
        )
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise await unreachable(self._kafka, error) from error
        self._producer = producer

    async def stop(self) -> None:
        """Send what is under way, and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def publish(
        self, owner: str, body: bytes, admit: Callable[[Event], None] = lambda _: None
    ) -> list[Accepted | Rejected]:
        """Publish one event or an array; one answer for each, in order. `admit` raises Rejection for what may not be.

        Raises InvalidBody, or BrokerUnavailable where nothing may be called accepted.
        """
        if self._producer is None or self._pending + len(body) > _PENDING_BYTES:
            raise BrokerUnavailable("too much is waiting for the broker: send the same events again in a moment")
        values = split(body)
        self._pending += len(body)
        try:
            async with asyncio.timeout(_ACKNOWLEDGE_SECONDS):
                return await self._publish(self._producer, owner, values, admit)
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnavailable(
                f"the broker did not acknowledge ({type(error).__name__}): send the same events again"
            ) from error
        finally:
            self._pending -= len(body)

    async def _publish(
        self, producer: AIOKafkaProducer, owner: str, values: list[bytes], admit: Callable[[Event], None]
    ) -> list[Accepted | Rejected]:
        headers = [("received_at", datetime.now(UTC).isoformat().encode())]
        found: list[Rejected | tuple[str, asyncio.Future[Any]]] = []
        for value in values:
            try:
                event = decode(value, owner)
                admit(event)
            except Rejection as one:
                found.append(Rejected(reason=one.reason, field=one.field, message=one.message))
                continue
            future = await producer.send(self._topics[owner], value, key=key_of(event), headers=headers)
            found.append((format_id(event.id), future))
        return [one if isinstance(one, Rejected) else await _accepted(*one) for one in found]


async def _accepted(id_: str, sent: "asyncio.Future[Any]") -> Accepted:
    place = await sent
    return Accepted(id=id_, topic=place.topic, partition=place.partition, offset=place.offset)


def split(body: bytes) -> list[bytes]:
    """The events of a body, each as its own bytes. Raises InvalidBody."""
    if not body.lstrip().startswith(b"["):
        return [body]
    try:
        values = [bytes(raw) for raw in _events.decode(body)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidBody(f"the body is no JSON array: {error}") from error
    if len(values) > MAX_EVENTS:
        raise InvalidBody(f"the body holds {len(values)} events, at most {MAX_EVENTS} are taken at once")
    return values


def key_of(event: Event) -> bytes | None:
    """The record key: the event's strongest identifier. For locality only; nothing relies on it."""
    if not event.identities:
        return None
    type_, value = min(event.identities, key=lambda found: _IDENTITY_ORDER.index(found[0]))
    return f"{type_}:{value}".encode()
