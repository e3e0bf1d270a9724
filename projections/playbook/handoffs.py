"""Kinds of hand-offs as the playbook declares them, and compiled for the fold: docs/reference/handoffs.md."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from projections.milestones import MILESTONES
from projections.playbook.business_hours import Calendar, deadline

_SPAN = re.compile(r"([1-9][0-9]{0,4})(m|h)")
_MICROSECONDS = {"m": 60_000_000, "h": 3_600_000_000}

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
Department = Literal["marketing", "sales"]


def span_of(text: str) -> int:
    """Microseconds of `30m` or `4h`. Raises ValueError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no span of open time: write it as 30m or 4h")
    return int(match[1]) * _MICROSECONDS[match[2]]


def _is_span(text: str) -> str:
    span_of(text)
    return text


def _is_kept(type_: str) -> str:
    if type_ not in MILESTONES:
        raise ValueError(
            f"{type_!r} is kept by the day, not one by one, so nothing can be timed by it: "
            f"choose from {', '.join(sorted(MILESTONES))}"
        )
    return type_


Span = Annotated[str, AfterValidator(_is_span)]
Event = Annotated[str, AfterValidator(_is_kept)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", populate_by_name=True)


class Trigger(_Strict):
    """Entering one of these stages, or one of these events."""

    stages: list[Name] = []
    events: list[Event] = []


class TierWhen(_Strict):
    """Whose hand-offs a tier is for; all that is given must hold when it is offered."""

    score: Annotated[int, Field(ge=-(10**9), le=10**9)] | None = None  #: at least
    was: list[Name] = []  #: has been in one of these stages


class Deadlines(_Strict):
    """Deadlines of one tier, in open time of the team from the offer on."""

    tier: Name
    when: TierWhen = TierWhen()
    remind: Span | None = None
    first_touch: Span | None = None
    resolution: Span | None = None
    #: an offer that nobody has accepted by then is none any more
    expires: Span | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        given = [
            (name, span_of(span))
            for name in ("remind", "first_touch", "resolution")
            if (span := getattr(self, name)) is not None
        ]
        for (one, first), (other, second) in pairwise(given):
            if first >= second:
                raise ValueError(f"deadlines of {self.tier!r}: {one!r} must come before {other!r}")
        if self.expires and self.first_touch and span_of(self.expires) < span_of(self.first_touch):
            raise ValueError(f"deadlines of {self.tier!r}: 'expires' must not come before 'first_touch'")
        return self


class HandoffKind(_Strict):
    """What one department gives another, and what is promised about it."""

    name: Name
    from_: Annotated[Department, Field(alias="from")]
    to: Department
    #: of `teams`: by whose open time deadlines count
    team: Name
    offer: Trigger
    accept: list[Event] = []
    reject: list[Event] = []
    withdraw: list[Event] = []
    resolve: Trigger = Trigger()
    #: what counts as first touch, beside acceptance and rejection
    touch: list[Event] = []
    #: the first tier that fits
    deadlines: list[Deadlines] = []

    @model_validator(mode="after")
    def _sides(self) -> Self:
        if self.from_ == self.to:
            raise ValueError(f"hand-off {self.name!r}: {self.to!r} cannot give it to itself")
        tiers = [tier.tier for tier in self.deadlines]
        if len(set(tiers)) != len(tiers):
            raise ValueError(f"hand-off {self.name!r}: a tier stands twice")
        return self


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier, compiled; spans in microseconds of open time."""

    name: str
    score: int | None
    was: tuple[int, ...]
    remind: int | None
    first_touch: int | None
    resolution: int | None
    expires: int | None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind, compiled."""

    name: str
    from_: str
    to: str
    team: str
    members: frozenset[str]  #: who may decide for the team; empty: everybody of the department
    calendar: Calendar
    tiers: tuple[Tier, ...]

    def due(self, offered_at: int, span: int | None) -> int | None:
        """When so much open time has passed since an offer; None where nothing is promised."""
        return None if span is None else deadline(self.calendar, offered_at, span)


#: What an event may be for a hand-off, in the order in which that is taken.
TOUCH, ACCEPT, REJECT, WITHDRAW, RESOLVE, OFFER = range(6)


@dataclass(frozen=True, slots=True)
class HandoffTerms:
    """All kinds of one playbook, by what triggers them."""

    kinds: dict[str, Kind]
    #: event type -> (what it is, kind), in the order in which they are taken
    by_event: dict[str, tuple[tuple[int, Kind], ...]]
    offered_by_stage: dict[int, tuple[Kind, ...]]
    resolved_by_stage: dict[int, tuple[Kind, ...]]


def compile_handoffs(
    kinds: Sequence[HandoffKind],
    number: Mapping[str, int],
    calendars: Mapping[str, Calendar],
    members: Mapping[str, Sequence[str]],
) -> HandoffTerms | None:
    """The terms; None where nothing is handed off. `number`: of stages."""
    if not kinds:
        return None
    by_event: dict[str, list[tuple[int, Kind]]] = {}
    offered: dict[int, tuple[Kind, ...]] = {}
    resolved: dict[int, tuple[Kind, ...]] = {}
    compiled: dict[str, Kind] = {}
    for one in kinds:
        tiers = tuple(_tier(deadlines, number) for deadlines in one.deadlines)
        people = frozenset(members[one.team])
        kind = Kind(one.name, one.from_, one.to, one.team, people, calendars[one.team], tiers)
        compiled[one.name] = kind
        roles = (one.touch, one.accept, one.reject, one.withdraw, one.resolve.events, one.offer.events)
        for role, events in enumerate(roles):
            for event in events:
                by_event.setdefault(event, []).append((role, kind))
        for stages, found in ((one.offer.stages, offered), (one.resolve.stages, resolved)):
            for name in stages:
                found[number[name]] = (*found.get(number[name], ()), kind)
    order = {event: tuple(sorted(roles, key=lambda found: found[0])) for event, roles in by_event.items()}
    return HandoffTerms(compiled, order, offered, resolved)


def _tier(deadlines: Deadlines, number: Mapping[str, int]) -> Tier:
    def span(text: str | None) -> int | None:
        return None if text is None else span_of(text)

    return Tier(
        deadlines.tier,
        deadlines.when.score,
        tuple(number[name] for name in deadlines.when.was),
        span(deadlines.remind),
        span(deadlines.first_touch),
        span(deadlines.resolution),
        span(deadlines.expires),
    )
