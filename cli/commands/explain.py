"""`tandem explain`: why a journey is in its stages, and why identifiers are one person or not."""

import json
from typing import Annotated

import typer

from cli.client import api_client
from cli.options import AsJson, DataDir, Identifier, example, identifier_of

app = typer.Typer()
explain = typer.Typer(
    no_args_is_help=True,
    help="Explain journeys and identities: the events, rules and rulings behind them.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(explain, name="explain")


@explain.command(epilog=example("tandem explain journey email:ana@example.com --stage marketing-qualified"))
def journey(
    identifier: Identifier,
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Explain the stages of a journey: the event behind each, its place in the log, the rule, the playbook in force."""
    from cli.render.differences import stage_text

    who = identifier_of(identifier)
    with api_client(data_dir) as client:
        answer = client.explain_journey(who, stage=stage)
    if as_json:
        typer.echo(json.dumps(answer))
        return
    for step in answer["stages"]:
        typer.echo(stage_text(step))


@explain.command(epilog=example("tandem explain identity user_id:7 anonymous_id:ipad-3"))
def identity(a: Identifier, b: Identifier, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Explain why two identifiers are one person, or why not, with the events and their places in the log."""
    from cli.render.identity import explanation_text

    with api_client(data_dir) as client:
        answer = client.explain_identity(identifier_of(a), identifier_of(b))
    typer.echo(json.dumps(answer) if as_json else explanation_text(a, b, answer))
