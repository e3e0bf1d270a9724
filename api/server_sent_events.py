"""The change feed as server-sent events: one frame a message, until the subscriber leaves or is let go."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access.caller import Refused
from api.feed.cursor import Cursor
from api.feed.hub import Message
from api.http.answers import encode
from api.subscription import FAILURES, NOTHING, FeedNotReady, FeedReset, Following
from schemas.answers.changes import Reset

MEDIA_TYPE = "text/event-stream"
Note = Callable[[list[Message]], Awaitable[None]]  #: records that a batch is read. Raises Refused
_STUCK_SECONDS = 10.0  #: after which a subscriber that takes nothing is let go
_RETRY_MS = 2_000


class EventStream(Response):
    """Server-sent events (WHATWG HTML, section 9.2): goes on until the subscriber leaves or is let go."""

    media_type = MEDIA_TYPE

    def __init__(self, following: Following, note: Note, start: Cursor) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._following = following
        self._note = note
        self._start = start

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        streaming = asyncio.ensure_future(self._stream(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait([streaming, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            streaming.cancel()
            leaving.cancel()
            outcome, _left_too = await asyncio.gather(streaming, leaving, return_exceptions=True)
        if isinstance(outcome, Exception) and not isinstance(outcome, TimeoutError):
            raise outcome

    async def _stream(self, send: Send) -> None:
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                async with asyncio.timeout(_STUCK_SECONDS):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        # not all at once: who was cut off together does not come back together
        retry = int(_RETRY_MS * (0.5 + random.random()))  # noqa: S311
        yield b"retry: %d\n\n" % retry + _frame(Message("progress", self._start, NOTHING))
        try:
            async with aclosing(self._following.batches(self._start)) as batches:
                async for batch in batches:
                    await self._note(batch)
                    yield b"".join([_frame(message) for message in batch])
        except FeedReset as error:
            # an empty id: who comes back by itself does not come back with the cursor that was refused
            yield b"id\nevent: reset\ndata: %b\n\n" % encode(Reset(reason=error.reason))
        except (FeedNotReady, Refused, *FAILURES):
            return  # the subscriber comes back with its cursor


def _frame(message: Message) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (str(message.cursor).encode(), message.event.encode(), message.data)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
