"""`tandem identity`: which identifiers are one person, and rulings about it."""

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from cli.client import api_client
from cli.errors import UserError
from cli.options import AsJson, By, DataDir, Identifier, KnownAt, Limit, TrueAt, example, identifier_of, optional_time
from cli.terminal import print_items

app = typer.Typer()
identity = typer.Typer(
    no_args_is_help=True,
    help="Show which identifiers are one person, and rule on it.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(identity, name="identity")

Identifiers = Annotated[list[str], typer.Argument(help="Two or more identifiers, each type:value.")]
Reason = Annotated[str | None, typer.Option(help="Why. The reason is kept with the ruling.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation, however much it moves.")]
Preview = Annotated[bool, typer.Option("--preview", help="Only show what it would move.")]


@identity.command(epilog=example("tandem identity show email:ana@example.com --at 2026-03-01T00:00:00Z"))
def show(
    identifier: Identifier,
    at: TrueAt = None,
    known_at: KnownAt = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the person behind an identifier: all identifiers, and the links between them."""
    from cli.render.identity import identity_text, links_text

    who = identifier_of(identifier)
    times = {"at": optional_time(at, "--at"), "known_at": optional_time(known_at, "--known-at")}
    with api_client(data_dir) as client:
        person = client.identity(who, **times)
    if as_json:
        typer.echo(json.dumps(person))
        return
    typer.echo(identity_text(person))
    rows = [{**known, "identifier": f"{known['type']}:{known['value']}"} for known in person["identifiers"]]
    print_items(rows, False, ("identifier", "first_seen", "last_seen"))
    if links := links_text(person):
        typer.echo(links)


@identity.command(epilog=example('tandem identity join user_id:7 user_id:9 --reason "two accounts, one Ana"'))
def join(
    identifiers: Identifiers,
    reason: Reason = None,
    by: By = None,
    yes: Yes = False,
    preview: Preview = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Rule that identifiers are one person. Shows what would move, and asks if that is much."""
    _rule("join", identifiers, reason, by, yes, preview, data_dir, as_json)


@identity.command(epilog=example("tandem identity split user_id:7 anonymous_id:ipad-3"))
def split(
    identifiers: Identifiers,
    reason: Reason = None,
    by: By = None,
    yes: Yes = False,
    preview: Preview = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Rule that identifiers are not one person: undoes merges. Shows what would move, and asks if that is much."""
    _rule("split", identifiers, reason, by, yes, preview, data_dir, as_json)


@identity.command(epilog=example('tandem identity release phone:+5511987654321 --reason "number was recycled"'))
def release(
    identifier: Identifier, reason: Reason = None, by: By = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Rule that an identifier belongs to somebody else from now on. Also ends its quarantine."""
    _rule("release", [identifier], reason, by, True, False, data_dir, as_json)


def _rule(
    ruling: str,
    identifiers: list[str],
    reason: str | None,
    by: str | None,
    yes: bool,
    preview: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    from cli.render.identity import preview_text

    names = [identifier_of(one) for one in identifiers]
    with api_client(data_dir) as client:
        found = client.preview_ruling(ruling, names)
        if not as_json:
            typer.echo(preview_text(ruling, found))
        if preview:
            if as_json:
                typer.echo(json.dumps(found))
            return
        if found["needs_confirmation"] and not yes and not _confirmed(as_json):
            raise UserError("nothing was published: the ruling moves a lot and was not confirmed; give --yes")
        answer = client.rule(ruling, names, reason=reason, by=by, confirm=True)
    event = answer["event"]
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        typer.echo(f"published {event['id']} at {event['topic']}/{event['partition']}/{event['offset']}")
        typer.echo("it takes effect once the worker has read it: `tandem status --wait`")


def _confirmed(as_json: bool) -> bool:
    return not as_json and sys.stdin.isatty() and typer.confirm("Publish the ruling?")


@identity.command(epilog=example("tandem identity conflicts --json"))
def conflicts(limit: Limit = 50, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List links that were refused, for people to review."""
    with api_client(data_dir) as client:
        links = list(islice(client.identity_conflicts(), limit))
    rows = [one if as_json else {**one, "identifiers": " / ".join(one["identifiers"])} for one in links]
    print_items(rows, as_json, ("identifiers", "reason", "authority", "at"))


@identity.command(epilog=example("tandem identity quarantine --affected-by anonymous_id:kiosk"))
def quarantine(
    affected_by: Annotated[
        str | None, typer.Option(help="List the journeys that events link to this identifier: type:value.")
    ] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List identifiers in quarantine: too many others are linked to them. Or list the journeys that one affects."""
    with api_client(data_dir) as client:
        if affected_by is not None:
            entries = list(islice(client.victims(identifier_of(affected_by)), limit))
            print_items(entries, as_json, ("journey_id", "at"))
            return
        entries = list(islice(client.quarantine(), limit))
    print_items(entries, as_json, ("identifier", "victims", "since", "released_at"))
