"""Clients that read over HTTP, each waiting for its answer: a light process of its own.

`python -m bench.readers HOST PORT SECONDS` reads a line of JSON, the paths to ask for in turn, and answers with the
milliseconds of every answer.
"""

import asyncio
import json
import sys
import time

import uvloop

_READERS = 8
_GOOD = (b"HTTP/1.1 200", b"HTTP/1.1 404")


async def ask(host: str, port: int, seconds: float, paths: list[str]) -> list[float]:
    """Milliseconds of every answer."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def read(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        while time.perf_counter() < end:
            number = number * 7919 + 13 & 0x7FFFFFFF
            start = time.perf_counter()
            writer.write(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (paths[number % len(paths)].encode(), host.encode()))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
            assert head.startswith(_GOOD), head
            latencies.append((time.perf_counter() - start) * 1000)
        writer.close()

    await asyncio.gather(*(read(n) for n in range(_READERS)))
    return latencies


def main() -> None:
    """Ask, and print."""
    host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    print(json.dumps(uvloop.run(ask(host, port, seconds, json.loads(sys.stdin.readline())))))


if __name__ == "__main__":
    main()
