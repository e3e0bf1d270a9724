"""Lists as tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

#: What stands in place of a field that a window leaves out.
HIDDEN = "(hidden)"


def table_of(items: Sequence[dict[str, Any]], columns: tuple[str, ...]) -> Table:
    """One row an item. Text that is too wide for its column is folded, so that it can be copied as a whole."""
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for item in items:
        table.add_row(*(escape(_cell(item.get(column, HIDDEN))) for column in columns))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = str(value)
    if len(text) == 27 and text.endswith("Z"):
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")
    return text
