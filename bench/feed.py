"""The change feed with a thousand idle and a hundred busy subscribers: delivery, memory, what the projector pays."""

import asyncio
import json
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from statistics import mean
from subprocess import PIPE, Popen
from typing import Any

import aiohttp
import asyncpg

from bench.scenarios import catch_up, read_so_far, rss_mb, send_at, until_held, until_ready
from bench.services import Servers, Testbed, make_testbed
from bench.workload import Record, Workload, generate, record
from deploy.embedded.process import free_port

RATE = 2_000  #: changes a second
_IDLE, _BUSY, _ACCOUNTS = 1_000, 100, 20
_CUSTOMERS = 20_000
_WARM_UP = 3  #: seconds


async def measure_feed(on: Servers, seconds: int, events: int, seed: int) -> dict[str, float]:
    """Figures of both measurements."""
    return await delivery(await make_testbed(on), seconds, seed) | await price(on, events, seed)


async def delivery(testbed: Testbed, seconds: int, seed: int) -> dict[str, float]:
    """From commit to subscriber at a fixed rate. Each change is of one of twenty accounts; five follow each account."""
    connection = await asyncpg.connect(testbed.database_url)
    number = RATE * (seconds + _WARM_UP)
    with ExitStack() as stack:
        until_worker = stack.enter_context(testbed.running("work"))
        await until_held(connection, until_worker)
        async with _served(testbed) as (api, url), _subscribed(url) as subscribers:
            before = rss_mb(api)
            await send_at(testbed, list(_changes(number, seed)), RATE)
            while await read_so_far(connection) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            grown = rss_mb(api) - before
            told = await _end(subscribers)
        changes = await connection.fetchval("SELECT count(*) FROM changes")
    await connection.close()
    due = changes * _BUSY // _ACCOUNTS
    assert sum(told["changes"]) == due, f"of {due:,} changes the subscribers were told {sum(told['changes']):,}"
    return {
        "feed_changes_per_s": round(changes / (number / RATE)),
        "feed_p50_ms": told["p50_ms"],
        "feed_p99_ms": told["p99_ms"],
        "feed_max_ms": told["max_ms"],
        "feed_cut_off": told["cut_off"],
        "feed_api_grew_mb": round(grown, 1),
    }


async def price(on: Servers, events: int, seed: int) -> dict[str, float]:
    """The catch-up rate with all subscribers connected as a share of the rate with none, by turns.

    At some 16,000 events a second, of which every eighth is told to five subscribers: 2,000 changes and 10,000
    deliveries a second, beside thousands of changes that nobody wants.
    """
    alone, beside = list[float](), list[float]()
    for _ in range(3):
        for rates, listening in ((alone, False), (beside, True)):
            testbed = await make_testbed(on)
            async with _served(testbed) as (_, url):
                workload = _mixed(events, seed)
                if not listening:
                    rates.append((await catch_up(testbed, workload)).events_per_s)
                    continue
                async with _subscribed(url) as subscribers:
                    rates.append((await catch_up(testbed, workload)).events_per_s)
                    await _end(subscribers)
    return {
        "feed_catch_up_alone_per_s": round(mean(alone)),
        "feed_catch_up_beside_per_s": round(mean(beside)),
        "feed_catch_up_ratio": round(mean(beside) / mean(alone), 2),
    }


def _changes(number: int, seed: int) -> Iterator[Record]:
    """Events each of another person than the thousands before, so that each makes a change of its own."""
    chance = random.Random(seed)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(number):
        person = n % _CUSTOMERS
        who = {"user_id": f"u{person}", "account": f"a{person % _ACCOUNTS}"}
        yield record(chance, start + n * timedelta(seconds=1), "page_viewed", who)


def _mixed(number: int, seed: int) -> Iterator[Record]:
    """The plain workload, and every eighth event one that subscribers are told of."""
    told = _changes(number, seed)
    for n, plain in enumerate(generate(Workload(number, _CUSTOMERS, seed))):
        yield next(told) if n % 8 == 0 else plain


@asynccontextmanager
async def _served(testbed: Testbed) -> AsyncIterator[tuple["Popen[bytes]", str]]:
    port = free_port()
    with testbed.running("serve", "--port", str(port)) as process:
        async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}") as session:
            await until_ready(session)
        yield process, f"http://127.0.0.1:{port}"


@asynccontextmanager
async def _subscribed(url: str) -> AsyncIterator["Popen[bytes]"]:
    command = [sys.executable, "-m", "bench.subscribers", url, "--idle", str(_IDLE), "--busy", str(_BUSY)]
    process = Popen([*command, "--accounts", str(_ACCOUNTS)], stdout=PIPE)  # noqa: ASYNC220
    assert process.stdout is not None
    said = await asyncio.to_thread(process.stdout.readline)
    assert said == b"connected\n", said
    yield process
    process.kill()


async def _end(subscribers: "Popen[bytes]") -> dict[str, Any]:
    assert subscribers.stdout is not None
    subscribers.send_signal(signal.SIGTERM)
    return dict(json.loads(await asyncio.to_thread(subscribers.stdout.readline)))
