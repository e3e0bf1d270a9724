"""The report: figures of `make bench-full` as tables and plots (Mermaid) in docs/, between two marks on each page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.costs import TABLES

_DOCS = Path(__file__).parents[1] / "docs"
PERFORMANCE, SCALE = _DOCS / "reference" / "performance.md", _DOCS / "explanation" / "scale.md"
_FULL, _PEERS = "<!-- figures: written by make bench-full -->", "<!-- figures: written by make bench-peers -->"
_FEED = "<!-- figures: written by make bench-feed -->"
_END = "<!-- end of figures -->"
_WORKLOADS = (
    "catch_up",
    "late_heavy",
    "skewed",
    "identity_heavy",
    "duplicated",
    "wide",
    "rebuild",
    "shared_device",
    "tablets",
)
_RATES = (500, 2_000, 5_000, 10_000)
_WORKERS = (1, 10, 100)


class MarksMissing(Exception):
    """A page has no place for the figures."""


def write_report(result: Mapping[str, Any]) -> None:
    """Put the figures of a full run in the place of those of the last one. Raises MarksMissing."""
    _put(PERFORMANCE, _FULL, report(result))
    _put(SCALE, _FULL, scale(result["figures"]))


def write_feed(result: Mapping[str, Any]) -> None:
    """Put the figures of the feed in the place of those of the last run. Raises MarksMissing."""
    _put(PERFORMANCE, _FEED, f"{_setting(result)}\n\n{_table(result['figures'])}\n")


def write_peers(found: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    """Put the comparison with the peers in the place of the last one. Raises MarksMissing."""
    rows = [
        "| System | events | events/s, each run | median | Tandem to it | second half | CPU us an event |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, title in titles.items():
        own = found[name]
        runs = ", ".join(f"{rate:,}" for rate in own["events_per_s"])
        rows.append(
            f"| {title} | {found['events'][name]:,} | {runs} | {own['median_events_per_s']:,} | "
            f"{found.get(f'ratio_{name}', '')} | {own['second_half_median_events_per_s']:,} | "
            f"{own['median_cpu_us_per_event']} |"
        )
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    _put(PERFORMANCE, _PEERS, "\n".join(rows) + f"\n\n{found['cores']} cores; {versions}.\n")


def _put(page: Path, begin: str, text: str) -> None:
    head, found, rest = page.read_text("utf-8").partition(begin)
    _, end, tail = rest.partition(_END)
    if not found or not end:
        raise MarksMissing(f"{page.name} must have the lines {begin!r} and {_END!r}: put them back")
    page.write_text(f"{head}{begin}\n\n{text}\n{end}{tail}", "utf-8")


def scale(figures: Mapping[str, float]) -> str:
    """What 1, 10 and 100 workers would need of the other parts, from the costs of an event, as Markdown."""
    fold, stored = figures["cost_cpu_fold_us"], sum(figures[f"cost_{table}_bytes"] for table in TABLES)
    rows = [
        "| | " + " | ".join(f"{workers} worker{'s' * (workers > 1)}" for workers in _WORKERS) + " |",
        "| --- |" + " ---: |" * len(_WORKERS),
    ]
    per_event = {
        "events a second, the folding processes busy": 1.0,
        "cores of the readers": figures["cost_cpu_read_us"] / 1e6,
        "cores of the database": figures["cost_cpu_postgres_us"] / 1e6,
        "cores of the broker": figures["cost_cpu_kafka_us"] / 1e6,
        "write-ahead log, MB/s": figures["cost_wal_bytes"] / 1e6,
        "disk, GB a day at that rate": stored * 86_400 / 1e9,
        "changes in the feed a second": figures["cost_changes_per_event"],
    }
    for name, cost in per_event.items():
        amounts = [cost * workers * 1e6 / fold for workers in _WORKERS]
        rows.append(f"| {name} | " + " | ".join(f"{n:,.0f}" if n >= 100 else f"{n:.1f}" for n in amounts) + " |")
    measured = [f"`{name}` {figure:,}" for name, figure in figures.items() if name.startswith(("cost_", "two_"))]
    return "\n".join(rows) + "\n\nOf one event: " + ", ".join(measured) + ".\n"


def report(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    figures = result["figures"]
    rates = {name: figures[key] for name in _WORKLOADS if (key := _rate_key(name, figures)) is not None}
    latencies = [figures[f"live_{rate}_p99_ms"] for rate in _RATES if f"live_{rate}_p99_ms" in figures]
    growth = {name: figure for name, figure in figures.items() if name.startswith("growth_") and name.endswith("_us")}
    parts = [
        _setting(result),
        _bars("Catch-up, records a second", list(rates), list(rates.values())),
        _bars("Produce to queryable, p99 in ms, by events a second", [str(rate) for rate in _RATES], latencies),
        _bars("Microseconds an event, by history", [name.split("_")[1] for name in growth], list(growth.values())),
        _table(figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _setting(result: Mapping[str, Any]) -> str:
    return "Measured with " + ", ".join(f"{name} {value}" for name, value in result["setting"].items()) + "."


def _rate_key(name: str, figures: Mapping[str, float]) -> str | None:
    return next((key for key in (f"{name}_per_s", f"{name}_events_per_s") if key in figures), None)


def _bars(title: str, names: list[str], values: list[float]) -> str:
    if not values:
        return ""
    axis = ", ".join(f'"{name.replace("_", " ")}"' for name in names)
    series = ", ".join(f"{value:g}" for value in values)
    return f'```mermaid\nxychart-beta\n    title "{title}"\n    x-axis [{axis}]\n    bar [{series}]\n```'


def _table(figures: Mapping[str, float]) -> str:
    rows = "\n".join(f"| `{name}` | {figure:,} |" for name, figure in figures.items())
    return f"| Figure | |\n| --- | ---: |\n{rows}"
