"""The acts of the demo after the funnel: hand-offs, audiences, credit, and one change of the joint plan."""

import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import tandem
from cli.client import JsonClient
from cli.commands.handoffs import due_text
from cli.render.journeys import amounts
from cli.render.what_if import print_what_if

_SHOWN = 5  #: lines of a list
_WAIT_SECONDS = 20.0
_COUNTED = ("offered", "open", "accepted", "rejected", "touch_met", "touch_missed")
#: What the demo's change of the plan is about: how many points make a qualified lead.
_BEFORE, _AFTER = "score: 100", "score: 20"


class Plan(NamedTuple):
    """What became of the change of the plan."""

    state: str
    changed: int  #: journeys that what-if foretold to be in another stage


def show_handoffs(client: JsonClient, console: Console) -> dict[str, int]:
    """Who waits for whom, and how the promises were kept. Returns the sums of the report."""
    console.print("\n[bold]Hand-offs: what one department gives the other, with a promise[/bold]")
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
        console.print("What waits for sales, the most overdue first (tandem handoffs --team sales):")
        now = datetime.now(UTC)
        for item in waiting:
            one, names_ = item["handoff"], item["journey"]["identifiers"]
            person = next((known["value"] for known in names_ if known["type"] == "email"), "somebody")
            console.print(f"  {due_text(one['due_at'], now):24} {escape(person)}, {one['state']}", highlight=False)
    return {name: sum(line[name] for line in sums.values()) for name in _COUNTED}


def show_audiences(client: JsonClient, console: Console) -> dict[str, int]:
    """Whom the departments may turn to. Returns their sizes."""
    sizes = {one["audience"]: one["members"] for one in client.audiences()["items"]}
    said = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    console.print(f"\n[bold]Audiences[/bold], kept live by the playbook's rules: {said}")
    return sizes


def show_credit(client: JsonClient, console: Console) -> None:
    """Which channels have credit, in a line each."""
    found = client.attribution()
    console.print(
        f"\n[bold]Credit[/bold] for what was booked, model {found['model']}; both departments trust the same sums"
    )
    for group in found["groups"][:_SHOWN]:
        console.print(f"  {group['channel'] or '(none)':16} {amounts(group['credit'])}")
    console.print(f"  {'total':16} {amounts(found['total']['credit'])}")


def change_the_plan(client: JsonClient, console: Console) -> Plan:
    """Marketing proposes, sales asks, what-if answers, both approve; neither could alone."""
    console.print("\n[bold]The joint plan: neither department can change it alone[/bold]")
    text = client.playbook()["playbook"].replace(_BEFORE, _AFTER)
    made = client.propose_playbook(text, department="marketing", by="mia", comment="20 points make a qualified lead")[
        "proposal"
    ]
    console.print('  mia (marketing) proposes: "20 points make a qualified lead"')
    _decide(client, made, "comment", "sales", "sam", "how many more leads would we have had in a month?")
    console.print('  sam (sales) asks: "how many more leads would we have had in a month?"')
    month = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    told = client.what_if(text, since=month)
    qualified = next((m["journeys"] for m in told["moves"] if m["stage_to"] == "marketing-qualified"), 0)
    print_what_if({**told, "credit": None})
    _decide(client, made, "comment", "marketing", "mia", f"{qualified} more")
    alone = _decide(client, made, "approve", "marketing", "mia")
    console.print(f"  mia approves: the proposal is {alone['state']}; marketing alone changes nothing")
    both = _decide(client, made, "approve", "sales", "sam")
    console.print(
        f"  sam approves: it is {both['state']} since {both['in_force_since'][:19]} UTC (tandem playbook log)"
    )
    return Plan(both["state"], told["changed"])


def _decide(client: JsonClient, proposal: str, decision: str, department: str, by: str, text: str | None = None) -> Any:
    """Publish a decision, and wait until it is projected."""
    before = len(_proposal(client, proposal)["decisions"])
    client.decide_playbook(proposal, decision, department=department, by=by, text=text)
    deadline = time.monotonic() + _WAIT_SECONDS
    while len((found := client.proposal(proposal))["decisions"]) <= before and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _proposal(client: JsonClient, proposal: str) -> Any:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return client.proposal(proposal)
        except tandem.NotFound:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
