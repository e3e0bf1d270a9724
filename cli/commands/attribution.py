"""`tandem attribution`: credit for bookings by channel or campaign."""

import json
from typing import Annotated

import typer

from cli.client import api_client
from cli.options import AsJson, DataDir, example
from cli.terminal import show_parts

app = typer.Typer()


@app.command(epilog=example("tandem attribution --model time-decay --by campaign"))
def attribution(
    model: Annotated[
        str | None,
        typer.Option(
            help="first, last, linear, u-shaped, w-shaped, time-decay, markov or shapley. Default: the playbook's.",
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="channel or campaign.")] = "channel",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the credit of each channel or campaign for bookings, beside its cost."""
    with api_client(data_dir) as client:
        report = client.attribution(model, by)
    if as_json:
        typer.echo(json.dumps(report))
        return
    from cli.render.attribution import credit_table

    show_parts(credit_table(report))
