"""`python -m bench.stages`: CPU time of the projector's stages in one process, without broker and database.

For looking at one stage while changing it; what an event costs in all is what `make bench` measures.
"""

import argparse
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from zlib import crc32

from rich.console import Console
from rich.table import Table

from bench.workload import Record, Workload, generate
from projections.fold import apply, subject_of
from projections.identity.workspace import Workspace
from projections.journey.row import row_of
from projections.playbook.rules import Rules, load_rules
from schemas.canonical import body_hash
from schemas.decode import decode
from store.archive import LogRecord
from streams.engine.intake import Candidate, Intake, take_in

_PARTITIONS = 4


def run(records: list[Record], batch: int, rules: Rules) -> tuple[dict[str, float], int]:
    """Fold the records in batches. Returns CPU seconds by stage, and how many journeys were written in all."""
    seconds: dict[str, float] = {}
    workspace, written = Workspace(rules), 0
    by_time = attrgetter("event.occurred_at", "event.id", "event.source")
    for chunk in _batches(records, batch):
        with _timed(seconds, "  decode"):
            events = [decode(one.value, "marketing") for one in chunk]
        with _timed(seconds, "  identify"):
            for event in events:
                subject_of(event, rules)
        with _timed(seconds, "  hash"):
            for one in chunk:
                body_hash(one.value or b"")
        intake = Intake()
        with _timed(seconds, "intake"):
            for one in chunk:
                take_in(intake, one, "marketing", rules)
        candidates = list(intake.candidates.values())
        with _timed(seconds, "sort"):
            candidates.sort(key=by_time)
        with _timed(seconds, "apply"):
            _apply(workspace, candidates)
        with _timed(seconds, "harvest"):
            touched = workspace.harvest().touched
        with _timed(seconds, "rows"):
            written += len([row_of(journey, rules) for journey in touched])
    return seconds, written


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.process_time()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.process_time() - began


def _batches(records: list[Record], batch: int) -> list[list[LogRecord]]:
    """As the consumer gives them: a stretch of each partition after the other."""
    partitions: list[list[LogRecord]] = [[] for _ in range(_PARTITIONS)]
    for record in records:
        own = partitions[crc32(record.key) % _PARTITIONS]
        own.append(LogRecord(1, len(own), 0, None, record.value))
    stretch = batch // _PARTITIONS
    longest = max(len(own) for own in partitions)
    return [[one for own in partitions for one in own[start : start + stretch]] for start in range(0, longest, stretch)]


def _apply(workspace: Workspace, candidates: list[Candidate]) -> None:
    for candidate in candidates:
        if candidate.subject is not None:
            apply(workspace, candidate.event, candidate.subject)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=16_000)
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    records = list(generate(Workload(args.events, args.customers, args.seed)))
    gc.disable()  # the worker's thresholds keep it rare
    stages, written = run(records, args.batch, load_rules())
    table = Table("stage (indented: a part of intake)", "us an event")
    for name, seconds in stages.items():
        table.add_row(name, f"{1e6 * seconds / args.events:.2f}")
    Console().print(table, f"{written:,} journeys written, {args.events:,} events", sep="\n")


if __name__ == "__main__":
    main()
