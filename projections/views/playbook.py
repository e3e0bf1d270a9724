"""The joint playbook as people and programs read it: what is in force, what is proposed, what became of it."""

from collections.abc import Iterable
from typing import Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from projections.playbook.events import APPROVED, PROPOSED, PlaybookEvent
from projections.playbook.proposals import Decision, Proposal
from projections.playbook.rules import Rules
from projections.text import id_text, time_text
from schemas.answers import playbook as answers
from schemas.answers.parts import EventRef
from schemas.departments import Department

_DECISIONS: dict[str, Literal["approve", "reject", "comment"]] = {
    "playbook_approved": "approve",
    "playbook_rejected": "reject",
    "playbook_commented": "comment",
}


def state_of(proposal: Proposal, at: int) -> answers.ProposalState:
    """open, void, rejected, agreed (by both, not in force yet) or in force (now or once) at `at`."""
    if proposal.void is not None:
        return "void"
    if proposal.rejected is not None:
        return "rejected"
    if proposal.since is None:
        return "open"
    return "in-force" if proposal.since <= at else "agreed"


def proposal_view(proposal: Proposal, at: int, text: str | UnsetType = UNSET) -> answers.Proposal:
    """A proposal as it is at `at`, microseconds since 1970 UTC; with the playbook's text where it is given."""
    said = proposal.event
    return answers.Proposal(
        proposal=id_text(said.proposal),
        name=None if proposal.playbook is None else proposal.playbook.name,
        state=state_of(proposal, at),
        reason=proposal.void or (None if proposal.rejected is None else proposal.rejected.text),
        department=cast(Department | None, said.department),
        by=said.by,
        proposed_at=time_text(said.order[0]),
        effective_at=None if proposal.effective_at is None else time_text(proposal.effective_at),
        in_force_since=None if proposal.since is None else time_text(proposal.since),
        digest=said.digest,
        comment=said.comment,
        approved_by={name: one.by for name, one in sorted(proposal.approved.items())},
        decisions=[_decision(one) for one in proposal.decisions],
        playbook=text,
    )


def _decision(decision: Decision) -> answers.PlaybookWord:
    said = decision.event
    at, event_id, source = said.order
    return answers.PlaybookWord(
        decision=_DECISIONS[said.type],
        department=cast(Department | None, said.department),
        by=said.by,
        at=time_text(at),
        text=said.text if said.type != APPROVED else None,
        event=EventRef(id=id_text(event_id), source=source),
        counts=decision.void is None,
        because=decision.void,
    )


def stray_view(said: Iterable[PlaybookEvent]) -> list[answers.StrayWord]:
    """What was said of proposals that there are none of."""
    return [_stray(one) for one in said if one.type != PROPOSED]


def _stray(said: PlaybookEvent) -> answers.StrayWord:
    word = msgspec.structs.asdict(_decision(Decision(said, "there is no such proposal")))
    return answers.StrayWord(**word, proposal=id_text(said.proposal) if said.proposal else None)


def terms_view(rules: Rules, at: int, following: bool, text: str) -> answers.PlaybookInForce:
    """The playbook in force at a time, microseconds since 1970 UTC, with its text, and which ones follow.

    `following`: whether stored journeys do not all follow the last change yet.
    """
    terms = rules.at(at)
    return answers.PlaybookInForce(
        name=terms.playbook.name,
        in_force_since=time_text(terms.since) if terms.proposal is not None else None,
        proposal=None if terms.proposal is None else id_text(terms.proposal),
        digest=terms.digest,
        next=[
            answers.NextPlaybook(
                proposal=id_text(one.proposal or b""),
                name=one.playbook.name,
                in_force_since=time_text(one.since),
            )
            for one in rules.terms
            if one.since > at
        ],
        following=following,
        playbook=text,
    )
