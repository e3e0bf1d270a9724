"""Straight to Kafka."""

import asyncio
import ssl
from typing import Any, TypedDict, Unpack

from aiokafka import AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError, UnknownError

from tandem.envelope import MAX_BYTES, Encoded
from tandem.errors import DeliveryFailed, TandemError
from tandem.transport import Receipt


class KafkaOptions(TypedDict, total=False):
    """What may be said of the connection to Kafka: options of aiokafka's producer."""

    client_id: str | None
    security_protocol: str  #: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str  #: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, GSSAPI or OAUTHBEARER
    sasl_plain_username: str | None
    sasl_plain_password: str | None
    sasl_kerberos_service_name: str
    sasl_kerberos_domain_name: str | None
    sasl_oauth_token_provider: AbstractTokenProvider | None
    enable_idempotence: bool
    compression_type: str | None  #: gzip, snappy, lz4 or zstd
    linger_ms: int
    max_batch_size: int  #: bytes
    max_request_size: int  #: bytes
    request_timeout_ms: int
    retry_backoff_ms: int
    metadata_max_age_ms: int
    connections_max_idle_ms: int


class KafkaTransport:
    """An idempotent Kafka producer: acknowledged by all replicas, retried without duplicates or reordering."""

    def __init__(self, bootstrap: str, topic: str, delivery_timeout: float, **options: Unpack[KafkaOptions]) -> None:
        self._topic = topic
        self._options: dict[str, Any] = {
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
