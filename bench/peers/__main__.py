"""`make bench-peers`: Tandem beside Kafka Streams and Faust; writes bench/results/peers.json, performance.md."""

import argparse
import asyncio
import json
import os
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.peers import kafka_streams
from bench.peers.expected import expected
from bench.peers.runs import Options, run_faust, run_kafka_streams, run_tandem
from bench.peers.versions import versions
from bench.peers.watch import Pace
from bench.report import write_peers
from bench.services import Servers, servers
from bench.workload import Workload, generate

RESULTS = Path(__file__).parents[1] / "results"
_CUSTOMERS = 20_000
#: In the order of their turns.
SYSTEMS = {"tandem": "Tandem", "kafka_streams": "Kafka Streams", "faust": "Faust"}
#: What each peer leaves out, of what Tandem does in the same measurement.
NOT_DONE = {
    "kafka_streams": "no identity resolution, no dedupe, no archive, no dead letters; a late event is counted, "
    "not put in its place; Kafka's transactions end at Kafka, so the sink may write a batch again after a crash",
    "faust": "no identity resolution, no dedupe, no archive, no dead letters; at least once: an event that is "
    "processed again after a crash counts twice",
}


async def measure(on: Servers, args: argparse.Namespace, say: Console) -> dict[str, Any]:
    """All rounds, the systems by turns; each run has the machine to itself."""
    records = list(generate(Workload(args.events, _CUSTOMERS, args.seed)))
    few = records[: args.faust_events]
    wanted, few_wanted = expected(records), expected(few)
    options = Options(args.repartition, args.commit_ms)
    paces: dict[str, list[Pace]] = {name: [] for name in SYSTEMS}
    for number in range(1, args.runs + 1):
        paces["tandem"].append(await run_tandem(on, records))
        paces["kafka_streams"].append(await run_kafka_streams(on, records, wanted, options))
        paces["faust"].append(await run_faust(on, few, few_wanted))
        rates = ", ".join(f"{SYSTEMS[name]} {paces[name][-1].events_per_s:,.0f}" for name in SYSTEMS)
        say.print(f"round {number} of {args.runs}, events a second: {rates}")
    return compare(paces) | {
        "events": {"tandem": len(records), "kafka_streams": len(records), "faust": len(few)},
        "customers": _CUSTOMERS,
        "seed": args.seed,
        "runs": args.runs,
        "kafka_streams_repartition": args.repartition,
        "kafka_streams_commit_interval_ms": args.commit_ms,
        "cores": os.cpu_count() or 0,
        "versions": await versions(on.postgres),
        "does_not_do": NOT_DONE,
    }


def compare(paces: dict[str, list[Pace]]) -> dict[str, Any]:
    """The ratios of the medians, Tandem to peer, and what they come from."""
    medians = {name: median(pace.events_per_s for pace in paces[name]) for name in paces}
    halves = {name: median(pace.second_half_per_s for pace in paces[name]) for name in paces}
    found: dict[str, Any] = {}
    for name in NOT_DONE:
        found[f"ratio_{name}"] = round(medians["tandem"] / medians[name], 2)
        found[f"ratio_{name}_second_half"] = round(halves["tandem"] / halves[name], 2)
    for name, runs in paces.items():
        found[name] = {
            "events_per_s": [round(pace.events_per_s) for pace in runs],
            "median_events_per_s": round(medians[name]),
            "second_half_events_per_s": [round(pace.second_half_per_s) for pace in runs],
            "second_half_median_events_per_s": round(halves[name]),
            "median_cpu_us_per_event": round(median(pace.cpu_us_per_event for pace in runs), 1),
        }
    return found


def show(found: dict[str, Any], on: Console) -> None:
    """The table, and a line a peer on what it does not do."""
    table = Table("system", "events", "events/s, each run", "median", "ratio", "2nd half", "ratio", "CPU us")
    for name, title in SYSTEMS.items():
        table.add_row(
            title,
            f"{found['events'][name]:,}",
            ", ".join(f"{rate:,}" for rate in found[name]["events_per_s"]),
            f"{found[name]['median_events_per_s']:,}",
            str(found.get(f"ratio_{name}", "")),
            f"{found[name]['second_half_median_events_per_s']:,}",
            str(found.get(f"ratio_{name}_second_half", "")),
            f"{found[name]['median_cpu_us_per_event']:,}",
        )
    on.print(table)
    on.print(
        "ratio: Tandem's rate divided by the peer's, so below 1 the peer is faster; "
        "2nd half: of the events, when all programs are warm; "
        "CPU us: microseconds of an event, broker and database included"
    )
    on.print(f"Faust is measured on {found['events']['faust']:,} events, for it is slow: rates are compared")
    for name, text in NOT_DONE.items():
        on.print(f"{SYSTEMS[name]}: {text}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--events", type=int, default=400_000, help="events of Tandem and Kafka Streams")
    parser.add_argument("--faust-events", type=int, default=5_000, help="events of Faust, which is slow")
    parser.add_argument("--runs", type=int, default=3, help="rounds")
    parser.add_argument("--seed", type=int, default=2026, help="of the workload")
    parser.add_argument(
        "--no-repartition",
        dest="repartition",
        action="store_false",
        help="Kafka Streams trusts the producers' keys and does without its repartition topic",
    )
    parser.add_argument("--commit-ms", type=int, default=1_000, help="commit interval of Kafka Streams (its own: 100)")
    args = parser.parse_args()
    say = Console(stderr=True, highlight=False)
    kafka_streams.build()
    with servers() as on:
        found = asyncio.run(measure(on, args, say))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peers.json").write_text(json.dumps(found, indent=2) + "\n")
    write_peers(found, SYSTEMS)
    show(found, Console(highlight=False))


if __name__ == "__main__":
    main()
