"""Straight to Kafka."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownError

from tandem.envelope import MAX_BYTES, Encoded
from tandem.errors import DeliveryFailed, TandemError
from tandem.transport import Receipt


class KafkaTransport:
    """An idempotent Kafka producer: acknowledged by all replicas, retried without duplicates or reordering."""

    def __init__(self, bootstrap: str, topic: str, delivery_timeout: float, **options: Any) -> None:
        self._topic = topic
        self._options = {
            "bootstrap_servers": bootstrap,
            "enable_idempotence": True,
            "acks": "all",
            "linger_ms": 5,
            "max_batch_size": 128 * 1024,
            "max_request_size": MAX_BYTES + 65_536,
            "request_timeout_ms": int(delivery_timeout * 1000),
            "retry_backoff_ms": 100,
            **options,
        }
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises what aiokafka raises."""
        producer = AIOKafkaProducer(**self._options)
        try:
            await producer.start()
        except UnknownError as error:
            await producer.stop()
            raise TandemError(
                "the broker refuses idempotent producers (an in-memory broker does): pass enable_idempotence=False; "
                "a retried event may then be written twice, which Tandem takes as one by its id"
            ) from error
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Send what is buffered, and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, event: Encoded) -> "asyncio.Future[Receipt]":
        """Hand an event to the producer's batches."""
        assert self._producer is not None, "the transport was started"
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        try:
            sent = await self._producer.send(self._topic, event.value, key=event.key)
        except KafkaError as error:
            answer.set_exception(DeliveryFailed(event.id, type(error).__name__, str(error)))
            return answer
        sent.add_done_callback(lambda done: _settle(answer, event, done))
        return answer


def _settle(answer: "asyncio.Future[Receipt]", event: Encoded, done: "asyncio.Future[Any]") -> None:
    if answer.done():
        return
    if done.cancelled():
        answer.set_exception(DeliveryFailed(event.id, "cancelled", "the producer was stopped"))
    elif (error := done.exception()) is not None:
        answer.set_exception(DeliveryFailed(event.id, type(error).__name__, str(error)))
    else:
        place = done.result()
        answer.set_result(Receipt(event.id, place.topic, place.partition, place.offset))
