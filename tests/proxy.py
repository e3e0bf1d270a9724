"""A TCP proxy that cuts connections where a test says, also in the middle of an event."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


@asynccontextmanager
async def cutting(upstream: Callable[[], str], allowed: Callable[[], int]) -> AsyncIterator[tuple[str, list[int]]]:
    """(base URL, bytes that each cut connection was answered): a connection is cut after `allowed()` bytes of answer.

    `upstream` is asked for each connection; where nobody listens, the connection is cut at once.
    """
    cuts: list[int] = []
    under_way: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(asyncio.current_task())  # type: ignore[arg-type]
        limit = left = allowed()
        address = urlsplit(upstream())
        try:
            answers, asks = await asyncio.open_connection(address.hostname, address.port)
        except OSError:
            writer.transport.abort()
            return
        asking = asyncio.create_task(_pump(reader, asks))
        try:
            while left > 0 and (data := await answers.read(min(left, 65_536))):
                writer.write(data)
                await writer.drain()
                left -= len(data)
            cuts.append(limit - left)
        except OSError:
            pass  # the client left
        finally:
            asking.cancel()
            writer.transport.abort()
            asks.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", cuts
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
