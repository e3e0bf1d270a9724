"""Changes of the feed as people read them: one line each."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tandem import Change

#: What people know somebody by, the best first.
_NAMES = ("email", "user_id", "crm_contact", "crm_lead", "phone", "anonymous_id")


def line_of(change: "Change") -> str:
    """A change as people read it: when, what, who, the stages, and whose it is."""
    if change.kind == "live":
        return "that was all; changes follow"
    import msgspec

    journey, detail = msgspec.to_builtins((change.journey or {}, change.detail))
    at = (change.at or journey.get("last_seen") or "")[:19].replace("T", " ")
    parts = [at, f"{change.kind:8}", _who(change, journey), _stages(change, journey, detail)]
    parts += [f"{name} {journey[name]}" for name in ("owner", "account") if journey.get(name)]
    # what events say is shown, but must not steer the terminal
    return "".join(char if char.isprintable() else "?" for char in "  ".join(part for part in parts if part))


def _who(change: "Change", journey: dict[str, Any]) -> str:
    names = {one["type"]: one["value"] for one in journey.get("identifiers", [])}
    named = [f"{name}:{names[name]}" for name in _NAMES if name in names]
    who = named[0] if named else f"journey:{change.journey_id}"
    if change.related is None:
        return who
    return f"{who} {'into' if change.kind == 'merged' else 'out of'} journey:{change.related}"


def _stages(change: "Change", journey: dict[str, Any], detail: dict[str, Any] | None) -> str:
    if change.kind == "snapshot":
        return str(journey.get("stage", ""))
    if detail is not None:
        return _detail(detail)
    if change.stage_from == change.stage_to:
        return change.stage_to or ""
    because = " (silence)" if change.cause == "time" else ""
    return f"{change.stage_from or ''} -> {change.stage_to or ''}{because}".strip()


def _detail(detail: dict[str, Any]) -> str:
    """What happened to a hand-off, or which audience; credit, line by line."""
    if "handoff" in detail:
        return f"{detail['kind']} {detail['what']} ({detail['team']})"
    if "audience" in detail:
        return str(detail["audience"])
    lines = (f"{line['amount']:+} {line['currency']} {line['channel'] or '(none)'}" for line in detail.get("lines", ()))
    return ", ".join(lines) or "(hidden)"
