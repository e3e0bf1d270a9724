"""`make bench`: the short set of measurements, printed as a table and written to bench/results/latest.json."""

import argparse
import asyncio
import json
import os
import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.identity import measure_identity
from bench.scenarios import catch_up, live, reads
from bench.services import Servers, make_place, servers
from bench.workload import events

RESULTS = Path(__file__).parent / "results"


async def measure(on: Servers, args: argparse.Namespace, say: Console) -> dict[str, float]:
    """All scenarios, one after the other; each has both cores to itself."""
    say.print(f"catch-up: {args.events:,} events, 20,000 customers")
    place = await make_place(on)
    caught = await catch_up(place, events(args.events, 20_000, args.seed))
    say.print("reads: single journeys over HTTP, eight clients")
    reads_per_s, read_latency = await reads(place, args.seconds, 20_000)
    say.print(f"wide: {args.events:,} events, 400,000 customers")
    wide = await catch_up(await make_place(on), events(args.events, 400_000, args.seed, session=1))
    say.print("live: 2,000 events a second")
    latency = await live(await make_place(on), 2_000, args.seconds, args.seed)
    figures = await measure_identity(on, args.history, args.seed, say) if args.identity else {}
    return figures | {
        "catch_up_events_per_s": round(caught.events_per_s),
        "live_p50_ms": round(latency.p50_ms, 1),
        "live_p99_ms": round(latency.p99_ms, 1),
        "reads_per_s": round(reads_per_s),
        "reads_p99_ms": round(read_latency.p99_ms, 1),
        "worker_rss_mb": round(max(wide.worker_rss_mb, caught.worker_rss_mb)),
        "wide_events_per_s": round(wide.events_per_s),
        "wide_journeys": wide.journeys,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--events", type=int, default=400_000, help="events of a catch-up")
    parser.add_argument("--seconds", type=int, default=10, help="length of the live and read measurements")
    parser.add_argument("--identity", action="store_true", help="rulings, quarantine and explanations as well")
    parser.add_argument("--history", type=int, default=1_000_000, help="events behind the explanations")
    parser.add_argument("--seed", type=int, default=2026, help="of the workload")
    args = parser.parse_args()
    say = Console(stderr=True, highlight=False)
    with servers() as on:
        found = asyncio.run(measure(on, args, say))
    found |= {"events": args.events, "seconds": args.seconds, "seed": args.seed, "cores": os.cpu_count() or 0}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(found | {"python": platform.python_version()}, indent=2) + "\n")
    table = Table("measure", "figure")
    for name, figure in found.items():
        table.add_row(name, f"{figure:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
