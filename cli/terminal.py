"""What commands write to the terminal: tables, JSON, progress bars."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

Progress = Callable[[int, int], None]  #: takes how much is done, and of how much


def print_items(items: list[dict[str, Any]], as_json: bool, columns: tuple[str, ...]) -> None:
    """A list as a table, or as JSON."""
    if as_json:
        typer.echo(json.dumps(items))
        return
    from rich.console import Console

    from cli.render.tables import table_of

    Console().print(table_of(items, columns))


def show_parts(*parts: "RenderableType") -> None:
    """Print what a module of `cli.render` has made."""
    from rich.console import Console

    console = Console(highlight=False)
    for part in parts:
        console.print(part)


@contextmanager
def progress(title: str, *, quiet: bool = False) -> Iterator[Progress]:
    """A bar on standard error, unless `quiet` or no terminal is there; it goes when the work is done."""
    from rich import progress as bars
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        *(bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn()),
        *(bars.TimeElapsedColumn(), bars.TimeRemainingColumn()),
    )
    with bars.Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
