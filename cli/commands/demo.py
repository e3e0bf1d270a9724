"""`tandem demo`: two departments' systems, one journey, in under a minute."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import example

app = typer.Typer()


@app.command(epilog=example("tandem demo --keep", "everything added up", "1 it did not"))
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up until Ctrl-C.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 7,
    people: Annotated[int, typer.Option(min=1, max=100_000, help="Number of simulated people.")] = 600,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Keep the data here. Default: a temporary directory, removed at the end."),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the API. Default: a free one.")] = None,
) -> None:
    """Start the stack, stream simulated marketing and sales systems through it, and show one journey."""
    from cli.demo.show import run_demo

    if not run_demo(keep=keep, seed=seed, people=people, data_dir=data_dir, port=port):
        raise typer.Exit(1)
