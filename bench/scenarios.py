"""The scenarios: catch-up, live latency, reads."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import quantiles
from subprocess import PIPE, Popen

import aiohttp
import asyncpg
import psutil
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from bench.services import Testbed
from bench.workload import Record, Workload, generate
from deploy.embedded.process import free_port
from streams.kafka import event_topics

_MIB = 1024 * 1024
_LIVE_CUSTOMERS = 20_000
_PATHS = 20_000  #: that readers ask for, in an order of theirs
_TICK_SECONDS = 0.005  #: between two sendings where their latency is measured
_LINGER_SECONDS = 0.02  #: where it is not: as producers with their own lingering send


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """The result of a catch-up."""

    events_per_s: float
    journeys: int
    worker_rss_mb: float  #: at its highest


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds."""

    p50_ms: float
    p99_ms: float


async def fill(testbed: Testbed, records: Iterable[Record]) -> int:
    """Produce all records and wait for the broker. Returns how many."""
    topic = event_topics(testbed.kafka)["marketing"]
    sent = 0
    options = testbed.kafka.client_options()
    async with AIOKafkaProducer(**options, linger_ms=20, max_batch_size=256 * 1024) as producer:
        for record in records:
            await producer.send(topic, record.value, key=record.key)
            sent += 1
    return sent


async def catch_up(testbed: Testbed, records: Iterable[Record], *, workers: int = 1) -> CaughtUp:
    """Broker to committed transactions: records a second from the moment that workers hold all partitions."""
    connection = await asyncpg.connect(testbed.database_url)
    before = await read_so_far(connection)
    number = await fill(testbed, records)
    with ExitStack() as stack:
        running = [stack.enter_context(testbed.running("work")) for _ in range(workers)]
        await until_held(connection, running[0])
        start = time.perf_counter()
        rss = 0.0
        while await read_so_far(connection) < before + number:
            rss = max(rss, *(rss_mb(worker) for worker in running))
            await asyncio.sleep(0.1)
        seconds = time.perf_counter() - start
    journeys = await connection.fetchval("SELECT count(*) FROM journeys")
    taken = await connection.fetchval("SELECT sum(applied + duplicates) FROM partitions")
    assert taken == before + number, f"{before + number - taken:,} records were not applied: the workload is at fault"
    await connection.close()
    return CaughtUp(number / seconds, journeys, rss)


async def rebuilt(testbed: Testbed, events: int) -> float:
    """Events a second of a rebuild from the archive, from the start of the command to the digest it prints."""
    start = time.perf_counter()
    with testbed.running("replay", "--into", "rebuilt", "--json") as process:
        code = await asyncio.to_thread(process.wait)
    assert code == 0, "the replay failed: see its log"
    return events / (time.perf_counter() - start)


async def growth(testbed: Testbed, step: int, customers: int, seed: int) -> dict[int, float]:
    """Microseconds per event while the history grows from nothing to 1, 4 and 16 times `step` events."""
    found, done = {}, 0
    for times in (1, 4, 16):
        if (skipped := (times - 1) * step - done) > 0:
            await catch_up(testbed, generate(Workload(skipped, customers, seed, first=done)))
        done = times * step
        measured = await catch_up(testbed, generate(Workload(step, customers, seed, first=done - step)))
        found[times] = 1e6 / measured.events_per_s
    return found


async def live(
    testbed: Testbed,
    rate: int,
    seconds: int,
    seed: int,
    *,
    customers: int = _LIVE_CUSTOMERS,
    first: int = 0,
    beside: Callable[[], Awaitable[None]] | None = None,
) -> Latency:
    """From `send` to queryable, for every event at a fixed rate; the first seconds are for warming up.

    `beside` runs meanwhile, from the end of the warm-up on.

    A journey is queryable once its transaction is visible, and with it the partition's next offset (law 3): so the
    offsets tell the time for every event, at a cost that does not disturb.
    """
    connection = await asyncpg.connect(testbed.database_url)
    warm_up = 3 * rate
    with testbed.running("work") as worker:
        await until_held(connection, worker)
        sent: dict[tuple[int, int], float] = {}
        latencies: list[float] = []
        done = asyncio.Event()
        watcher = asyncio.create_task(_watch(connection, sent, latencies, done))
        records = list(generate(Workload(warm_up + rate * seconds, customers, seed, first=first)))
        sending = asyncio.create_task(send_at(testbed, records, rate, sent, warm_up))
        if beside is not None:
            await asyncio.sleep(warm_up / rate)
            await beside()
        await sending
        done.set()
        await watcher
    await connection.close()
    return percentiles(latencies)


