"""`tandem status`: the health of the stack, and that no record is lost."""

import json
from typing import Annotated

import typer

from cli.options import AsJson, DataDir, example
from cli.terminal import show_parts

app = typer.Typer()


@app.command(
    epilog=example(
        "tandem status --wait",
        *("all is well", "1 a part is down, a record is unaccounted for, or --wait ran out of time"),
    )
)
def status(
    data_dir: DataDir = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return once everything produced is applied.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds for which --wait waits at most.")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Show the health of each part, the lag of each partition and of the published feed, and that no record is lost.

    For every partition: read = applied + duplicates + dead letters + holes.
    """
    import asyncio

    from cli.settings import load_settings
    from cli.stack.status import as_answer, watch

    answer = asyncio.run(watch(load_settings(data_dir), wait=wait, timeout=timeout, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(as_answer(answer)))
    else:
        from cli.render.status import status_parts

        show_parts(*status_parts(as_answer(answer)))
    if not answer.sound or (wait and answer.lag):
        raise typer.Exit(1)
