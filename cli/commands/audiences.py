"""`tandem audiences`: the playbook's audiences, and who is in them."""

import json
from itertools import islice
from typing import Annotated, Any

import typer

from cli.client import api_client
from cli.options import AsJson, DataDir, Limit, example
from cli.terminal import print_items

app = typer.Typer()


@app.command(epilog=example("tandem audiences win-back --json"))
def audiences(
    name: Annotated[str | None, typer.Argument(help="List the members of this audience.")] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the playbook's audiences with their sizes, or the members of one."""
    with api_client(data_dir) as client:
        if name is None:
            print_items(client.audiences()["items"], as_json, ("audience", "members", "stages"))
            return
        members = list(islice(client.audience(name), limit))
    if as_json:
        typer.echo(json.dumps(members))
        return
    rows = [{**member, "person": _person(member)} for member in members]
    print_items(rows, False, ("journey_id", "person", "stage", "stage_since", "account", "score"))


def _person(journey: dict[str, Any]) -> str:
    from cli.render.tables import HIDDEN

    return ", ".join(f"{known['type']}:{known['value']}" for known in journey["identifiers"]) or HIDDEN
