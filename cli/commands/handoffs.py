"""`tandem handoffs`: what one department waits for from the other, and decisions about it."""

import json
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import api_client, until_projected
from cli.options import AsJson, By, DataDir, Department, Limit, example
from cli.terminal import print_items
from schemas import departments

app = typer.Typer()
handoffs = typer.Typer(rich_markup_mode=None, add_completion=False)
app.add_typer(handoffs, name="handoffs")

#: What the report counts.
REPORTED = (
    *("offered", "open", "accepted", "rejected", "resolved", "expired"),
    *("touch_met", "touch_missed", "resolution_met", "resolution_missed"),
)

HandoffId = Annotated[str, typer.Argument(help="Id of the hand-off.")]
_REASON = "Why. The reason is kept with the hand-off."


@handoffs.callback(invoke_without_command=True, epilog=example("tandem handoffs --team sales --overdue"))
def queue(
    context: typer.Context,
    team: Annotated[str | None, typer.Option(help="Only hand-offs of this team.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only hand-offs of this kind.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only hand-offs that missed their deadline.")] = False,
    limit: Limit = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List open hand-offs, the most overdue first; or show, accept, reject or withdraw one."""
    if context.invoked_subcommand is not None:
        return
    from cli.render.handoffs import handoff_row

    wanted = {"team": team, "kind": kind, "overdue": True if overdue else None}
    with api_client(data_dir) as client:
        items = list(islice(client.handoffs(**{name: one for name, one in wanted.items() if one is not None}), limit))
    if as_json:
        typer.echo(json.dumps(items))
        return
    rows = [handoff_row(item, datetime.now(UTC)) for item in items]
    print_items(rows, False, ("due", "kind", "team", "tier", "state", "owner", "person", "handoff"))


@handoffs.command(epilog=example("tandem handoffs show 3f0c1d2e-..."))
def show(handoff: HandoffId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one hand-off: its deadlines, its state and its history."""
    with api_client(data_dir) as client:
        details = client.handoff(handoff)
    if as_json:
        typer.echo(json.dumps(details))
    else:
        print_handoff(details)


def print_handoff(details: dict[str, Any]) -> None:
    """What was promised, and all that happened; fields that a window hides are left out and named."""
    from cli.render.handoffs import handoff_text

    typer.echo(handoff_text(details["handoff"], datetime.now(UTC)))
    print_items(details["history"], False, ("at", "what", "by_time"))
    if details.get("hidden"):
        typer.echo(f"hidden: {', '.join(details['hidden'])}")


@handoffs.command(epilog=example("tandem handoffs report --json"))
def report(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Count hand-offs by kind and tier, with deadlines met and missed."""
    with api_client(data_dir) as client:
        items = client.handoff_report()["items"]
    print_items(items, as_json, ("kind", "tier", *REPORTED))


@handoffs.command(epilog=example("tandem handoffs accept 3f0c1d2e-... --department sales --by rosa"))
def accept(
    handoff: HandoffId, department: Department = None, by: By = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Accept a hand-off for your department."""
    _decide(handoff, "accept", department, None, by, data_dir, as_json)


@handoffs.command(
    epilog=example('tandem handoffs reject 3f0c1d2e-... --department sales --by rosa --reason "no budget"')
)
def reject(
    handoff: HandoffId,
    reason: Annotated[str, typer.Option(help=_REASON)],
    department: Department = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Reject a hand-off for your department."""
    _decide(handoff, "reject", department, reason, by, data_dir, as_json)


@handoffs.command(epilog=example("tandem handoffs withdraw 3f0c1d2e-... --department marketing --by mia"))
def withdraw(
    handoff: HandoffId,
    reason: Annotated[str | None, typer.Option(help=_REASON)] = None,
    department: Department = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw a hand-off that your department offered."""
    _decide(handoff, "withdraw", department, reason, by, data_dir, as_json)


def _decide(
    handoff: str,
    decision: str,
    department: departments.Department | None,
    reason: str | None,
    by: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    with api_client(data_dir) as client:
        before = client.handoff(handoff)["handoff"]["state"]
        client.decide_handoff(handoff, decision, department=department, reason=reason, by=by)
        details = until_projected(
            lambda: client.handoff(handoff), lambda now: bool(now["handoff"]["state"] != before), "the decision"
        )
    typer.echo(json.dumps(details) if as_json else f"{handoff} is {details['handoff']['state']}")
