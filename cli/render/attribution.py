"""Credit for bookings as people read it in a terminal."""

from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.render.money import money


def credit_table(report: dict[str, Any]) -> Group:
    """Credit by line and currency; bookings that nobody has credit for, and the sum."""
    table = Table(report["by"], box=None, padding=(0, 1, 0, 0))
    for name in ("credit", "share", "bookings", "touchpoints", "cost", "credit to cost"):
        table.add_column(name, justify="right", no_wrap=name in ("credit", "cost"))
    for group in report["groups"]:
        _credit_rows(table, group[report["by"]] if group[report["by"]] is not None else "(none)", group)
    _credit_rows(table, "unattributed", report["unattributed"], "dim")
    _credit_rows(table, "total", report["total"], "bold")
    hidden = [Text(f"hidden: {', '.join(report['hidden'])}", style="dim")] if "hidden" in report else []
    return Group(Text.from_markup(f"model [bold]{report['model']}[/bold]"), table, *hidden)


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
