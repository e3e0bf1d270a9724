"""Many subscribers of the change feed in one process: `python -m bench.subscribers URL`. Ends on SIGTERM, with JSON."""

import argparse
import asyncio
import gc
import json
import os
import signal
import time
from datetime import datetime
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import uvloop

from bench.scenarios import percentiles

_AT = b'"at":"'
_AT_LENGTH = len("2026-11-25T19:20:00.000000Z")


class Subscriber(asyncio.Protocol):
    """Counts the changes that come, and notes when each was committed and when it came."""

    def __init__(self, host: str, query: str, came: list[tuple[float, bytes]]) -> None:
        self._request = f"GET /v1/changes?{query} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n"
        self._came = came
        self._rest = b""
        self.changes = 0
        self.ended = False
        self.told = asyncio.Event()  #: anything, such as where the feed is

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        cast(asyncio.Transport, transport).write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        """Look at the events that are complete."""
        now = time.time()
        self.told.set()
        *frames, self._rest = (self._rest + data).split(b"\n\n")
        for frame in frames:
            place = frame.find(_AT)
            if place >= 0:
                self.changes += 1
                begin = place + len(_AT)
                self._came.append((now, frame[begin : begin + _AT_LENGTH]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody may be cut off."""
        self.ended = True


async def subscribe(url: str, idle: int, busy: int, accounts: int) -> None:
    """Listen until SIGTERM, then say what came. Prints a line once all are connected."""
    loop, where = asyncio.get_running_loop(), urlsplit(url)
    came: list[tuple[float, bytes]] = []
    queries = [f"account=idle{n}" for n in range(idle)] + [f"account=a{n % accounts}" for n in range(busy)]
    subscribers = [Subscriber(where.netloc, query, came) for query in queries]
    for subscriber in subscribers:
        await loop.create_connection(partial(_same, subscriber), where.hostname or "", where.port or 80)
    for subscriber in subscribers:
        await subscriber.told.wait()
    print("connected", flush=True)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    latencies = [(now - datetime.fromisoformat(at.decode()).timestamp()) * 1000 for now, at in came]
    found = percentiles(latencies) if len(latencies) > 1 else None
    result = {
        "changes": [subscriber.changes for subscriber in subscribers[idle:]],
        "cut_off": sum(subscriber.ended for subscriber in subscribers),
        "p50_ms": round(found.p50_ms, 1) if found else None,
        "p99_ms": round(found.p99_ms, 1) if found else None,
        "max_ms": round(max(latencies), 1) if latencies else None,
    }
    print(json.dumps(result), flush=True)


def _same(subscriber: Subscriber) -> Subscriber:
    return subscriber


def main() -> None:
    """Listen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--idle", type=int, default=1_000)
    parser.add_argument("--busy", type=int, default=100)
    parser.add_argument("--accounts", type=int, default=20)
    args = parser.parse_args()
    gc.disable()  # full collections would stop it, and count as latency
    os.nice(10)  # real subscribers run on other machines: their cost is not measured
    uvloop.run(subscribe(args.url, args.idle, args.busy, args.accounts))


if __name__ == "__main__":
    main()
