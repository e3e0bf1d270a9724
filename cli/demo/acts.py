"""The acts of the demo after the funnel: hand-offs, audiences, credit, and one change of the playbook."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import JsonClient, until_projected
from cli.render.handoffs import due_text
from cli.render.money import amounts
from cli.render.what_if import what_if_tables

_SHOWN = 5  #: lines of a list
_COUNTED = ("offered", "open", "accepted", "rejected", "touch_met", "touch_missed")
#: What the demo changes in the playbook: how many points make a qualified lead.
_BEFORE, _AFTER = "score: 100", "score: 20"


class Plan(NamedTuple):
    """The outcome of the proposed playbook."""

    state: str
    changed: int  #: journeys that what-if predicted to be in another stage


def show_handoffs(client: JsonClient, console: Console) -> dict[str, int]:
    """Open hand-offs, and how deadlines were met. Returns the sums of the report."""
    console.print("\n[bold]Hand-offs: what one department passes to the other, with a deadline[/bold]")
    sums: dict[str, dict[str, int]] = {}
    for item in client.handoff_report()["items"]:
        line = sums.setdefault(item["kind"], dict.fromkeys(_COUNTED, 0))
        for name in _COUNTED:
            line[name] += item[name]
    table = Table("kind", box=None)
    for title in ("offered", "open", "accepted", "rejected", "touched in time", "too late"):
        table.add_column(title, justify="right")
    for kind, line in sums.items():
        table.add_row(kind, *(f"{line[name]:,}" for name in _COUNTED))
    console.print(table)
    waiting = list(islice(client.handoffs(team="sales"), _SHOWN))
    if waiting:
        console.print("Open for sales, the most overdue first (tandem handoffs --team sales):")
        now = datetime.now(UTC)
        for item in waiting:
            one, names_ = item["handoff"], item["journey"]["identifiers"]
            person = next((known["value"] for known in names_ if known["type"] == "email"), "somebody")
            console.print(f"  {due_text(one['due_at'], now):24} {escape(person)}, {one['state']}", highlight=False)
    return {name: sum(line[name] for line in sums.values()) for name in _COUNTED}


def show_audiences(client: JsonClient, console: Console) -> dict[str, int]:
    """The audiences. Returns their sizes."""
    sizes = {one["audience"]: one["members"] for one in client.audiences()["items"]}
    listed = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    console.print(f"\n[bold]Audiences[/bold], kept up to date by the playbook's rules: {listed}")
    return sizes


def show_credit(client: JsonClient, console: Console) -> None:
    """Credit by channel, a line each."""
    report = client.attribution()
    console.print(f"\n[bold]Credit[/bold] for bookings, model {report['model']}; both departments see the same sums")
    for group in report["groups"][:_SHOWN]:
        console.print(f"  {group['channel'] or '(none)':16} {amounts(group['credit'])}")
    console.print(f"  {'total':16} {amounts(report['total']['credit'])}")


def change_the_plan(client: JsonClient, console: Console) -> Plan:
    """Marketing proposes, sales asks, what-if answers, both approve: neither can change it alone."""
    console.print("\n[bold]The playbook: neither department can change it alone[/bold]")
    text = client.playbook()["playbook"].replace(_BEFORE, _AFTER)
    made = client.propose_playbook(text, department="marketing", by="mia", comment="20 points make a qualified lead")[
        "proposal"
    ]
    console.print('  mia (marketing) proposes: "20 points make a qualified lead"')
    _decide(client, made, "comment", "sales", "sam", "how many more leads would we have had in a month?")
    console.print('  sam (sales) asks: "how many more leads would we have had in a month?"')
    month = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    preview = client.what_if(text, since=month)
    qualified = next((m["journeys"] for m in preview["moves"] if m["stage_to"] == "marketing-qualified"), 0)
    for part in what_if_tables({**preview, "credit": None}):
        console.print(part)
    _decide(client, made, "comment", "marketing", "mia", f"{qualified} more")
    alone = _decide(client, made, "approve", "marketing", "mia")
    console.print(f"  mia approves: the proposal is {alone['state']}; marketing alone changes nothing")
    both = _decide(client, made, "approve", "sales", "sam")
    console.print(
        f"  sam approves: it is {both['state']} since {both['in_force_since'][:19]} UTC (tandem playbook log)"
    )
    return Plan(both["state"], preview["changed"])


def _decide(client: JsonClient, proposal: str, decision: str, department: str, by: str, text: str | None = None) -> Any:
    """Publish a decision, and wait until it is projected."""
    before = len(_projected(client, proposal, 0)["decisions"])
    client.decide_playbook(proposal, decision, department=department, by=by, text=text)
    return _projected(client, proposal, before + 1)


def _projected(client: JsonClient, proposal: str, decisions: int) -> dict[str, Any]:
    return until_projected(
        lambda: client.proposal(proposal), lambda now: len(now["decisions"]) >= decisions, f"proposal {proposal}"
    )
