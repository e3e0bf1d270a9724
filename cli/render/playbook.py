"""Proposals of playbooks as people read them in a terminal."""

from typing import Any


def proposal_line(proposal: dict[str, Any]) -> str:
    """The state of a proposal, and who has approved it."""
    approved = ", ".join(f"{department} ({by})" for department, by in proposal["approved_by"].items())
    since = f" since {proposal['in_force_since']}" if proposal["in_force_since"] else ""
    because = f": {proposal['reason']}" if proposal["reason"] else ""
    return f"{proposal['proposal']} is {proposal['state']}{since}{because}; approved by {approved or 'nobody yet'}"


def proposal_rows(proposal: dict[str, Any]) -> list[dict[str, Any]]:
    """What was said and decided about a proposal, in order: the proposal itself, then comments and decisions."""
    first = {name: proposal[name] for name in ("department", "by")}
    first |= {"decision": "propose", "at": proposal["proposed_at"], "text": proposal["comment"], "because": None}
    return [first, *proposal["decisions"]]
