"""Over HTTP, for systems that do not speak Kafka."""

import asyncio
import random
from collections.abc import Callable

import httpx
import msgspec

from tandem.answers import Accepted, Published
from tandem.envelope import Encoded
from tandem.errors import DeliveryFailed
from tandem.responses import RETRIED, bearer, pause_before, problem_of, retry_after
from tandem.terms import EventDepartment
from tandem.transport import Receipt

_BATCH = 500  #: events of one request, at most
_BATCH_BYTES = 4 * 1024 * 1024

_Item = tuple[Encoded, "asyncio.Future[Receipt]"]


class HttpTransport:
    """One request at a time, in order; the same bytes again until they are answered or the time is over."""

    def __init__(
        self,
        base_url: str,
        department: EventDepartment,
        delivery_timeout: float,
        jitter: Callable[[], float] = random.random,
        api_key: str | None = None,
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/v1/events"
        self._department = department
        self._delivery_timeout = delivery_timeout
        self._jitter = jitter
        self._headers = bearer(api_key)
        self._queue: asyncio.Queue[_Item] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Make ready; the first request connects."""
        self._client = httpx.AsyncClient(timeout=30, headers=self._headers)
        self._task = asyncio.create_task(self._run(self._client))

    async def stop(self) -> None:
        """Disconnect; events not answered yet fail."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while not self._queue.empty():
            _fail([self._queue.get_nowait()], "stopped", "the producer was stopped")
        if self._client is not None:
            await self._client.aclose()

    async def send(self, event: Encoded) -> "asyncio.Future[Receipt]":
        """Queue an event for the next request."""
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((event, answer))
        return answer

    async def _run(self, client: httpx.AsyncClient) -> None:
        held: _Item | None = None
        while True:
            batch = [held or await self._queue.get()]
            held, size = None, len(batch[0][0].value)
            while len(batch) < _BATCH and not self._queue.empty() and held is None:
                item = self._queue.get_nowait()
                size += len(item[0].value)
                if size > _BATCH_BYTES:
                    held = item
                else:
                    batch.append(item)
            try:
                await self._deliver(client, batch)
            except asyncio.CancelledError:
                _fail([*batch, *([held] if held else [])], "stopped", "the producer was stopped")
                raise

    async def _deliver(self, client: httpx.AsyncClient, batch: list[_Item]) -> None:
        body = b"[" + b",".join(event.value for event, _ in batch) + b"]"
        clock = asyncio.get_running_loop().time
        deadline, tries, last = clock() + self._delivery_timeout, 0, "no answer"
        while True:
            pause = pause_before(tries, self._jitter())
            try:
                response = await client.post(self._url, params={"department": self._department}, content=body)
            except httpx.TransportError as error:
                last = f"{type(error).__name__} {error}".strip()
            else:
                if response.status_code == httpx.codes.OK:
                    _settle(batch, response)
                    return
                last = problem_of(response).detail
                if response.status_code not in RETRIED:
                    _fail(batch, str(response.status_code), last)
                    return
                pause = max(pause, retry_after(response))
            if clock() + pause > deadline:
                _fail(batch, "timeout", f"not answered in {self._delivery_timeout} s; the last try said: {last}")
                return
            tries += 1
            await asyncio.sleep(pause)


def _settle(batch: list[_Item], response: httpx.Response) -> None:
    try:
        results = msgspec.json.decode(response.content, type=Published).results
    except msgspec.DecodeError as error:
        _fail(batch, "protocol", f"{response.url} answered something else than expected ({error}): is it Tandem's API?")
        return
    if len(results) != len(batch):
        _fail(batch, "protocol", f"{len(batch)} events were sent and {len(results)} answered")
        return
    for (event, future), result in zip(batch, results, strict=True):
        if future.done():
            continue
        if isinstance(result, Accepted):
            future.set_result(Receipt(event.id, result.topic, result.partition, result.offset))
        else:
            message = f"{result.field}: {result.message}" if result.field else result.message
            future.set_exception(DeliveryFailed(event.id, result.reason, message))


def _fail(batch: list[_Item], reason: str, message: str) -> None:
    for event, future in batch:
        if not future.done():
            future.set_exception(DeliveryFailed(event.id, reason, message))
