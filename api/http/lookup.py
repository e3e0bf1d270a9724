"""Looking journeys up: while one question is with the database, the next ones gather, and are asked together.

A journey alone costs little more to find than the way to the database and back, so many requests at once share it.
"""

import asyncio

import asyncpg

from projections.journey.journey import Journey
from store.journeys import find_journeys

_AT_ONCE = 200


class Lookup:
    """Answers by key, over a pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._waiting: list[tuple[bytes, asyncio.Future[Journey | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def journey(self, key: bytes) -> Journey | None:
        """The journey that an identifier's key, or a present or former journey id, finds. Not to be changed.

        Raises what asyncpg raises.
        """
        answer: asyncio.Future[Journey | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            open_ = [(key, answer) for key, answer in group if not answer.done()]  # whoever asked may have gone
            try:
                async with self._pool.acquire() as connection:
                    journeys = await find_journeys(connection, {key for key, _ in open_})
            except Exception as error:  # each of them is told, and raises it
                for _, answer in open_:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for key, answer in open_:
                    if not answer.done():
                        answer.set_result(journeys.get(key))
