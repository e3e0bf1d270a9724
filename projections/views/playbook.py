"""The joint playbook as people and programs read it: what is in force, what is proposed, what became of it."""

from collections.abc import Iterable
from typing import Any

from projections.playbook.events import APPROVED, PROPOSED, PlaybookEvent
from projections.playbook.proposals import Decision, Proposal
from projections.playbook.rules import Rules
from projections.text import id_text, time_text

_DECISIONS = {"playbook_approved": "approve", "playbook_rejected": "reject", "playbook_commented": "comment"}


def state_of(proposal: Proposal, at: int) -> str:
    """open, void, rejected, agreed (by both, not in force yet) or in force (now or once) at `at`."""
    if proposal.void is not None:
        return "void"
    if proposal.rejected is not None:
        return "rejected"
    if proposal.since is None:
        return "open"
    return "in-force" if proposal.since <= at else "agreed"


def proposal_view(proposal: Proposal, at: int) -> dict[str, Any]:
    """A proposal as a JSON object, as it is at `at`, microseconds since 1970 UTC; without the playbook's text."""
    said = proposal.event
    return {
        "proposal": id_text(said.proposal),
        "name": None if proposal.playbook is None else proposal.playbook.name,
        "state": state_of(proposal, at),
        "reason": proposal.void or (None if proposal.rejected is None else proposal.rejected.text),
        "department": said.department,
        "by": said.by,
        "proposed_at": time_text(said.order[0]),
        "effective_at": None if proposal.effective_at is None else time_text(proposal.effective_at),
        "in_force_since": None if proposal.since is None else time_text(proposal.since),
        "digest": said.digest,
        "comment": said.comment,
        "approved_by": {name: one.by for name, one in sorted(proposal.approved.items())},
        "decisions": [_decision(one) for one in proposal.decisions],
    }


def _decision(found: Decision) -> dict[str, Any]:
    return _said(found.event) | {"counts": found.void is None, "because": found.void}


def _said(said: PlaybookEvent) -> dict[str, Any]:
    at, event_id, source = said.order
    return {
        "decision": _DECISIONS[said.type],
        "department": said.department,
        "by": said.by,
        "at": time_text(at),
        "text": said.text if said.type != APPROVED else None,
        "event": {"id": id_text(event_id), "source": source},
    }


def stray_view(said: Iterable[PlaybookEvent]) -> list[dict[str, Any]]:
    """What was said of proposals that there are none of."""
    found = (one for one in said if one.type != PROPOSED)
    return [
        _said(one)
        | {
            "proposal": id_text(one.proposal) if one.proposal else None,
            "counts": False,
            "because": "there is no such proposal",
        }
        for one in found
    ]


def terms_view(rules: Rules, at: int) -> dict[str, Any]:
    """The playbook in force at a time, microseconds since 1970 UTC, and when others follow."""
    terms = rules.at(at)
    return {
        "name": terms.playbook.name,
        "in_force_since": time_text(terms.since) if terms.proposal is not None else None,
        "proposal": None if terms.proposal is None else id_text(terms.proposal),
        "digest": terms.digest,
        "next": [
            {
                "proposal": id_text(one.proposal or b""),
                "name": one.playbook.name,
                "in_force_since": time_text(one.since),
            }
            for one in rules.terms
            if one.since > at
        ],
    }
