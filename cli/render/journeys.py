"""Journeys, funnels and credit as people read them in a terminal."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import HIDDEN

_BAR = 24


def print_journey(found: dict[str, Any]) -> None:
    """One journey, event by event; what a window hides is left out and named."""
    console = Console(highlight=False)
    names = ", ".join(f"{one['type']}:{one['value']}" for one in found["identifiers"])
    console.print(f"[bold]{escape(names)}[/bold]")
    facts = [
        f"stage [bold]{found['stage']}[/bold]",
        f"score {found.get('score', HIDDEN)}",
        f"{found['version']} events",
    ]
    facts += [f"{name} {escape(str(found[name]))}" for name in ("owner", "account") if found.get(name)]
    facts += [f"value {amounts(found['value'])}"] if found.get("value") else []
    console.print(", ".join(facts))
    if found.get("hidden"):
        console.print(f"hidden: {', '.join(found['hidden'])}", style="dim")
    for flag in found["flags"]:
        console.print(f"[yellow]flag: {flag}[/yellow]")
    console.print(timeline(found))


def timeline(found: dict[str, Any]) -> Table:
    """Stages, touchpoints and milestones in order of time."""
    lines = [(entry["at"], 1, f"[bold]-> {entry['stage']}[/bold]" + _cause(entry)) for entry in found["history"]]
    touchpoints, milestones = found.get("touchpoints", []), found.get("milestones", [])
    lines += [(one["at"], 0, escape(_touch(one))) for one in touchpoints]
    touched = {one["event"]["id"] for one in touchpoints}
    lines += [(one["at"], 0, escape(_deed(one))) for one in milestones if one["event"]["id"] not in touched]
    table = Table(box=None, show_header=False, pad_edge=False)
    for at, _, text in sorted(lines, key=lambda line: line[:2]):
        table.add_row(datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M"), text)
    return table


def _cause(entry: dict[str, Any]) -> str:
    return " (by silence)" if entry["cause"] == "silence" else ""


def _touch(one: dict[str, Any]) -> str:
    place = "/".join(part for part in (one.get("channel", HIDDEN), one.get("campaign")) if part)
    cost = f", cost {amounts(one['cost'])}" if one.get("cost") else ""
    times = f" x{one['count']}" if one.get("count", 1) > 1 else ""
    return f"{one['type']} via {place}{times}{cost}"


def _deed(one: dict[str, Any]) -> str:
    known = one.get("amount") is not None and one.get("currency")
    amount = f" {money(one['amount'], one['currency'])}" if known else ""
    note = f" ({one['note']})" if one.get("note") else ""
    return f"{one['type']}{amount}{note}"


def money(minor: int, currency: str) -> str:
    """An amount as people write it; currencies with an odd minor unit are left in it."""
    return f"{minor:,} {currency}" if currency == "XXX" else f"{minor / 100:,.2f} {currency}"


def amounts(value: dict[str, int] | None) -> str:
    """Amounts by currency; of None it says that they are hidden."""
    return HIDDEN if value is None else ", ".join(money(amount, currency) for currency, amount in value.items())


def print_funnel(found: dict[str, Any]) -> None:
    """The funnel with bars, then a line for each group."""
    console = Console(highlight=False)
    console.print(funnel_table(found["total"]))
    if found["by"]:
        console.print(_groups(found["groups"], found["by"]))


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


def print_attribution(found: dict[str, Any]) -> None:
    """Credit by line and currency; bookings that nobody has credit for, and the sum."""
    table = Table(found["by"], box=None, padding=(0, 1, 0, 0))
    for name in ("credit", "share", "bookings", "touchpoints", "cost", "credit to cost"):
        table.add_column(name, justify="right", no_wrap=name in ("credit", "cost"))
    for group in found["groups"]:
        _credit_rows(table, group[found["by"]] if group[found["by"]] is not None else "(none)", group)
    _credit_rows(table, "unattributed", found["unattributed"], "dim")
    _credit_rows(table, "total", found["total"], "bold")
    console = Console(highlight=False)
    console.print(f"model [bold]{found['model']}[/bold]")
    console.print(table)
    if "hidden" in found:
        console.print(f"hidden: {', '.join(found['hidden'])}", style="dim")


def _credit_rows(table: Table, name: str, line: dict[str, Any], style: str | None = None) -> None:
    """A row for each currency; what does not depend on it stands in the first."""
    touched = line.get("touchpoints", {})
    cost, credit = touched.get("cost", {}), line["credit"]
    first = [escape(name), f"{line['bookings']:,}", f"{touched['count']:,}" if "count" in touched else ""]
    for currency in sorted({*credit, *cost}) or [None]:
        label, bookings, count = first
        share = line["share"].get(currency)
        table.add_row(
            label,
            money(credit[currency], currency) if currency in credit else "-",
            f"{share:.1%}" if share is not None else "-",
            bookings,
            count,
            money(cost[currency], currency) if currency in cost else "-",
            f"{credit.get(currency, 0) / cost[currency]:,.1f}" if cost.get(currency) else "-",
            style=style,
        )
        first = ["", "", ""]
