"""The joint playbook: what is in force, what is proposed, and what became of it."""

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from schemas.answers.events import Accepted
from schemas.answers.parts import Answer, EventRef, Id, Time, doc
from schemas.departments import Department

ProposalState = Literal["open", "void", "rejected", "agreed", "in-force"]


class NextPlaybook(Answer, frozen=True, kw_only=True):
    """A playbook that is agreed to follow."""

    proposal: Id
    name: str
    in_force_since: Annotated[Time, doc("From when on it will be in force")]


class PlaybookInForce(Answer, frozen=True, kw_only=True):
    """The playbook in force at a time, with its text."""

    name: str
    in_force_since: Annotated[Time | None, doc("Null for the one that the projection began with")]
    proposal: Annotated[Id | None, doc("Null for the one that the projection began with")]
    digest: Annotated[str, doc("SHA-256 of its text, as hex")]
    next: list[NextPlaybook]
    following: Annotated[bool, doc("Whether stored journeys still follow the last change")]
    playbook: Annotated[str, doc("YAML")]


class PlaybookWord(Answer, frozen=True, kw_only=True):
    """What one department said of a proposal, and whether it counts."""

    decision: Literal["approve", "reject", "comment"]
    department: Department | None
    by: str
    at: Time
    text: Annotated[str | None, doc("The reason or the comment; null of an approval")]
    event: EventRef
    counts: bool
    because: Annotated[str | None, doc("Why it does not count; null where it does")]


class StrayWord(PlaybookWord, frozen=True, kw_only=True):
    """What was said of a proposal that does not exist."""

    proposal: Annotated[str | None, doc("As it was named; null where none was")]


class Proposal(Answer, frozen=True, kw_only=True):
    """A proposed playbook, and what became of it."""

    proposal: Annotated[Id, doc("The id of the event that proposed it")]
    name: Annotated[str | None, doc("The playbook's name; null where the text is no playbook")]
    state: ProposalState
    reason: Annotated[str | None, doc("Why it is void, or was rejected")]
    department: Annotated[Department | None, doc("The department that proposed it")]
    by: str
    proposed_at: Time
    effective_at: Annotated[Time | None, doc("Null: as soon as both departments have approved it")]
    in_force_since: Annotated[Time | None, doc("Null where it is not agreed")]
    digest: Annotated[str | None, doc("SHA-256 of its text, as hex: what approvals name")]
    comment: str | None
    approved_by: Annotated[dict[str, str], doc("By department: who approved it")]
    decisions: Annotated[list[PlaybookWord], doc("All that was said of it, in order of time")]
    playbook: Annotated[str, doc("YAML; only where one proposal is asked for")] | UnsetType = UNSET


class ProposalList(Answer, frozen=True, kw_only=True):
    """All proposals in the order in which they were made: the log of joint planning."""

    items: list[Proposal]
    stray: Annotated[list[StrayWord], doc("Words about proposals that do not exist")]


class ProposalPublished(Answer, frozen=True, kw_only=True):
    """A proposal, or a decision about one, that was published."""

    event: Accepted
    proposal: Annotated[Id, doc("The proposal that it is, or is about")]
