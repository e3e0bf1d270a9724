"""`tandem handoffs` and `tandem audiences`: who waits for whom, and whom the departments may turn to."""

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import HIDDEN, AsJson, DataDir, JsonClient, api_client, print_items
from cli.errors import UserError

app = typer.Typer()
handoffs = typer.Typer(rich_markup_mode=None, add_completion=False)
app.add_typer(handoffs, name="handoffs")

#: What the report counts.
REPORTED = (
    *("offered", "open", "accepted", "rejected", "resolved", "expired"),
    *("touch_met", "touch_missed", "resolution_met", "resolution_missed"),
)

One = Annotated[str, typer.Argument(help="Id of the hand-off.")]
As = Annotated[str | None, typer.Option("--as", help="marketing or sales; of a token of one of them, that one.")]
By = Annotated[str | None, typer.Option(envvar="TANDEM_USER", help="Who decides; with a token it is its subject.")]


@handoffs.callback(invoke_without_command=True)
def queue(
    context: typer.Context,
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those that missed their deadline.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show hand-offs that wait for somebody, the most overdue first.

    Example: tandem handoffs --team sales --overdue
    """
    if context.invoked_subcommand is not None:
        return
    wanted = {"team": team, "kind": kind, "overdue": True if overdue else None}
    with api_client(data_dir) as client:
        found = list(islice(client.handoffs(**{name: one for name, one in wanted.items() if one is not None}), limit))
    if as_json:
        typer.echo(json.dumps(found))
        return
    now = datetime.now(UTC)
    rows = [_row(item, now) for item in found]
    print_items(rows, False, ("due", "kind", "team", "tier", "state", "owner", "person", "handoff"))


def _row(item: dict[str, Any], now: datetime) -> dict[str, Any]:
    one, journey = item["handoff"], item["journey"]
    names = {known["type"]: known["value"] for known in journey["identifiers"]}
    person = next((names[type_] for type_ in ("email", "user_id", "crm_contact") if type_ in names), HIDDEN)
    return {**one, "due": due_text(one["due_at"], now), "person": person}


def due_text(due_at: str | None, now: datetime) -> str:
    """In which time something is due, or since when it is overdue."""
    if due_at is None:
        return "-"
    left = datetime.fromisoformat(due_at) - now
    return f"overdue {_span(-left)}" if left < timedelta() else f"in {_span(left)}"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes // 1440} d"


@handoffs.command()
def show(handoff: One, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Tell one hand-off: what was promised, and all that happened to it.

    Example: tandem handoffs show 3f0c1d2e-...
    """
    with api_client(data_dir) as client:
        found = client.handoff(handoff)
    if as_json:
        typer.echo(json.dumps(found))
        return
    print_handoff(found)


def print_handoff(found: dict[str, Any]) -> None:
    """What was promised, and all that happened; what a window hides is left out and named."""
    one = found["handoff"]
    typer.echo(f"{one['kind']} from {one['from']} to {one['to']} ({one['team']}), tier {one['tier'] or '-'}")
    owner = f", {one['owner']} has it" if one.get("owner") else ""
    rival = f", and so has {one['rival']}" if one.get("rival") else ""
    typer.echo(
        f"{one['state']} since {one['since'][:16]}{owner}{rival}; due {due_text(one['due_at'], datetime.now(UTC))}"
    )
    if one.get("note"):
        typer.echo(f"because: {one['note']}")
    if one["breaches"]:
        typer.echo(f"missed: {', '.join(one['breaches'])}")
    print_items(found["history"], False, ("at", "what", "by_time"))
    if found.get("hidden"):
        typer.echo(f"hidden: {', '.join(found['hidden'])}")


@handoffs.command()
def report(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show how hand-offs went: deadlines met and missed, by kind and tier.

    Example: tandem handoffs report --json
    """
    with api_client(data_dir) as client:
        items = client.handoff_report()["items"]
    print_items(items, as_json, ("kind", "tier", *REPORTED))


@handoffs.command()
def accept(
    handoff: One, department: As = None, by: By = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Accept a hand-off in your department's name.

    Example: tandem handoffs accept 3f0c1d2e-... --as sales --by rosa
    """
    _decide(handoff, "accept", department, None, by, data_dir, as_json)


@handoffs.command()
def reject(
    handoff: One,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the hand-off.")],
    department: As = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Reject a hand-off in your department's name.

    Example: tandem handoffs reject 3f0c1d2e-... --as sales --by rosa --reason "no budget"
    """
    _decide(handoff, "reject", department, reason, by, data_dir, as_json)


@handoffs.command()
def withdraw(
    handoff: One,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept with the hand-off.")] = None,
    department: As = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw a hand-off that your department has offered.

    Example: tandem handoffs withdraw 3f0c1d2e-... --as marketing --by mia
    """
    _decide(handoff, "withdraw", department, reason, by, data_dir, as_json)


def _decide(
    handoff: str,
    decision: str,
    department: str | None,
    reason: str | None,
    by: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    with api_client(data_dir) as client:
        before = client.handoff(handoff)["handoff"]["state"]
        client.decide_handoff(handoff, decision, department=department, reason=reason, by=by)
        found = _wait(client, handoff, before)
    typer.echo(json.dumps(found) if as_json else f"{handoff} is {found['handoff']['state']}")


def _wait(client: JsonClient, handoff: str, before: str) -> Any:
    """The hand-off once the decision is projected: some seconds at most. Raises UserError."""
    deadline = time.monotonic() + 15
    while (found := client.handoff(handoff))["handoff"]["state"] == before:
        if time.monotonic() > deadline:
            raise UserError("the decision is published, but not projected yet; does a worker run? see tandem status")
        time.sleep(0.1)
    return found


@app.command()
def audiences(
    name: Annotated[str | None, typer.Argument(help="Show who is in this one.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many members at most.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the playbook's audiences and their sizes, or who is in one.

    Example: tandem audiences win-back --json
    """
    with api_client(data_dir) as client:
        if name is None:
            print_items(client.audiences()["items"], as_json, ("audience", "members", "stages"))
            return
        found = list(islice(client.audience(name), limit))
    if as_json:
        typer.echo(json.dumps(found))
        return
    rows = [{**one, "person": _person(one)} for one in found]
    print_items(rows, False, ("journey_id", "person", "stage", "stage_since", "account", "score"))


def _person(journey: dict[str, Any]) -> str:
    names = [f"{known['type']}:{known['value']}" for known in journey["identifiers"]]
    return ", ".join(names) or HIDDEN
