"""`tandem attribution`: which channels or campaigns have credit for what was booked."""

import json
from typing import Annotated

import typer

from cli.client import AsJson, DataDir, api_client

app = typer.Typer()


@app.command()
def attribution(
    model: Annotated[
        str | None,
        typer.Option(
            help="first, last, linear, u-shaped, w-shaped, time-decay, markov or shapley; else the playbook's.",
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="channel or campaign.")] = "channel",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show which channels or campaigns have credit for what was booked, and what they cost.

    Example: tandem attribution --model time-decay --by campaign
    """
    with api_client(data_dir) as client:
        found = client.attribution(model, by)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        from cli.render.journeys import print_attribution

        print_attribution(found)
