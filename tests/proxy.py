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
        try:
            address = urlsplit(upstream())
            answers, asks = await asyncio.open_connection(address.hostname, address.port)
            try:
                cuts.append(await _answer(reader, asks, answers, writer, allowed()))
            finally:
                asks.transport.abort()
        except OSError:
            pass  # nobody listens, or the client left
        finally:
            writer.transport.abort()  # also where the test ended while the connection was made

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", cuts
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _answer(
    reader: asyncio.StreamReader,
    asks: asyncio.StreamWriter,
    answers: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    allowed: int,
) -> int:
    """Carry a conversation until so many bytes were answered, or either side leaves: how many were."""
    left = allowed
    asking = asyncio.create_task(_pump(reader, asks))
    try:
        while left > 0 and (data := await answers.read(min(left, 65_536))):
            writer.write(data)
            await writer.drain()
            left -= len(data)
    finally:
        asking.cancel()
    return allowed - left


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
