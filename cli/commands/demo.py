"""`tandem demo`: two departments' systems, one journey, in under a minute."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up until Ctrl-C.")] = False,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 7,
    people: Annotated[int, typer.Option(min=1, max=100_000, help="How many people are simulated.")] = 600,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Keep the data here; else it is removed.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the API; a free one by default.")] = None,
) -> None:
    """Start the stack, stream a simulation of marketing's and sales' systems through it, and tell one journey.

    Example: tandem demo --keep
    """
    from cli.demo.show import run_demo

    if not run_demo(keep=keep, seed=seed, people=people, data_dir=data_dir, port=port):
        raise typer.Exit(1)
