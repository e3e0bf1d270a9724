"""`tandem diff`: what changed in a journey between two times."""

import json
from typing import Annotated

import typer

from cli.client import api_client
from cli.options import AsJson, DataDir, Identifier, example, identifier_of, optional_time, time_of
from cli.terminal import print_items

app = typer.Typer()


@app.command(epilog=example("tandem diff email:ana@example.com --from 2026-03-03T10:02:00Z --axis known"))
def diff(
    identifier: Identifier,
    start: Annotated[str, typer.Option("--from", help="RFC 3339: the earlier time.")],
    end: Annotated[str | None, typer.Option("--to", help="RFC 3339: the later time. Default: now.")] = None,
    axis: Annotated[str, typer.Option(help="true: what was true then; known: what Tandem knew then.")] = "true",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed in a journey between two times, and the events that made the difference."""
    from cli.render.differences import difference_text

    who = identifier_of(identifier)
    times = (time_of(start, "--from"), optional_time(end, "--to"))
    with api_client(data_dir) as client:
        answer = client.diff(who, *times, axis=axis)
    if as_json:
        typer.echo(json.dumps(answer))
        return
    for one in answer["differences"]:
        typer.echo(difference_text(one))
    if not answer["differences"]:
        typer.echo("nothing differs")
    print_items(
        answer["events"], False, ("occurred_at", "committed_at", "type", "source", "topic", "partition", "offset")
    )
