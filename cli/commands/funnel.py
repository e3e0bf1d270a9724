"""`tandem funnel`: how many journeys reached each stage."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import ApiUnreachable, api_client
from cli.errors import UserError
from cli.options import AsJson, DataDir, Projection, example
from cli.terminal import print_items, show_parts

app = typer.Typer()


@app.command(epilog=example("tandem funnel --by channel"))
def funnel(
    by: Annotated[str | None, typer.Option(help="Split by channel or campaign of the first touchpoint.")] = None,
    last_hour: Annotated[
        bool, typer.Option("--last-hour", help="Only the transitions of the last hour, as the agents count them.")
    ] = False,
    projection: Projection = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how many journeys reached each stage, with the conversion and the median time between stages."""
    if last_hour:
        answer = _last_hour(data_dir)
        stages = [{"stage": stage, "transitions": count} for stage, count in answer["stages"].items()]
        typer.echo(json.dumps(answer)) if as_json else print_items(stages, False, ("stage", "transitions"))
        return
    if by not in (None, "channel", "campaign"):
        raise UserError(f"--by is {by!r}: choose channel or campaign")
    with api_client(data_dir) as client:
        answer = client.funnel(by, projection=projection)
    if as_json:
        typer.echo(json.dumps(answer))
        return
    from cli.render.funnel import funnel_tables

    show_parts(*funnel_tables(answer))


def _last_hour(data_dir: Path | None) -> dict[str, Any]:
    import httpx

    from cli.settings import agents_url

    address = agents_url(data_dir)
    try:
        answer = httpx.get(f"{address}/funnel", trust_env=False).raise_for_status()
        counts: dict[str, Any] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ApiUnreachable(
            f"no agent counts the funnel at {address}: run `tandem agents --agents funnel-counter`, or set "
            "TANDEM_AGENTS_PAGE to the address of the agents' page"
        ) from error
    return counts