async def reads(
    testbed: Testbed, seconds: int, paths: Callable[[int], str], *, under: int = 0
) -> tuple[float, Latency]:
    """(answers a second, latency) over HTTP by eight clients that each wait for theirs, while `under` events/s come."""
    port = free_port()
    async with AsyncExitStack() as stack:
        stack.enter_context(testbed.running("serve", "--port", str(port)))
        session = await stack.enter_async_context(aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}"))
        await until_ready(session)
        if not under:
            return await _ask(port, seconds, paths)
        worker = stack.enter_context(testbed.running("work"))
        connection = await asyncpg.connect(testbed.database_url)
        await until_held(connection, worker)
        await connection.close()
        records = list(generate(Workload(under * (seconds + 2), _LIVE_CUSTOMERS, seed=7, first=50_000_000)))
        sending = asyncio.create_task(send_at(testbed, records, under, tick=_LINGER_SECONDS))
        found = await _ask(port, seconds, paths)
        await sending
        return found


async def _ask(port: int, seconds: int, paths: Callable[[int], str]) -> tuple[float, Latency]:
    """In a process of its own, so that clients and the sender of events do not slow each other down."""
    command = [sys.executable, "-m", "bench.readers", "127.0.0.1", str(port), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    said, _ = await process.communicate(json.dumps([paths(n) for n in range(_PATHS)]).encode() + b"\n")
    latencies: list[float] = json.loads(said)
    return len(latencies) / seconds, percentiles(latencies)


async def send_at(
    testbed: Testbed,
    records: list[Record],
    rate: int,
    sent: dict[tuple[int, int], float] | None = None,
    warm_up: int = 0,
    *,
    tick: float = _TICK_SECONDS,
) -> None:
    """Send at a fixed rate, a few milliseconds' records at a time: made by hand, a batch costs a tenth of single sends.

    A record's time is when it was due, so a sender that falls behind makes latencies longer, not shorter.
    """
    topic = event_topics(testbed.kafka)["marketing"]
    async with AIOKafkaProducer(**testbed.kafka.client_options()) as producer:
        partitions = len(await producer.partitions_for(topic))
        start, done = time.perf_counter(), 0
        while done < len(records):
            await asyncio.sleep(tick)
            due = min(len(records), int((time.perf_counter() - start) * rate))
            batches: dict[int, tuple[BatchBuilder, list[float]]] = {}
            for number in range(done, due):
                record = records[number]
                partition = (murmur2(record.key) & 0x7FFFFFFF) % partitions
                if partition not in batches:
                    batches[partition] = (producer.create_batch(), [])
                builder, times = batches[partition]
                builder.append(key=record.key, value=record.value, timestamp=None)
                times.append(start + number / rate)
            for partition, (builder, times) in batches.items():
                builder.close()
                acknowledged = await producer.send_batch(builder, topic, partition=partition)
                if sent is not None and done >= warm_up:
                    acknowledged.add_done_callback(partial(_note, times, sent))
            done = due
        await producer.flush()


def _note(
    times: list[float], sent: dict[tuple[int, int], float], acknowledged: "asyncio.Future[RecordMetadata]"
) -> None:
    metadata = acknowledged.result()
    for number, at in enumerate(times):
        sent[metadata.partition, metadata.offset + number] = at


async def _watch(
    connection: asyncpg.Connection,
    sent: dict[tuple[int, int], float],
    latencies: list[float],
    done: asyncio.Event,
) -> None:
    """Poll the offsets; note for every event when its own was passed."""
    passed: list[tuple[float, dict[int, int]]] = []
    seen: dict[int, int] = {}
    while not (done.is_set() and all(offset < seen.get(partition, 0) for partition, offset in sent)):
        rows = await connection.fetch("SELECT partition, next_offset FROM partitions WHERE topic LIKE '%marketing%'")
        now = time.perf_counter()
        found = {row["partition"]: row["next_offset"] for row in rows}
        if found != seen:
            seen = found
            passed.append((now, found))
        await asyncio.sleep(0.005)
    for partition in {record[0] for record in sent}:
        steps = iter(passed)
        at, found = next(steps)
        for offset in sorted(offset for where, offset in sent if where == partition):
            while found.get(partition, 0) <= offset:
                at, found = next(steps)
            latencies.append((at - sent[partition, offset]) * 1000)


async def until_held(connection: asyncpg.Connection, worker: "Popen[bytes]") -> None:
    while not await connection.fetchval("SELECT count(*) FROM partitions WHERE worker IS NOT NULL"):
        assert worker.poll() is None, "the worker ended: see its log"
        await asyncio.sleep(0.01)


async def read_so_far(connection: asyncpg.Connection) -> int:
    """Records that are applied, of all partitions."""
    return await connection.fetchval("SELECT coalesce(sum(next_offset), 0)::bigint FROM partitions") or 0


async def until_ready(session: aiohttp.ClientSession) -> None:
    while True:
        try:
            async with session.get("/readyz") as response:
                if response.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)


def rss_mb(process: "Popen[bytes]") -> float:
    """Memory of the process and of those that it has started, in MiB."""
    own = psutil.Process(process.pid)
    return sum(one.memory_info().rss for one in (own, *own.children(recursive=True))) / _MIB


def percentiles(latencies: list[float]) -> Latency:
    cuts = quantiles(latencies, n=100)
    return Latency(cuts[49], cuts[98])
