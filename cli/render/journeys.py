"""A journey as people read it in a terminal: who, what counts now, and what happened, in order."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.render.money import amounts, money
from cli.render.tables import HIDDEN


def journey_story(journey: dict[str, Any]) -> Group:
    """One journey, event by event; fields that a window hides are left out and named."""
    names = ", ".join(f"{known['type']}:{known['value']}" for known in journey["identifiers"])
    facts = [
        f"stage [bold]{journey['stage']}[/bold]",
        f"score {journey.get('score', HIDDEN)}",
        f"{journey['version']} events",
    ]
    facts += [f"{name} {escape(str(journey[name]))}" for name in ("owner", "account") if journey.get(name)]
    facts += [f"value {amounts(journey['value'])}"] if journey.get("value") else []
    lines = [Text.from_markup(f"[bold]{escape(names)}[/bold]"), Text.from_markup(", ".join(facts))]
    if journey.get("hidden"):
        lines.append(Text(f"hidden: {', '.join(journey['hidden'])}", style="dim"))
    lines += [Text(f"flag: {flag}", style="yellow") for flag in journey["flags"]]
    return Group(*lines, timeline(journey))


def timeline(journey: dict[str, Any]) -> Table:
    """Stages, touchpoints and milestones in order of time."""
    lines = [(entry["at"], 1, f"[bold]-> {entry['stage']}[/bold]" + _cause(entry)) for entry in journey["history"]]
    touchpoints, milestones = journey.get("touchpoints", []), journey.get("milestones", [])
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
