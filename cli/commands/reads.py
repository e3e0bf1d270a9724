"""`tandem reads`: who has read personal data."""

from itertools import islice
from typing import Annotated

import typer

from cli.client import api_client
from cli.options import AsJson, DataDir, Limit, example, optional_identifier, optional_time
from cli.terminal import print_items

app = typer.Typer()


@app.command(epilog=example("tandem reads --person email:ana@example.com"))
def reads(
    person: Annotated[str | None, typer.Option(help="Only reads of this person's data: type:value.")] = None,
    reader: Annotated[str | None, typer.Option(help="Only reads by this subject of a token.")] = None,
    since: Annotated[str | None, typer.Option(help="RFC 3339: only reads since this time.")] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List who has read personal data, the newest first. Needs an auditor's token in TANDEM_TOKEN."""
    wanted = {
        "person": optional_identifier(person),
        "reader": reader,
        "since": optional_time(since, "--since"),
    }
    with api_client(data_dir) as client:
        items = list(islice(client.reads(**wanted), limit))
    if not as_json:
        items = [{**read, "journeys": len(read["journeys"])} for read in items]
    print_items(items, as_json, ("at", "reader", "role", "endpoint", "journeys", "asked"))
