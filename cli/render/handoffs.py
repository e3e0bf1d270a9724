"""Hand-offs as people read them in a terminal."""

from datetime import datetime, timedelta
from typing import Any

from cli.render.tables import HIDDEN


def handoff_row(item: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A line of the queue: the hand-off, when it is due, and whom it is about."""
    handoff, journey = item["handoff"], item["journey"]
    names = {known["type"]: known["value"] for known in journey["identifiers"]}
    person = next((names[type_] for type_ in ("email", "user_id", "crm_contact") if type_ in names), HIDDEN)
    return {**handoff, "due": due_text(handoff["due_at"], now), "person": person}


def handoff_text(handoff: dict[str, Any], now: datetime) -> str:
    """What was promised, and where it stands; fields that a window hides are left out."""
    owner = f", {handoff['owner']} has it" if handoff.get("owner") else ""
    rival = f", and so has {handoff['rival']}" if handoff.get("rival") else ""
    lines = [
        f"{handoff['kind']} from {handoff['from']} to {handoff['to']} ({handoff['team']}), "
        f"tier {handoff['tier'] or '-'}",
        f"{handoff['state']} since {handoff['since'][:16]}{owner}{rival}; due {due_text(handoff['due_at'], now)}",
    ]
    if handoff.get("note"):
        lines.append(f"because: {handoff['note']}")
    if handoff["breaches"]:
        lines.append(f"missed: {', '.join(handoff['breaches'])}")
    return "\n".join(lines)


def due_text(due_at: str | None, now: datetime) -> str:
    """In how long something is due, or for how long it has been overdue."""
    if due_at is None:
        return "-"
    left = datetime.fromisoformat(due_at) - now
    return f"overdue {_span(-left)}" if left < timedelta() else f"in {_span(left)}"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes // 1440} d"
