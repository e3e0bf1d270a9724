"""The agreement: what became of each proposed playbook, and the terms that follow, from the set of its events.

Pure, and independent of the order in which events come; docs/decisions/playbook.md has the rules in words.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import Any, NamedTuple

from projections.playbook.model import DEPARTMENTS, InvalidPlaybook, Playbook, Rules, shortest_silences
from projections.playbook.strict_yaml import read_model
from projections.playbook.terms import compile_terms
from schemas.event import Event
from schemas.rejection import Rejection
from schemas.times import parse_time

_order = attrgetter("order")

Order = tuple[int, bytes, str]  #: occurred_at in microseconds since 1970 UTC, event id, source

PROPOSED, APPROVED = "playbook_proposed", "playbook_approved"
REJECTED, COMMENTED = "playbook_rejected", "playbook_commented"
#: Joint events that are about the playbook.
ABOUT_PLAYBOOK = frozenset({PROPOSED, APPROVED, REJECTED, COMMENTED})


class Said(NamedTuple):
    """One event about the playbook."""

    order: Order
    type: str
    department: str | None
    by: str
    proposal: bytes  #: id of the event that proposed; its own, where it does so itself
    digest: str | None
    text: str  #: of the playbook, or what was said of it
    effective_at: str | None  #: RFC 3339; of a proposal
    comment: str | None  #: of a proposal


class Decision(NamedTuple):
    """What somebody said of a proposal, and why it does not count; None where it does."""

    said: Said
    void: str | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed playbook, and what became of it. Times are microseconds since 1970 UTC."""

    said: Said
    playbook: Playbook | None  #: None where the text is none
    #: why it can never come into force; None where it can
    void: str | None
    effective_at: int | None  #: None: as soon as both departments have approved it
    #: in order of time
    decisions: tuple[Decision, ...]
    #: the approvals that count, by department
    approved: dict[str, Said]
    rejected: Said | None

    @property
    def agreed(self) -> Order | None:
        """The later approval of the two; None where one is missing."""
        return max(said.order for said in self.approved.values()) if len(self.approved) == len(DEPARTMENTS) else None

    @property
    def since(self) -> int | None:
        """From when on it is in force; None where it is not agreed."""
        agreed = self.agreed
        return None if agreed is None else max(agreed[0], self.effective_at or agreed[0])


def said_of(event: Event) -> Said:
    """What an event about the playbook says."""
    data: Any = event.data
    own = event.type == PROPOSED
    about = None if own else getattr(data, "proposal", None)
    text = data.playbook if own else getattr(data, "reason", None) or getattr(data, "comment", None)
    return Said(
        (event.occurred_at, event.id, event.source),
        event.type,
        data.department,
        data.by,
        event.id if own else bytes.fromhex((about or "").replace("-", "")),
        getattr(data, "digest", None),
        text or "",
        getattr(data, "effective_at", None),
        data.comment if own else None,
    )


def proposals_of(said: Iterable[Said], first: Playbook) -> list[Proposal]:
    """What became of each proposal, in order of time. `first`: the playbook that the projection began with."""
    proposals: dict[bytes, Proposal] = {}
    others = list[Said]()
    for one in sorted(said, key=_order):
        if one.type != PROPOSED:
            others.append(one)
        elif one.proposal not in proposals:  # two sources may give one id: the first means it
            proposals[one.proposal] = _proposal(one, first)
    for one in others:
        if (known := proposals.get(one.proposal)) is not None:
            proposals[one.proposal] = _take(known, one)
    return list(proposals.values())


def stray(said: Iterable[Said]) -> list[Said]:
    """What was said of proposals that there are none of, in order of time."""
    everything = sorted(said, key=_order)
    known = {one.proposal for one in everything if one.type == PROPOSED}
    return [one for one in everything if one.proposal not in known]


def digest_of_text(text: str) -> str:
    """What approvals name a playbook's text by: the SHA-256 of its UTF-8, as hex."""
    return sha256(text.encode()).hexdigest()


def _proposal(said: Said, first: Playbook) -> Proposal:
    playbook, effective_at, void = None, None, None
    try:
        playbook = read_proposal(said.text, first)
        effective_at = None if said.effective_at is None else parse_time(said.effective_at, "effective_at")
    except InvalidPlaybook as error:
        void = str(error)
    except Rejection as error:
        void = f"effective_at: {error.message}"
    if said.department is None:
        void = void or "the proposal names no department"
    elif said.digest != digest_of_text(said.text):
        void = void or "the digest is not that of the text"
    elif effective_at is not None and effective_at < said.order[0]:
        void = void or "the effective time lies in the past: what has happened was judged by the rules of its time"
    return Proposal(said, playbook, void, effective_at, (), {}, None)


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


def _take(proposal: Proposal, said: Said) -> Proposal:
    """The proposal after one more word, the next in order of time."""
    void = objection(proposal, said.type, said.department, said.digest)
    decisions = (*proposal.decisions, Decision(said, void))
    if void is None and said.type == APPROVED:
        assert said.department is not None, "an approval without department is void"
        return replace(proposal, decisions=decisions, approved=proposal.approved | {said.department: said})
    if void is None and said.type == REJECTED:
        return replace(proposal, decisions=decisions, rejected=said)
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
        (approves and digest != proposal.said.digest, "it approves another text: the digests differ"),
        (approves and department in proposal.approved, f"{department} has approved it before"),
    )
    return next((reason for holds, reason in objections if holds), None)


def agreed_rules(first: Rules, said: Iterable[Said]) -> Rules:
    """The rules that follow from `first`, which the projection began with, and from all that was said of playbooks."""
    said = list(said)
    if not said and len(first.terms) == 1:  # what was said may have been taken back since others were agreed
        return first
    proposals = proposals_of(said, first.playbook)
    agreed = [(one.agreed, one, one.playbook) for one in proposals if one.agreed is not None and one.playbook]
    # in the order of agreement, so that stages keep their numbers when the next playbook is agreed
    agreed.sort(key=lambda found: found[0])
    stages = [stage.name for _, _, playbook in agreed for stage in playbook.stages]
    names = tuple(dict.fromkeys([*(stage.name for stage in first.playbook.stages), *stages]))
    agreed.sort(key=lambda found: (found[1].since, found[0]))
    terms = (
        compile_terms(first.playbook, names),
        *(
            compile_terms(playbook, names, one.since or 0, one.said.proposal, one.said.digest or "")
            for _, one, playbook in agreed
        ),
    )
    return replace(first, names=names, terms=terms, shortest_silence=shortest_silences(terms))
