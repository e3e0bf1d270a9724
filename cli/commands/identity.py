"""`tandem identity`: who is who, why, since when; and rulings."""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import AsJson, DataDir, api_client, identifier_of, print_items, time_of
from cli.errors import UserError

app = typer.Typer()
identity = typer.Typer(
    no_args_is_help=True, help="Who is who: look, ask why, and rule.", rich_markup_mode=None, add_completion=False
)
app.add_typer(identity, name="identity")

One = Annotated[str, typer.Argument(help="type:value, such as email:ana@example.com")]
Two = Annotated[list[str], typer.Argument(help="Two or more identifiers, each type:value.")]
Reason = Annotated[str | None, typer.Option(help="Why; it is kept with the ruling.")]
By = Annotated[str | None, typer.Option(envvar="TANDEM_USER", help="Who rules; kept with the ruling.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, however much it moves.")]
Preview = Annotated[bool, typer.Option("--preview", help="Only show what it would move.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]


@identity.command()
def show(
    identifier: One,
    at: Annotated[str | None, typer.Option(help="By what had happened at this RFC 3339 time.")] = None,
    known_at: Annotated[str | None, typer.Option(help="By what Tandem knew at this RFC 3339 time.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show who an identifier is: all identifiers of the person, and the links between them.

    Example: tandem identity show email:ana@example.com --at 2026-03-01T00:00:00Z
    """
    who = identifier_of(identifier)
    with api_client(data_dir) as client:
        found = client.identity(
            who, at=at and time_of(at, "--at"), known_at=known_at and time_of(known_at, "--known-at")
        )
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"journey {found['journey_id']}, {found['events']} events")
    for one in found["identifiers"]:
        if one["quarantined"]:
            typer.echo(
                f"{one['type']}:{one['value']} is in quarantine: too many others are linked to it; it is nobody's"
            )
    rows = [{**one, "identifier": f"{one['type']}:{one['value']}"} for one in found["identifiers"]]
    print_items(rows, False, ("identifier", "first_seen", "last_seen"))
    for link in found["links"]:
        typer.echo(_link_text(link))
    for title in ("joined_by_ruling", "split_by_ruling"):
        for one, other in found[title]:
            typer.echo(f"{title.replace('_', ' ')}: {one} {other}")


def _link_text(link: dict[str, Any]) -> str:
    one, other = link["identifiers"]
    state = "=" if link["holds"] else f"refused ({link['reason']})"
    return f"  {one} {state} {other}, {link['authority']}, {link['at'][:16]}, event {link['event']['id']}"


@identity.command()
def explain(a: One, b: One, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Explain why two identifiers are one person, or why not, with the events and their places in the log.

    Example: tandem identity explain user_id:7 anonymous_id:ipad-3
    """
    with api_client(data_dir) as client:
        found = client.explain_identity(identifier_of(a), identifier_of(b))
    if as_json:
        typer.echo(json.dumps(found))
        return
    verdict = "one person" if found["one_person"] else "not one person"
    typer.echo(f"{a} and {b} are {verdict}: {found['because']}")
    if (ruling := found["ruling"]) is not None:
        by = f" by {ruling['by']}" if ruling["by"] else ""
        why = f": {ruling['reason']}" if ruling["reason"] else ""
        typer.echo(f"  ruling: {ruling['ruling']}{by}{why}")
        typer.echo(f"    {_source_text(ruling)}")
    for step in found["path"]:
        state = "=" if step["holds"] else f"refused ({step['reason']})"
        typer.echo(f"  {step['from']} {state} {step['to']}")
        typer.echo(f"    {step['authority']}, {_source_text(step)}")


def _source_text(said: dict[str, Any]) -> str:
    """When something was said, by which event, and where that lies."""
    place = said["place"]
    where = f"{place['topic']}/{place['partition']}/{place['offset']}" if place else "not in the log yet"
    return f"{said['at'][:16]}, event {said['event']['id']}, {where}"


@identity.command()
def join(
    identifiers: Two,
    reason: Reason = None,
    by: By = None,
    yes: Yes = False,
    preview: Preview = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Rule that identifiers are one person. Shows what moves; asks if that is much.

    Example: tandem identity join user_id:7 user_id:9 --reason "two accounts, one Ana"
    """
    _rule("join", identifiers, reason, by, yes, preview, data_dir, as_json)


@identity.command()
def split(
    identifiers: Two,
    reason: Reason = None,
    by: By = None,
    yes: Yes = False,
    preview: Preview = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Rule that identifiers are not one person: undoes merges. Shows what moves; asks if that is much.

    Example: tandem identity split user_id:7 anonymous_id:ipad-3
    """
    _rule("split", identifiers, reason, by, yes, preview, data_dir, as_json)


@identity.command()
def release(
    identifier: One, reason: Reason = None, by: By = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Rule that an identifier belongs to somebody else from now on; also ends its quarantine.

    Example: tandem identity release phone:+5511987654321 --reason "number was recycled"
    """
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
    names = [identifier_of(one) for one in identifiers]
    with api_client(data_dir) as client:
        found = client.preview_ruling(ruling, names)
        if not as_json:
            _print_preview(ruling, found)
        if preview:
            if as_json:
                typer.echo(json.dumps(found))
            return
        if found["needs_confirmation"] and not yes and not _confirmed(as_json):
            raise UserError("nothing was published: the ruling moves a lot, and it was not confirmed; give --yes")
        answer = client.rule(ruling, names, reason=reason, by=by, confirm=True)
    event = answer["event"]
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        typer.echo(f"published {event['id']} at {event['topic']}/{event['partition']}/{event['offset']}")
        typer.echo("it holds once the worker has read it: `tandem status --wait`")


def _confirmed(as_json: bool) -> bool:
    import sys

    return not as_json and sys.stdin.isatty() and typer.confirm("Publish the ruling?")


def _print_preview(ruling: str, found: dict[str, Any]) -> None:
    if ruling == "release":
        typer.echo("what happens from now on counts for somebody else; what has happened stays where it is")
        return
    for warning in found["warnings"]:
        typer.echo(f"without effect: {warning}")
    if not found["before"] and not found["after"]:
        typer.echo("no journey changes now")
        return
    from cli.render.journeys import amounts

    typer.echo(f"{len(found['before'])} journeys become {len(found['after'])}; {found['events_moved']} events move")
    for sign, sides in (("-", found["before"]), ("+", found["after"])):
        for side in sides:
            value = f", {amounts(side['value'])}" if side.get("value") else ""
            names = " ".join(side["identifiers"][:6]) + (" ..." if len(side["identifiers"]) > 6 else "")
            typer.echo(f"{sign} {side['stage']}, {side['events']} events{value}: {names}")


@identity.command()
def conflicts(limit: Limit = 50, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List links that were refused, for people to look at.

    Example: tandem identity conflicts --json
    """
    with api_client(data_dir) as client:
        found = list(islice(client.identity_conflicts(), limit))
    rows = [one if as_json else {**one, "identifiers": " / ".join(one["identifiers"])} for one in found]
    print_items(rows, as_json, ("identifiers", "reason", "authority", "at"))


@identity.command()
def quarantine(
    victims_of: Annotated[str | None, typer.Option(help="List whom events linked to this one.")] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List identifiers that too many others are linked to, or the victims of one.

    Example: tandem identity quarantine --victims-of anonymous_id:kiosk
    """
    with api_client(data_dir) as client:
        if victims_of is not None:
            found = list(islice(client.victims(identifier_of(victims_of)), limit))
            print_items(found, as_json, ("journey_id", "at"))
            return
        found = list(islice(client.quarantine(), limit))
    print_items(found, as_json, ("identifier", "victims", "since", "released_at"))
