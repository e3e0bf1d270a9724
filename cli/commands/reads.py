"""`tandem reads`: who has read personal data."""

from itertools import islice
from typing import Annotated

import typer

from cli.client import AsJson, DataDir, api_client, identifier_of, print_items, time_of

app = typer.Typer()


@app.command()
def reads(
    person: Annotated[str | None, typer.Option(help="Only reads of this person's data: type:value.")] = None,
    reader: Annotated[str | None, typer.Option(help="Only reads by this subject of a token.")] = None,
    since: Annotated[str | None, typer.Option(help="Only reads since this RFC 3339 time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List who has read personal data, the newest first. Needs an auditor's token in TANDEM_TOKEN.

    Example: tandem reads --person email:ana@example.com
    """
    wanted = {
        "person": None if person is None else identifier_of(person),
        "reader": reader,
        "since": since and time_of(since, "--since"),
    }
    with api_client(data_dir) as client:
        found = list(islice(client.reads(**wanted), limit))
    if not as_json:
        found = [{**one, "journeys": len(one["journeys"])} for one in found]
    print_items(found, as_json, ("at", "reader", "role", "endpoint", "journeys", "asked"))
