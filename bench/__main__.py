"""`make bench`, `bench-full`, `bench-feed`: measure, print, write results, and update docs/reference/performance.md."""

import argparse
import asyncio
import json
import os
import platform
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.table import Table

from bench.audit import cost_of_the_chain, everything, proofs
from bench.costs import measure_costs
from bench.feed import measure_feed
from bench.identity import measure_identity
from bench.plan import measure_plan
from bench.queue import measure_queue
from bench.report import write_feed, write_report
from bench.scenarios import catch_up, growth, live, reads, rebuilt
from bench.services import Servers, make_testbed, servers
from bench.workload import Workload, generate

RESULTS = Path(__file__).parent / "results"
_CUSTOMERS = 20_000
_READ_UNDER = 2_000  #: events a second

Figures = dict[str, float]


async def short(on: Servers, args: argparse.Namespace) -> AsyncIterator[Figures]:
    """A quick look at a change: catch-up, single reads, latency at 2,000 events a second."""
    yield await _rate("catch_up", on, Workload(args.events, _CUSTOMERS, args.seed))
    testbed = await make_testbed(on)
    await catch_up(testbed, generate(Workload(args.events // 4, _CUSTOMERS, args.seed)))
    rate, latency = await reads(testbed, args.seconds, _journey)
    yield {"reads_per_s": round(rate), "reads_p99_ms": round(latency.p99_ms, 1)}
    yield await _live(on, 2_000, args)


async def full(on: Servers, args: argparse.Namespace) -> AsyncIterator[Figures]:
    """Everything. Hard workloads run between two plain ones, so that their ratios hold while the machine drifts."""
    plain = Workload(args.events, _CUSTOMERS, args.seed)
    hard = {
        "late_heavy": Workload(args.events, _CUSTOMERS, args.seed, late=0.2),
        "skewed": Workload(args.events, _CUSTOMERS, args.seed, skew=0.2),
        "identity_heavy": Workload(args.events, _CUSTOMERS, args.seed, devices=60),
        "duplicated": Workload(args.events, _CUSTOMERS, args.seed, duplicates=0.2),
    }
    rates = [(await _rate("catch_up", on, plain))["catch_up_per_s"]]
    for name, workload in hard.items():
        found = await _rate(name, on, workload)
        rates.append((await _rate("catch_up", on, plain))["catch_up_per_s"])
        yield found | {f"{name}_ratio": round(found[f"{name}_per_s"] / mean(rates[-2:]), 2)}
    yield {"catch_up_per_s": round(mean(rates)), "catch_up_lowest": min(rates), "catch_up_highest": max(rates)}
    yield await _rebuild(on, Workload(args.history, _CUSTOMERS, args.seed))
    yield await _rate("wide", on, Workload(args.wide, 1_000_000, args.seed, session=1))
    for rate in (500, 2_000, 5_000, 10_000):
        yield await _live(on, rate, args)
    yield await _reads(on, args)
    grown = await growth(await make_testbed(on), args.events // 8, _CUSTOMERS, args.seed)
    yield {f"growth_{times}x_us": round(figure, 1) for times, figure in grown.items()}
    yield {"growth_ratio": round(grown[16] / grown[1], 2)}
    async for figures in costs(on, args):
        yield figures
    async for figures in identity(on, args):
        yield figures


async def costs(on: Servers, args: argparse.Namespace) -> AsyncIterator[Figures]:
    """What an event costs each part, and two workers on one machine."""
    yield await measure_costs(on, Workload(args.events, _CUSTOMERS, args.seed))


async def identity(on: Servers, args: argparse.Namespace) -> AsyncIterator[Figures]:
    """A device that everybody shares, tablets in shops, rulings on large persons, explanations."""
    yield await measure_identity(on, args.history, args.seed, Console(stderr=True, highlight=False))


async def feed(on: Servers, args: argparse.Namespace) -> AsyncIterator[Figures]:
    """The change feed with many subscribers."""
    yield await measure_feed(on, args.seconds, args.events // 2, args.seed)


async def plan(on: Servers, args: argparse.Namespace) -> AsyncIterator[Figures]:
    """What-if over 200,000 journeys and a playbook that comes into force, beside live events."""
    yield await measure_plan(on, args.seed)
    yield await measure_queue(on)


async def queue(on: Servers, args: argparse.Namespace) -> AsyncIterator[Figures]:
    """The list of overdue hand-offs among 1,000,000 journeys."""
    yield await measure_queue(on)


async def audit(on: Servers, args: argparse.Namespace) -> AsyncIterator[Figures]:
    """What proofs cost: the chain beside catch-up, the past of a journey, verification, replay."""
    yield await proofs(on, args.history, args.seed)
    yield await everything(on, args.seed)
    yield await cost_of_the_chain(on, args.events // 4, args.seed)


SETS = {
    "short": short,
    "audit": audit,
    "identity": identity,
    "costs": costs,
    "feed": feed,
    "plan": plan,
    "queue": queue,
    "full": full,
}


async def _rate(name: str, on: Servers, workload: Workload) -> Figures:
    found = await catch_up(await make_testbed(on), generate(workload))
    return {
        f"{name}_per_s": round(found.events_per_s),
        f"{name}_rss_mb": round(found.worker_rss_mb),
        f"{name}_journeys": found.journeys,
    }


async def _rebuild(on: Servers, workload: Workload) -> Figures:
    """From the archive, and the catch-up that filled it just before."""
    testbed = await make_testbed(on)
    caught = await catch_up(testbed, generate(workload))
    rate = await rebuilt(testbed, workload.events)
    return {"rebuild_per_s": round(rate), "rebuild_ratio": round(rate / caught.events_per_s, 2)}


async def _live(on: Servers, rate: int, args: argparse.Namespace) -> Figures:
    found = await live(await make_testbed(on), rate, args.seconds, args.seed)
    return {f"live_{rate}_p50_ms": round(found.p50_ms, 1), f"live_{rate}_p99_ms": round(found.p99_ms, 1)}


async def _reads(on: Servers, args: argparse.Namespace) -> Figures:
    testbed = await make_testbed(on)
    await catch_up(testbed, generate(Workload(args.events, _CUSTOMERS, args.seed)))
    figures: Figures = {}
    kinds: dict[str, tuple[Callable[[int], str], int]] = {
        "reads": (_journey, 0),
        "reads_while_applying": (_journey, _READ_UNDER),
        "list_reads": (_page, 0),
    }
    for name, (paths, under) in kinds.items():
        rate, latency = await reads(testbed, args.seconds, paths, under=under)
        figures |= {f"{name}_per_s": round(rate), f"{name}_p99_ms": round(latency.p99_ms, 1)}
    return figures


def _journey(number: int) -> str:
    return f"/v1/journeys/user_id:u{number % _CUSTOMERS}"


def _page(number: int) -> str:
    return f"/v1/journeys?stage={('known', 'engaged')[number % 2]}&limit=50"


async def measure(on: Servers, args: argparse.Namespace, say: Console) -> Figures:
    """All scenarios of a set, one after the other; each has both cores to itself."""
    found: Figures = {}
    async for figures in SETS[args.set](on, args):
        say.print("  ".join(f"{name} {figure:,}" for name, figure in figures.items()))
        found |= figures
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--set", choices=SETS, default="short", help="what to measure; full and feed write docs/")
    parser.add_argument("--events", type=int, default=400_000, help="events of a catch-up")
    parser.add_argument("--wide", type=int, default=1_500_000, help="events of 1,000,000 customers")
    parser.add_argument("--history", type=int, default=1_000_000, help="events behind the explanations of identity")
    parser.add_argument("--seconds", type=int, default=10, help="length of the live and read measurements")
    parser.add_argument("--seed", type=int, default=2026, help="of the workload")
    args = parser.parse_args()
    say = Console(stderr=True, highlight=False)
    with servers() as on:
        figures = asyncio.run(measure(on, args, say))
    setting = {"events": args.events, "seconds": args.seconds, "seed": args.seed, "cores": os.cpu_count() or 0}
    result = {"figures": figures, "setting": setting | {"python": platform.python_version()}}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{args.set}.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    table = Table("measure", "figure")
    for name, figure in figures.items():
        table.add_row(name, f"{figure:,}")
    Console().print(table)
    if args.set == "full":
        write_report(result)
    if args.set == "feed":
        write_feed(result)


if __name__ == "__main__":
    main()
