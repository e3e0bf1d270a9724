"""Which decisions about hand-offs count: one rule, asked by the fold and by whoever publishes decisions.

The reasons why a decision does not count are stored with the journey: another wording would change digests.
"""

from collections.abc import Sequence
from typing import NamedTuple

from projections.journey.handoffs import (
    ACCEPTED,
    EXPIRED,
    OFFERED,
    REJECTED,
    RESOLVED,
    STATES,
    SUPERSEDED,
    WITHDRAWN,
    Handoff,
)
from projections.playbook.handoff_terms import ACCEPT, REJECT, WITHDRAW, HandoffTerms
from projections.text import id_text

#: Joint decisions: what they are for the hand-off that they name.
ROLES = {"handoff_accepted": ACCEPT, "handoff_rejected": REJECT, "handoff_withdrawn": WITHDRAW}
NO_SUCH = "there is no such hand-off"


class Decision(NamedTuple):
    """What somebody decides about a hand-off."""

    handoff: str  #: its id as text
    type: str  #: of the joint event: handoff_accepted, handoff_rejected, handoff_withdrawn
    department: str | None
    by: str | None


def objection(handoffs: Sequence[Handoff], decision: Decision, terms: HandoffTerms | None) -> str | None:
    """Why a decision does not count; None where it does.

    `handoffs`: all of the journey, as they are at the time of the decision; `terms`: those in force then.
    """
    n = place_of(handoffs, decision.handoff)
    if n is None:
        return NO_SUCH
    if terms is None:
        return "the playbook in force knows no hand-offs"
    one, role, kind = handoffs[n], ROLES[decision.type], terms.kinds.get(handoffs[n].kind)
    side = one.from_ if role == WITHDRAW else one.to
    wrong_team = role != WITHDRAW and kind is not None and bool(kind.members) and decision.by not in kind.members
    objections = (
        (decision.department is not None and decision.department != side, f"it is {side}'s to decide"),
        (wrong_team, f"{decision.by} is not of the team {one.team}"),
        (one.state == EXPIRED, "it has expired"),
        (role == ACCEPT and one.state == SUPERSEDED and _is_taken(handoffs, one), "another one took its place"),
        (role != ACCEPT and one.state == SUPERSEDED, "another one took its place"),
        (one.state in (REJECTED, WITHDRAWN, RESOLVED), f"it was {STATES[one.state]} before"),
        (one.state == ACCEPTED and role != WITHDRAW, "it was accepted before"),
    )
    return next((reason for holds, reason in objections if holds), None)


def place_of(handoffs: Sequence[Handoff], id_: str) -> int | None:
    """The place of the hand-off with an id as text."""
    return next((n for n, one in enumerate(handoffs) if id_text(one.id) == id_), None)


def _is_taken(handoffs: Sequence[Handoff], superseded: Handoff) -> bool:
    """Whether the hand-off that took its place is accepted or closed."""
    return all(one.state != OFFERED for one in handoffs if one.id == superseded.successor)
