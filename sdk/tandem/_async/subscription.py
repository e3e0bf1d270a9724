"""A subscription to the change feed: it mends cuts; no change is missed, and none comes twice."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import httpx

from tandem import feed
from tandem.feed import Change, Jitter
from tandem.responses import pause_before, retry_after


class AsyncSubscription:
    """Changes without end: iterate over it. `cursor` is where one may go on: None before the API has first answered.

    Waits while the API is away. Raises FeedReset if one cannot go on from the cursor, ApiError for what does not pass.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        filters: Mapping[str, str],
        cursor: str | None,
        snapshot: bool,
        jitter: Jitter,
    ) -> None:
        self.cursor = cursor
        self._client = client
        self._filters = filters
        self._snapshot = snapshot
        self._jitter = jitter

    async def __aiter__(self) -> AsyncGenerator[Change, None]:
        async with aclosing(self.runs()) as runs:
            async for run in runs:
                reached = self.cursor
                for change in run:
                    self.cursor = change.cursor
                    yield change
                self.cursor = reached

    async def runs(self) -> AsyncGenerator[list[Change], None]:
        """The same, in lists of what came together; a list is empty where only the cursor has moved."""
        tries = 0
        while True:
            heard = 0
            try:
                async with aclosing(self._connect()) as received:
                    async for run, cursor in received:
                        heard += 1 + len(run)
                        self.cursor = cursor
                        yield run
                why, asked = "the stream ended", 0.0
            except httpx.HTTPStatusError as error:
                why, asked = f"the API answered {error.response.status_code}", retry_after(error.response)
            except feed.CUTS as error:
                why, asked = str(error) or type(error).__name__, 0.0
            # the first thing heard is only a greeting: it says nothing of whether the database answers
            tries = 0 if heard > 1 else tries + 1
            pause = max(asked, pause_before(tries, self._jitter()))
            feed.log.warning("the change feed was cut (%s); on again in %.1f s", why, pause)
            await asyncio.sleep(pause)

    async def _connect(self) -> AsyncGenerator[tuple[list[Change], str], None]:
        """(what came together, the cursor then), over one connection."""
        place = {"snapshot": "true"} if self._snapshot else {}
        if self.cursor is not None:
            place = {"cursor": self.cursor}
        async with self._client.stream(
            "GET",
            feed.CHANGES,
            params={**self._filters, **place},
            headers={"Accept": feed.STREAM},
            timeout=feed.SILENCE,
        ) as response:
            if not feed.is_stream(response):
                await response.aread()
                feed.refuse(response)
            received = feed.Messages()
            async for chunk in response.aiter_bytes():
                messages = received.take(chunk)
                cursor = feed.cursor_of(messages)
                if cursor is not None:
                    yield feed.changes_of(messages), cursor
                feed.refuse_reset(messages)
