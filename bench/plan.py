"""The joint plan: what-if over many journeys, and a change of terms that stored journeys follow, beside live events."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from statistics import median

import asyncpg
import httpx

from bench.scenarios import Latency, catch_up, live
from bench.services import Servers, Testbed, make_testbed
from bench.workload import Workload, generate
from deploy.embedded.process import free_port
from projections.playbook.model import DEFAULT_PLAYBOOK
from tandem import ApiError, AsyncClient
from tandem.terms import Department

_CUSTOMERS, _EVENTS = (
    130_000,
    600_000,
)  #: a little over 200,000 journeys: most people have a device that nothing ties to them
_RATE = 1_000  #: live events a second
_SECONDS = 15
_PAIRS = 5  #: runs alone and beside what-if, by turns: one run's tail is as the machine happens to be
_BEGINNING = "2026-01-01T00:00:00Z"  #: before all events of the workload: every journey is derived again


async def measure_plan(on: Servers, seed: int) -> dict[str, float]:
    """Seconds of a what-if and of the sweep, and how much slower live events are meanwhile."""
    testbed = await make_testbed(on)
    await catch_up(testbed, generate(Workload(_EVENTS, _CUSTOMERS, seed, session=1)))
    text = DEFAULT_PLAYBOOK.read_text("utf-8").replace("page_viewed: 1", "page_viewed: 2")
    took: dict[str, float] = {}
    with testbed.running("serve", "--port", str(port := free_port())):
        async with AsyncClient(f"http://127.0.0.1:{port}") as client:

            async def ask() -> None:
                start = time.perf_counter()
                found = await client.what_if(text, since=_BEGINNING)
                took["what_if_s"], took["what_if_journeys"] = time.perf_counter() - start, found.journeys

            async def agree() -> None:
                await _agree(client, text)
                start = time.perf_counter()
                await _swept(testbed)
                took["sweep_s"] = time.perf_counter() - start

            await _answers(client)
            found: dict[str, list[Latency]] = {"alone": [], "what_if": [], "sweep": []}
            runs = (*(("alone", None), ("what_if", ask)) * _PAIRS, ("sweep", agree))
            for n, (name, beside) in enumerate(runs):
                first = 10_000_000 + n * 1_000_000
                found[name].append(
                    await live(testbed, _RATE, _SECONDS, seed, customers=_CUSTOMERS, first=first, beside=beside)
                )
    figures = {f"plan_{name}_p50_ms": median(one.p50_ms for one in of) for name, of in found.items()}
    figures |= {f"plan_{name}_p99_ms": median(one.p99_ms for one in of) for name, of in found.items()}
    for percentile in ("p50", "p99"):
        beside_alone = figures[f"plan_what_if_{percentile}_ms"] / figures[f"plan_alone_{percentile}_ms"]
        figures[f"plan_what_if_{percentile}_ratio"] = beside_alone
    return {name: round(figure, 2) for name, figure in (took | figures).items()}


async def _answers(client: AsyncClient) -> None:
    while True:
        try:
            await client.playbook()
        except (ApiError, httpx.TransportError):
            await asyncio.sleep(0.1)
        else:
            return


async def _agree(client: AsyncClient, text: str) -> None:
    made = await client.propose_playbook(
        text, department="sales", by="bench", effective_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    )
    departments: tuple[Department, ...] = ("marketing", "sales")
    for n, department in enumerate(departments):
        await _until_said(client, made.proposal, n)
        await client.decide_playbook(made.proposal, "approve", department=department, by="bench")
    await _until_said(client, made.proposal, 2)


async def _until_said(client: AsyncClient, proposal: str, decisions: int) -> None:
    while not await _said(client, proposal, decisions):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _said(client: AsyncClient, proposal: str, decisions: int) -> bool:
    try:
        return len((await client.proposal(proposal)).decisions) >= decisions
    except ApiError:
        return False


async def _swept(testbed: Testbed) -> None:
    connection = await asyncpg.connect(testbed.database_url)
    while await connection.fetchval("SELECT swept_until IS NOT NULL FROM projection"):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await connection.close()
