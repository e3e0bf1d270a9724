"""The producer: facts of one department's system, delivered or reported, never silently dropped."""

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack, get_args
from uuid import UUID

from tandem.deprecation import warn
from tandem.envelope import Encoded, encode_event
from tandem.errors import BufferFull, DeliveryFailed, TandemError, Undelivered
from tandem.events import EventData
from tandem.http import HttpTransport
from tandem.identifiers import Identifier, identifiers_of
from tandem.ids import uuid7_source
from tandem.kafka import KafkaOptions, KafkaTransport
from tandem.terms import EventDepartment
from tandem.transport import Receipt, Transport

_T = TypeVar("_T")
_P = ParamSpec("_P")

OnDelivery = Callable[[str, Receipt | DeliveryFailed], None]


def _now() -> datetime:
    return datetime.now(UTC)


def _accepts_owner(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Takes `owner=` for `department=`, as releases before 0.2 called it, and warns; ends with release 0.3."""

    @functools.wraps(function)
    def with_department(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if "owner" in kwargs:
            if "department" in kwargs:
                raise TypeError("department= and owner= are one thing: give department= only")
            warn("owner= will end with release 0.3: write department=")
            kwargs["department"] = kwargs.pop("owner")
        return function(*args, **kwargs)

    return with_department


def make_transport(
    department: EventDepartment,
    kafka: str | None,
    http: str | None,
    api_key: str | None,
    topic_prefix: str,
    delivery_timeout: float,
    options: KafkaOptions,
) -> Transport:
    """The transport for an address: `kafka` is a bootstrap list, `http` the API's base URL, with its key."""
    if department not in get_args(EventDepartment):
        raise TandemError(f"unknown department {department!r}: use one of {', '.join(get_args(EventDepartment))}")
    unknown = sorted(set(options) - set(KafkaOptions.__annotations__))
    if unknown:
        raise TypeError(f"unknown option {unknown[0]}=: the producer and aiokafka have none of this name")
    if (kafka is None) == (http is None):
        raise TandemError("name either kafka='host:9092' or http='http://host:8765'")
    if kafka is not None:
        return KafkaTransport(kafka, f"{topic_prefix}.{department}.events", delivery_timeout, **options)
    if options:
        raise TandemError(f"{min(options)}= is for Kafka: it goes with kafka=, not with http=")
    return HttpTransport(str(http), department, delivery_timeout, api_key=api_key)


class AsyncProducer:
    """Publishes the facts of one source of a department: marketing's, sales', or both departments' (joint).

    At most `max_events` events are under way; `emit` waits for a free place. Use it as a context manager: leaving it
    delivers everything or raises Undelivered.
    """

    @_accepts_owner
    def __init__(
        self,
        *,
        department: EventDepartment,
        source: str,
        kafka: str | None = None,
        http: str | None = None,
        api_key: str | None = None,
        transport: Transport | None = None,
        topic_prefix: str = "tandem",
        max_events: int = 10_000,
        delivery_timeout: float = 120.0,
        on_delivery: OnDelivery | None = None,
        clock: Callable[[], datetime] = _now,
        new_id: Callable[[], UUID] | None = None,
        **kafka_options: Unpack[KafkaOptions],
    ) -> None:
        """Give `kafka`, a list of brokers "host:9092,...", or `http`, the API's address, with its `api_key`.

        `source` is the system's own name. `delivery_timeout` is in seconds. `on_delivery` is called with the event's id
        and a Receipt or a DeliveryFailed. `clock` gives aware times. `kafka_options` go to aiokafka.
        Raises TandemError if these do not fit together.
        """
        self._department, self._source = department, source
        self._transport = transport or make_transport(
            department, kafka, http, api_key, topic_prefix, delivery_timeout, kafka_options
        )
        self._places = asyncio.Semaphore(max_events)
        self._on_delivery = on_delivery
        self._clock = clock
        self._new_id = new_id or uuid7_source()
        self._under_way: set[asyncio.Future[Receipt]] = set()
        self._failed: list[tuple[str, bytes]] = []

    async def start(self) -> Self:
        """Connect."""
        await self._transport.start()
        return self

    async def emit(
        self,
        event: str | EventData,
        *,
        identities: Iterable[Identifier],
        data: Mapping[str, Any] | None = None,
        occurred_at: datetime | None = None,
        id: UUID | None = None,
        version: int | None = None,
        consent: Mapping[str, bool] | None = None,
    ) -> "asyncio.Future[Receipt]":
        """Take one event, waiting for a free place; await the answer to know that it was delivered.

        `event` is a typed event of tandem.events, or a type's name with its `data`; `identities` says whom it is about.
        `occurred_at` must have a time zone and is now by default. `id` is a new UUIDv7 by default: give
        tandem.event_id(source, own_id) if the source has ids of its own.
        Raises InvalidEvent, which names the field. The answer fails with DeliveryFailed.
        """
        encoded = encode_event(
            event,
            department=self._department,
            source=self._source,
            id_=id or self._new_id(),
            occurred_at=occurred_at or self._clock(),
            identities=identities,
            data=data,
            version=version,
            consent=consent,
        )
        await self._places.acquire()
        try:
            answer = await self._transport.send(encoded)
        except BaseException:
            self._places.release()
            raise
        self._under_way.add(answer)
        answer.add_done_callback(lambda done: self._settled(encoded, done))
        return answer

    def _settled(self, event: Encoded, done: "asyncio.Future[Receipt]") -> None:
        self._under_way.discard(done)
        self._places.release()
        if done.cancelled():
            outcome: Receipt | DeliveryFailed = DeliveryFailed(event.id, "cancelled", "its answer was cancelled")
        else:
            error = done.exception()
            outcome = error if isinstance(error, DeliveryFailed) else done.result()
        if isinstance(outcome, DeliveryFailed):
            self._failed.append((event.id, event.value))
        if self._on_delivery is not None:
            self._on_delivery(event.id, outcome)

    async def flush(self) -> None:
        """Wait until every event taken so far is delivered or has failed."""
        while self._under_way:
            await asyncio.wait(list(self._under_way))

    @property
    def undelivered(self) -> tuple[tuple[str, bytes], ...]:
        """(id, bytes) of the events that failed."""
        return tuple(self._failed)

    async def close(self) -> None:
        """Deliver what is under way, and disconnect. Raises Undelivered if events failed."""
        try:
            await self.flush()
        finally:
            await self._transport.stop()
        if self._failed:
            raise Undelivered(self._failed)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
            return
        await self.flush()
        await self._transport.stop()  # the error under way says more than the events that failed


class Producer:
    """The same for code without an event loop; it may be used from several threads."""

    @_accepts_owner
    def __init__(
        self,
        *,
        department: EventDepartment,
        source: str,
        kafka: str | None = None,
        http: str | None = None,
        api_key: str | None = None,
        transport: Transport | None = None,
        topic_prefix: str = "tandem",
        max_events: int = 10_000,
        delivery_timeout: float = 120.0,
        on_delivery: OnDelivery | None = None,
        clock: Callable[[], datetime] = _now,
        new_id: Callable[[], UUID] | None = None,
        **kafka_options: Unpack[KafkaOptions],
    ) -> None:
        """Takes what AsyncProducer takes, and connects. `on_delivery` is called on the producer's own thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tandem-producer", daemon=True)
        self._thread.start()

        async def start() -> AsyncProducer:
            return await AsyncProducer(
                department=department,
                source=source,
                kafka=kafka,
                http=http,
                api_key=api_key,
                transport=transport,
                topic_prefix=topic_prefix,
                max_events=max_events,
                delivery_timeout=delivery_timeout,
                on_delivery=on_delivery,
                clock=clock,
                new_id=new_id,
                **kafka_options,
            ).start()

        try:
            self._producer = self._call(start())
        except BaseException:
            self._end()
            raise

    def emit(
        self,
        event: str | EventData,
        *,
        identities: Iterable[Identifier],
        data: Mapping[str, Any] | None = None,
        occurred_at: datetime | None = None,
        id: UUID | None = None,
        version: int | None = None,
        consent: Mapping[str, bool] | None = None,
        timeout: float | None = None,
    ) -> "concurrent.futures.Future[Receipt]":
        """As AsyncProducer.emit. Blocks while the buffer is full; raises BufferFull after `timeout` seconds."""
        receipt: concurrent.futures.Future[Receipt] = concurrent.futures.Future()
        named = identifiers_of(identities)

        async def take() -> None:
            answer = await self._producer.emit(
                event,
                identities=named,
                data=data,
                occurred_at=occurred_at,
                id=id,
                version=version,
                consent=consent,
            )
            answer.add_done_callback(lambda done: _copy(done, receipt))

        try:
            self._call(take(), timeout)
        except TimeoutError as error:
            raise BufferFull(f"no place in the buffer became free in {timeout} s") from error
        return receipt

    def flush(self) -> None:
        """Wait until every event taken so far is delivered or has failed."""
        self._call(self._producer.flush())

    @property
    def undelivered(self) -> tuple[tuple[str, bytes], ...]:
        """(id, bytes) of the events that failed."""
        return self._producer.undelivered

    def close(self) -> None:
        """Deliver what is under way, and disconnect. Raises Undelivered if events failed."""
        try:
            self._call(self._producer.close())
        finally:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call(self._producer.__aexit__(kind, error, trace))
        finally:
            self._end()

    def _call(self, coroutine: Coroutine[Any, Any, _T], timeout: float | None = None) -> _T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _copy(done: "asyncio.Future[Receipt]", receipt: "concurrent.futures.Future[Receipt]") -> None:
    if done.cancelled():
        receipt.cancel()
    elif (error := done.exception()) is not None:
        receipt.set_exception(error)
    else:
        receipt.set_result(done.result())
