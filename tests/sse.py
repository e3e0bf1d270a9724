"""Servers of a feed that answer what a test wants, and how their messages look on the wire."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: No pauses between tries: the tests cut often.
EAGER: Callable[[], float] = lambda: -0.5  # noqa: E731


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[str, list[float]]]:
    """(base URL, when each connection came) of a server that gives these answers, the last one for ever."""
    came: list[float] = []
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers[min(len(came), len(answers) - 1)])
        came.append(asyncio.get_running_loop().time())

    server = await asyncio.start_server(serve, "127.0.0.1")
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", came
    server.close()
    for writer in writers:
        writer.transport.abort()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHANGE = {"seq": 1, "kind": "changed", "journey_id": "j", "journey": None, "new_field": 1}


def frame(event: str, data: object, cursor: str = "c") -> bytes:
    return f"id: {cursor}\nevent: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
