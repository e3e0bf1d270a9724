"""The log of reads: many requests share one write, and each waits until it is durable."""

import asyncio

import asyncpg

from store.reads import Read, write_reads

_GATHER_SECONDS = 0.005  #: that a read waits for others to be written with


class ReadLog:
    """Writes reads in groups."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._waiting: list[tuple[Read, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, read: Read) -> bool:
        """Whether the read is recorded, durably."""
        recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((read, recorded))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._run())
        return await recorded

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(_GATHER_SECONDS)
            group, self._waiting = self._waiting, []
            done = await self._written([read for read, _ in group])
            for _, recorded in group:
                if not recorded.done():  # whoever asked may have gone
                    recorded.set_result(done)

    async def _written(self, reads: list[Read]) -> bool:
        try:
            await write_reads(self._pool, reads)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        return True
