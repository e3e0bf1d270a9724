"""What an event costs each part, and what two workers come to on one machine: for docs/explanation/scale.md."""

import asyncio
from collections import Counter

import asyncpg
import psutil

from bench.scenarios import catch_up, fill, read_so_far, until_held
from bench.services import Servers, Testbed, make_testbed
from bench.workload import Workload, generate

#: What grows with the events.
TABLES = ("events", "archive", "journeys", "identifiers", "changes")


async def measure_costs(on: Servers, workload: Workload) -> dict[str, float]:
    """CPU microseconds and bytes an event, by part, in a catch-up; then the same work with two workers."""
    testbed = await make_testbed(on)
    connection = await asyncpg.connect(testbed.database_url)
    wal = await connection.fetchval("SELECT wal_bytes FROM pg_stat_wal")
    number = await fill(testbed, generate(workload))
    with testbed.running("work") as worker:
        await until_held(connection, worker)
        before = _cpu_seconds(testbed, worker.pid)
        while True:
            if await read_so_far(connection) >= number:
                break
            await asyncio.sleep(0.05)
        used = _cpu_seconds(testbed, worker.pid) - before
    found = {f"cpu_{part}_us": round(1e6 * seconds / number, 1) for part, seconds in sorted(used.items())}
    wal = await connection.fetchval("SELECT wal_bytes FROM pg_stat_wal") - wal
    found["wal_bytes"] = round(float(wal) / number)
    for table in TABLES:
        size = await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", table)
        found[f"{table}_bytes"] = round(size / number, 1)
    journeys = await connection.fetchval("SELECT count(*) FROM journeys")
    found["changes_per_event"] = round(await connection.fetchval("SELECT count(*) FROM changes") / number, 3)
    found["journeys_per_event"] = round(journeys / number, 3)
    await connection.close()
    one = await catch_up(await make_testbed(on), generate(workload))
    two = await catch_up(await make_testbed(on), generate(workload), workers=2)
    return {f"cost_{name}": figure for name, figure in found.items()} | {
        "two_workers_per_s": round(two.events_per_s),
        "two_workers_ratio": round(two.events_per_s / one.events_per_s, 2),
    }


def _cpu_seconds(testbed: Testbed, worker: int) -> Counter[str]:
    """Used so far, by part of the system."""
    found: Counter[str] = Counter()
    folder = str(testbed.folder)
    for process in psutil.process_iter(["pid", "ppid", "name", "cmdline", "cpu_times"]):
        facts, part = process.info, None
        command = " ".join(facts["cmdline"] or [])
        if facts["pid"] == worker:
            part = "fold"
        elif facts["ppid"] == worker:
            part = "read"
        elif facts["name"] == "java" and folder in command:
            part = "kafka"
        elif "postgres" in (facts["name"] or "") or command.startswith("postgres:"):
            part = "postgres"
        if part and facts["cpu_times"]:
            found[part] += facts["cpu_times"].user + facts["cpu_times"].system
    return found
