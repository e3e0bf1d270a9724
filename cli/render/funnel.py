"""The funnel as people read it in a terminal."""

from datetime import timedelta
from typing import Any

from rich.markup import escape
from rich.table import Table

from cli.render.money import amounts
from cli.render.tables import HIDDEN

_BAR = 24  #: length of the longest bar, in characters


def funnel_tables(funnel: dict[str, Any]) -> list[Table]:
    """The funnel with bars, then, where it is split, a line for each group."""
    groups = [_groups(funnel["groups"], funnel["by"])] if funnel["by"] else []
    return [funnel_table(funnel["total"]), *groups]


def funnel_table(total: dict[str, Any]) -> Table:
    """The stages of the main line with bars."""
    table = Table("stage", box=None)
    for name in ("reached", "", "now", "conversion", "median time"):
        table.add_column(name, justify="left" if name == "" else "right")
    most = max((stage["reached"] for stage in total["stages"]), default=0) or 1
    for stage in total["stages"]:
        bar = "\u2588" * round(stage["reached"] / most * _BAR)
        conversion = f"{stage['conversion']:.1%}" if stage["conversion"] is not None else "-"
        median = _duration(stage["median_seconds"])
        table.add_row(stage["stage"], f"{stage['reached']:,}", bar, f"{stage['now']:,}", conversion, median)
    for name, count in total["beside"].items():
        table.add_row(name, "", "", f"{count:,}", "", "", style="dim")
    return table


def _groups(groups: list[dict[str, Any]], by: str) -> Table:
    stages = [stage["stage"] for stage in groups[0]["stages"]] if groups else []
    table = Table(by, box=None)
    for stage in stages:
        table.add_column(stage, justify="right")
    table.add_column("value", justify="right")
    for group in groups:
        name = group.get(by, HIDDEN)
        counts = (f"{stage['reached']:,}" for stage in group["stages"])
        table.add_row("(none)" if name is None else escape(name), *counts, amounts(group.get("value")))
    return table


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    spent = timedelta(seconds=round(seconds))
    return f"{spent.days} d {spent.seconds // 3600} h" if spent.days else str(spent)
