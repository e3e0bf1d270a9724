"""`tandem journeys`: a list of journeys."""

from itertools import islice
from typing import Annotated

import typer

from cli.client import api_client
from cli.options import AsJson, DataDir, Limit, Projection, example, optional_time
from cli.terminal import print_items

app = typer.Typer()


@app.command(epilog=example("tandem journeys --stage customer --channel organic_search --json"))
def journeys(
    stage: Annotated[str | None, typer.Option(help="Only journeys in this stage now.")] = None,
    account: Annotated[str | None, typer.Option(help="Only journeys of this account.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only journeys that began in this channel.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only journeys of this sales person.")] = None,
    changed_since: Annotated[
        str | None, typer.Option(help="Only journeys changed since this time: 2026-03-01T00:00:00Z.")
    ] = None,
    projection: Projection = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List journeys."""
    since = optional_time(changed_since, "--changed-since")
    wanted = {"stage": stage, "account": account, "channel": channel, "owner": owner, "changed_since": since}
    wanted["projection"] = projection
    with api_client(data_dir) as client:
        items = list(islice(client.journeys(**wanted), limit))
    print_items(
        items, as_json, ("journey_id", "stage", "stage_since", "channel", "owner", "account", "score", "version")
    )
