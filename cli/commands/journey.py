"""`tandem journey`: one journey, event by event."""

import json

import typer

from cli.client import api_client
from cli.options import AsJson, DataDir, Identifier, KnownAt, TrueAt, example, identifier_of, optional_time
from cli.terminal import show_parts

app = typer.Typer()


@app.command(epilog=example("tandem journey email:ana@example.com --known-at 2026-03-03T10:02:00Z"))
def journey(
    identifier: Identifier,
    at: TrueAt = None,
    known_at: KnownAt = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one journey: stages, touchpoints, milestones and identifiers; now, or as of a time."""
    who = identifier_of(identifier)
    times = {"at": optional_time(at, "--at"), "known_at": optional_time(known_at, "--known-at")}
    with api_client(data_dir) as client:
        answer = client.journey(who, **times)
    if as_json:
        typer.echo(json.dumps(answer))
        return
    from cli.render.journeys import journey_story

    show_parts(journey_story(answer))
