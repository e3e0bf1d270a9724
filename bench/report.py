"""The report: figures of `make bench-full` as tables and plots (Mermaid) in docs/performance.md, between two marks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs/performance.md"
_BEGIN, _END = "<!-- figures: written by make bench-full -->", "<!-- end of figures -->"
_WORKLOADS = ("catch_up", "late_heavy", "skewed", "identity_heavy", "duplicated", "wide", "shared_device", "tablets")
_RATES = (500, 2_000, 5_000, 10_000)


class MarksMissing(Exception):
    """docs/performance.md has no place for the figures."""


def write_report(result: Mapping[str, Any]) -> None:
    """Put the figures of a full run in the place of those of the last one. Raises MarksMissing."""
    page = PAGE.read_text("utf-8")
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise MarksMissing(f"{PAGE.name} must have the lines {_BEGIN!r} and {_END!r}: put them back")
    PAGE.write_text(f"{head}{begin}\n\n{report(result)}\n{end}{tail}", "utf-8")


def report(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    figures, setting = result["figures"], result["setting"]
    rates = {name: figures[key] for name in _WORKLOADS if (key := _rate_key(name, figures)) is not None}
    latencies = [figures[f"live_{rate}_p99_ms"] for rate in _RATES if f"live_{rate}_p99_ms" in figures]
    growth = {name: figure for name, figure in figures.items() if name.startswith("growth_") and name.endswith("_us")}
    parts = [
        "Measured with " + ", ".join(f"{name} {value}" for name, value in setting.items()) + ".",
        _bars("Catch-up, records a second", list(rates), list(rates.values())),
        _bars("Produce to queryable, p99 in ms, by events a second", [str(rate) for rate in _RATES], latencies),
        _bars("Microseconds an event, by history", [name.split("_")[1] for name in growth], list(growth.values())),
        _table(figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


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
