"""The status of the stack as people read it in a terminal."""

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

_COUNTS = ("lag", "read", "applied", "duplicates", "dead_letters", "holes")


def status_parts(status: dict[str, Any]) -> list[RenderableType]:
    """A line for each part, then law 4's equation for each partition."""
    lines: list[RenderableType] = [
        Text(f"{part:9} {state}", style="" if state == "ok" else "red") for part, state in status["parts"].items()
    ]
    if (published := status["published"]) is not None:
        lines.append(Text(f"{'published':9} up to change {published['seq']}, {published['lag']} are waiting"))
    if status["following_playbook"] < 1:
        share = f"{status['following_playbook']:.0%}"
        lines.append(Text(f"{'playbook':9} has changed: {share} of the journeys follow"))
    return [*lines, _partitions(status)]


def _partitions(status: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("topic", overflow="fold")
    for name in ("parti-\ntion", "lag", "read", "=\napplied", "+\nduplicates", "+ dead\nletters", "+\nholes", ""):
        table.add_column(name, justify="right", overflow="fold")
    for one in status["partitions"]:
        table.add_row(one["topic"], str(one["partition"]), *_counts(one))
    table.add_row("total", "", *_counts(status["total"]), style="bold")
    return table


def _counts(line: dict[str, Any]) -> list[str]:
    return [*(str(line[name]) for name in _COUNTS), "ok" if line["sound"] else "LOST"]
