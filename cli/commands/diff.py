"""`tandem diff` and `tandem explain`: what changed between two times, and why things are as they are."""

import json
from typing import Annotated, Any

import typer

from cli.client import AsJson, DataDir, api_client, identifier_of, print_items, time_of
from cli.commands.identity import explain as explain_identity

app = typer.Typer()
explain = typer.Typer(
    no_args_is_help=True,
    help="Why things are as they are: events, rules, playbook.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(explain, name="explain")
explain.command("identity")(explain_identity)

One = Annotated[str, typer.Argument(help="type:value, such as email:ana@example.com")]


@app.command()
def diff(
    identifier: One,
    start: Annotated[str, typer.Option("--from", help="RFC 3339: the earlier time.")],
    end: Annotated[str | None, typer.Option("--to", help="RFC 3339: the later time; now, without.")] = None,
    axis: Annotated[str, typer.Option(help="true: what was true then; known: what Tandem knew then.")] = "true",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed in a journey between two times, and the events that made the difference.

    Example: tandem diff email:ana@example.com --from 2026-03-03T10:02:00Z --axis known
    """
    who = identifier_of(identifier)
    times = (time_of(start, "--from"), None if end is None else time_of(end, "--to"))
    with api_client(data_dir) as client:
        found = client.diff(who, *times, axis=axis)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found["differences"]:
        typer.echo(_difference(one))
    if not found["differences"]:
        typer.echo("nothing differs")
    print_items(
        found["events"], False, ("occurred_at", "committed_at", "type", "source", "topic", "partition", "offset")
    )


def _difference(one: dict[str, Any]) -> str:
    if "before" in one:
        return f"{one['field']}: {json.dumps(one['before'])} -> {json.dumps(one['after'])}"
    lines = [f"  - {json.dumps(item)}" for item in one["removed"]] + [
        f"  + {json.dumps(item)}" for item in one["added"]
    ]
    return "\n".join([f"{one['field']}:", *lines])


@explain.command("journey")
def explain_journey(
    identifier: One,
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Explain the stages of a journey: the event behind each, its place in the log, the rule, the playbook in force.

    Example: tandem explain journey email:ana@example.com --stage marketing-qualified
    """
    who = identifier_of(identifier)
    with api_client(data_dir) as client:
        found = client.explain_journey(who, stage=stage)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found["stages"]:
        typer.echo(f"{one['at'][:16]} {one['stage']}: {one['because']}")
        event, plan = one["event"], one["playbook"]
        if event is not None:
            typer.echo(
                f"  {event['type']} of {event['source']}, {event['topic']}/{event['partition']}/{event['offset']}"
            )
        since = f", in force since {plan['in_force_since'][:16]}" if plan["in_force_since"] else ""
        typer.echo(f"  playbook {plan['digest'][:12]}{since}")
