"""Proposals: what became of each proposed playbook, and which terms follow, from the set of events about playbooks.

The order in which the events arrive does not matter; docs/decisions/playbook.md explains the rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import NamedTuple

from projections.playbook.events import APPROVED, COMMENTED, PROPOSED, REJECTED, PlaybookEvent
from projections.playbook.model import InvalidPlaybook, Playbook
from projections.playbook.rules import Rules, Terms, compile_terms, shortest_silences
from projections.playbook.strict_yaml import read_model
from schemas.departments import DEPARTMENTS
from schemas.event import Order
from schemas.rejection import Rejection
from schemas.times import parse_time

_order, _agreed = attrgetter("order"), attrgetter("agreed")


class Decision(NamedTuple):
    """An approval, a rejection or a comment."""

    event: PlaybookEvent
    void: str | None  #: why it does not count; None where it does


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed playbook, and what became of it. Times are microseconds since 1970 UTC."""

    event: PlaybookEvent
    playbook: Playbook | None  #: None where the text is not a playbook
    #: why it can never come into force; None where it can
    void: str | None
    effective_at: int | None  #: None: as soon as both departments have approved it
    #: in order of time
    decisions: tuple[Decision, ...] = ()
    #: the approvals that count, by department
    approved: dict[str, PlaybookEvent] = field(default_factory=dict)
    rejected: PlaybookEvent | None = None

    @property
    def agreed(self) -> Order | None:
        """The later one of the two approvals; None where one is missing."""
        return max(one.order for one in self.approved.values()) if len(self.approved) == len(DEPARTMENTS) else None

    @property
    def since(self) -> int | None:
        """When it comes into force; None where it is not agreed."""
        agreed = self.agreed
        return None if agreed is None else max(agreed[0], self.effective_at or agreed[0])


def proposals_of(events: Iterable[PlaybookEvent], first: Playbook) -> list[Proposal]:
    """What became of each proposal, in order of time. `first`: the playbook that the projection began with."""
    proposals: dict[bytes, Proposal] = {}
    decisions = list[PlaybookEvent]()
    for event in sorted(events, key=_order):
        if event.type != PROPOSED:
            decisions.append(event)
        elif event.proposal not in proposals:  # of two sources that use one id, the first one has it
            proposals[event.proposal] = _proposal(event, first)
    for event in decisions:
        if (proposal := proposals.get(event.proposal)) is not None:
            proposals[event.proposal] = _decide(proposal, event)
    return list(proposals.values())


def stray(events: Iterable[PlaybookEvent]) -> list[PlaybookEvent]:
    """Events about proposals that do not exist, in order of time."""
    in_order = sorted(events, key=_order)
    known = {event.proposal for event in in_order if event.type == PROPOSED}
    return [event for event in in_order if event.proposal not in known]


def digest_of_text(text: str) -> str:
    """What approvals call a playbook's text: the SHA-256 of its UTF-8, as hex."""
    return sha256(text.encode()).hexdigest()


def _proposal(event: PlaybookEvent, first: Playbook) -> Proposal:
    playbook, effective_at, void = None, None, None
    try:
        playbook = read_proposal(event.text, first)
        effective_at = None if event.effective_at is None else parse_time(event.effective_at, "effective_at")
    except InvalidPlaybook as error:
        void = str(error)
    except Rejection as error:
        void = f"effective_at: {error.message}"
    if event.department is None:
        void = void or "the proposal names no department"
    elif event.digest != digest_of_text(event.text):
        void = void or "the digest is not that of the text"
    elif effective_at is not None and effective_at < event.order[0]:
        void = void or "the effective time lies in the past: what has happened was judged by the rules of its time"
    return Proposal(event, playbook, void, effective_at)


def read_proposal(text: str, first: Playbook) -> Playbook:
    """Read a playbook that is to follow `first`. Raises InvalidPlaybook, with the place in the text where it can."""
    playbook = _read(text)
    for section in ("identity", "accounts", "traits"):
        if getattr(playbook, section) != getattr(first, section):
            raise InvalidPlaybook(
                f"the playbook changes {section!r}: who is who cannot change in the middle of time; "
                "replay under a playbook that begins with it, and switch to that projection"
            )
    if playbook.stages[0].name != first.stages[0].name:
        raise InvalidPlaybook(f"the playbook's first stage must stay {first.stages[0].name!r}: journeys begin there")
    return playbook


@lru_cache(maxsize=64)
def _read(text: str) -> Playbook:
    return read_model(text, Playbook, "playbook", InvalidPlaybook)


def _decide(proposal: Proposal, event: PlaybookEvent) -> Proposal:
    """The proposal after one more decision, the next in order of time."""
    void = objection(proposal, event.type, event.department, event.digest)
    decisions = (*proposal.decisions, Decision(event, void))
    if void is None and event.type == APPROVED:
        assert event.department is not None, "an approval without department is void"
        return replace(proposal, decisions=decisions, approved=proposal.approved | {event.department: event})
    if void is None and event.type == REJECTED:
        return replace(proposal, decisions=decisions, rejected=event)
    return replace(proposal, decisions=decisions)


def objection(proposal: Proposal, type_: str, department: str | None, digest: str | None) -> str | None:
    """Why a decision about a proposal does not count; None where it does. A comment always counts.

    Whoever publishes decisions asks the same as the fold. `proposal`: as it is at the time of the decision;
    `digest`: of the text that is approved.
    """
    if type_ == COMMENTED:
        return None
    approves = type_ == APPROVED
    objections = (
        (proposal.void is not None, "the proposal is void"),
        (department is None, "it names no department"),
        (proposal.rejected is not None, "the proposal was rejected"),
        (proposal.agreed is not None, "the proposal is agreed"),
        (approves and digest != proposal.event.digest, "it approves another text: the digests differ"),
        (approves and department in proposal.approved, f"{department} has approved it before"),
    )
    return next((reason for holds, reason in objections if holds), None)


def agreed_rules(first: Rules, events: Iterable[PlaybookEvent]) -> Rules:
    """The rules that follow from `first`, with which the projection began, and from all events about playbooks."""
    events = list(events)
    if not events and len(first.terms) == 1:  # with more terms, the events behind them may have been retracted since
        return first
    proposals = [one for one in proposals_of(events, first.playbook) if one.agreed is not None]
    # in the order of agreement, so that stages keep their numbers when the next playbook is agreed
    proposals.sort(key=_agreed)
    stages = [stage.name for one in proposals if one.playbook for stage in one.playbook.stages]
    names = tuple(dict.fromkeys([*(stage.name for stage in first.playbook.stages), *stages]))
    proposals.sort(key=attrgetter("since", "agreed"))
    terms = (
        compile_terms(first.playbook, names),
        *(_terms(one, one.playbook, names) for one in proposals if one.playbook),
    )
    return replace(first, names=names, terms=terms, shortest_silence=shortest_silences(terms))


def _terms(proposal: Proposal, playbook: Playbook, names: tuple[str, ...]) -> Terms:
    return compile_terms(playbook, names, proposal.since or 0, proposal.event.proposal, proposal.event.digest or "")
