# Made from tandem/_async by sdk/unasync.py: do not edit.
"""A subscription to the change feed: it mends cuts; no change is missed, and none comes twice."""

import time
from collections.abc import Generator, Mapping
from contextlib import closing

import httpx

from tandem import feed
from tandem.feed import Change, Jitter
from tandem.responses import pause_before, retry_after


class Subscription:
    """Changes without end: iterate over it. `cursor` is where one may go on: None before the API has first answered.

    Waits while the API is away. Raises FeedReset if one cannot go on from the cursor, ApiError for what does not pass.
    """

    def __init__(
        self,
        client: httpx.Client,
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

    def __iter__(self) -> Generator[Change, None, None]:
        with closing(self.runs()) as runs:
            for run in runs:
                reached = self.cursor
                for change in run:
                    self.cursor = change.cursor
                    yield change
                self.cursor = reached

    def runs(self) -> Generator[list[Change], None, None]:
        """The same, in lists of what came together; a list is empty where only the cursor has moved."""
        tries = 0
        while True:
            heard = 0
            try:
                with closing(self._connect()) as received:
                    for run, cursor in received:
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
            time.sleep(pause)

    def _connect(self) -> Generator[tuple[list[Change], str], None, None]:
        """(what came together, the cursor then), over one connection."""
        place = {"snapshot": "true"} if self._snapshot else {}
        if self.cursor is not None:
            place = {"cursor": self.cursor}
        with self._client.stream(
            "GET",
            feed.CHANGES,
            params={**self._filters, **place},
            headers={"Accept": feed.STREAM},
            timeout=feed.SILENCE,
        ) as response:
            if not feed.is_stream(response):
                response.read()
                feed.refuse(response)
            received = feed.Messages()
            for chunk in response.iter_bytes():
                messages = received.take(chunk)
                cursor = feed.cursor_of(messages)
                if cursor is not None:
                    yield feed.changes_of(messages), cursor
                feed.refuse_reset(messages)
