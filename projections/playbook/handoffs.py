"""Kinds of hand-offs as the playbook declares them, and compiled for the fold: docs/reference/handoffs.md."""

import re
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from projections.milestones import MILESTONES
from schemas.departments import Department

_SPAN = re.compile(r"([1-9][0-9]{0,4})(m|h)")
_MICROSECONDS = {"m": 60_000_000, "h": 3_600_000_000}

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]


def span_of(text: str) -> int:
    """Microseconds of `30m` or `4h`. Raises ValueError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a span of open time: write it as 30m or 4h")
    return int(match[1]) * _MICROSECONDS[match[2]]


def _is_span(text: str) -> str:
    span_of(text)
    return text


def _is_milestone(type_: str) -> str:
    if type_ not in MILESTONES:
        raise ValueError(
            f"{type_!r} is only counted by the day, so no deadline can depend on it: "
            f"choose from {', '.join(sorted(MILESTONES))}"
        )
    return type_


Span = Annotated[str, AfterValidator(_is_span)]
Event = Annotated[str, AfterValidator(_is_milestone)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", populate_by_name=True)


class Trigger(_Strict):
    """Entering one of these stages, or one of these events."""

    stages: list[Name] = []
    events: list[Event] = []


class TierWhen(_Strict):
    """Which hand-offs a tier is for; all given criteria must be met at the offer."""

    score: Annotated[int, Field(ge=-(10**9), le=10**9)] | None = None  #: at least
    was: list[Name] = []  #: has been in one of these stages


class Deadlines(_Strict):
    """The deadlines of one tier, in open time of the team since the offer."""

    tier: Name
    when: TierWhen = TierWhen()
    remind: Span | None = None
    first_touch: Span | None = None
    resolution: Span | None = None
    #: an offer that nobody accepted by then lapses
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
    """What one department gives the other, and what is promised about it."""

    name: Name
    from_: Annotated[Department, Field(alias="from")]
    to: Department
    #: of `teams`: deadlines count in its open time
    team: Name
    offer: Trigger
    accept: list[Event] = []
    reject: list[Event] = []
    withdraw: list[Event] = []
    resolve: Trigger = Trigger()
    #: what counts as first touch, besides acceptance and rejection
    touch: list[Event] = []
    #: the first tier that fits applies
    deadlines: list[Deadlines] = []

    @model_validator(mode="after")
    def _sides(self) -> Self:
        if self.from_ == self.to:
            raise ValueError(f"hand-off {self.name!r}: {self.to!r} cannot give it to itself")
        tiers = [tier.tier for tier in self.deadlines]
        if len(set(tiers)) != len(tiers):
            raise ValueError(f"hand-off {self.name!r}: a tier is given more than once")
        return self
