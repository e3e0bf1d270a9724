"""Identity: a device that everybody shares, a ruling on a large person, explanations over a long history."""

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import asyncpg
from rich.console import Console

from bench.scenarios import catch_up, percentiles, until_held, until_ready
from bench.services import Servers, Testbed, make_testbed
from bench.workload import Workload, generate, logins, record, tablets
from deploy.embedded.process import free_port

_USERS = 50_000
_COMPONENT = 10_000  #: events of the two people that the ruling joins
_ROUNDS = 3
_CUSTOMERS = 100_000
_VISITORS, _TABLETS, _VISITS = 6_000, 150, 3  #: of users to tablets in shops


async def measure_identity(on: Servers, history: int, seed: int, say: Console) -> dict[str, float]:
    """All scenarios on identity, one after the other."""
    say.print(f"quarantine: {_USERS:,} users on devices of their own, then on one")
    plain, shared = [], []
    for _ in range(_ROUNDS):
        plain.append((await catch_up(await make_testbed(on), logins(_USERS, seed, shared=False))).events_per_s)
        testbed = await make_testbed(on)
        caught = await catch_up(testbed, logins(_USERS, seed, shared=True))
        shared.append(caught.events_per_s)
    victims = await _victims(testbed)
    say.print(f"tablets: {_VISITORS:,} users log in on some of {_TABLETS}")
    shops = await catch_up(await make_testbed(on), tablets(_VISITORS, _TABLETS, _VISITS, seed))
    say.print(f"rulings: a person of {_COMPONENT:,} events")
    join, split = await _rulings(await make_testbed(on), seed)
    say.print(f"explanations: {history:,} events")
    testbed = await make_testbed(on)
    await catch_up(testbed, generate(Workload(history, _CUSTOMERS, seed)))
    p50, p99 = await _explanations(testbed, seed)
    return {
        "own_devices_events_per_s": round(sorted(plain)[_ROUNDS // 2]),
        "shared_device_events_per_s": round(sorted(shared)[_ROUNDS // 2]),
        "shared_device_ratio": round(sorted(shared)[_ROUNDS // 2] / sorted(plain)[_ROUNDS // 2], 2),
        "shared_device_victims": victims,
        "shared_device_rss_mb": round(caught.worker_rss_mb),
        "tablets_events_per_s": round(shops.events_per_s),
        "join_to_queryable_ms": round(join),
        "split_to_queryable_ms": round(split),
        "explain_p50_ms": round(p50, 1),
        "explain_p99_ms": round(p99, 1),
        "explain_history_events": history,
    }


async def _victims(testbed: Testbed) -> int:
    connection = await asyncpg.connect(testbed.database_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM victims"))
    finally:
        await connection.close()


@asynccontextmanager
async def _serving(testbed: Testbed) -> AsyncIterator[aiohttp.ClientSession]:
    port = free_port()
    with testbed.running("serve", "--port", str(port)):
        async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}") as session:
            await until_ready(session)
            yield session


async def _rulings(testbed: Testbed, seed: int) -> tuple[float, float]:
    """Milliseconds from the request to the first answer that shows its effect: (join, split), medians."""
    chance = random.Random(seed)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    # milestones are kept one by one: the journey is as large as it can be
    steps = [start + n * timedelta(minutes=40) for n in range(_COMPONENT)]
    await catch_up(
        testbed, [record(chance, at, "lead_qualified", {"user_id": f"u{n % 2}"}) for n, at in enumerate(steps)]
    )
    taken: dict[str, list[float]] = {"join": [], "split": []}
    connection = await asyncpg.connect(testbed.database_url)
    with testbed.running("work") as worker:
        await until_held(connection, worker)
        async with _serving(testbed) as session:
            for _ in range(_ROUNDS):
                for ruling in ("join", "split"):
                    taken[ruling].append(await _until_in_effect(session, ruling))
    await connection.close()
    return sorted(taken["join"])[_ROUNDS // 2], sorted(taken["split"])[_ROUNDS // 2]


async def _until_in_effect(session: aiohttp.ClientSession, ruling: str) -> float:
    wanted = {"ruling": ruling, "identifiers": ["user_id:u0", "user_id:u1"], "confirm": True}
    began = time.perf_counter()
    async with session.post("/v1/identity/rulings", json=wanted) as answer:
        assert answer.status == 201, await answer.text()
    while True:
        async with session.get("/v1/journeys/user_id:u0") as answer:
            found = await answer.json()
        if (len(found["identifiers"]) == 2) == (ruling == "join"):
            return (time.perf_counter() - began) * 1000


async def _explanations(testbed: Testbed, seed: int) -> tuple[float, float]:
    """(p50, p99) in milliseconds, for pairs that are one person and pairs that are not."""
    chance = random.Random(seed)
    latencies: list[float] = []
    async with _serving(testbed) as session:
        for number in range(400):
            customer, other = chance.randrange(_CUSTOMERS), chance.randrange(_CUSTOMERS)
            b = f"anonymous_id:d{customer}-0" if number % 2 else f"user_id:u{other}"
            began = time.perf_counter()
            async with session.get("/v1/identity/explain", params={"a": f"user_id:u{customer}", "b": b}) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()
            latencies.append((time.perf_counter() - began) * 1000)
    found = percentiles(latencies)
    return found.p50_ms, found.p99_ms
