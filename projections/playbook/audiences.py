"""Audiences: whom a department may turn to, by named rules of the playbook. Customers are one like any other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from projections.identifiers import PersonType


class AudienceRule(BaseModel):
    """Who belongs to it: all that is given must hold."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
    #: in one of these stages; in any, without
    stages: list[Annotated[str, Field(max_length=64)]] = []
    #: purposes to which the person has consented, and did not withdraw
    consent: list[Annotated[str, Field(max_length=128)]] = []
    #: types of identifiers, one of each of which is known
    identified_by: list[PersonType] = []
    score: Annotated[int, Field(ge=-(10**9), le=10**9)] | None = None  #: at least


@dataclass(frozen=True, slots=True)
class Audience:
    """A rule, compiled; no stages stand for all."""

    name: str
    stages: frozenset[int]
    consent: frozenset[str]
    identified_by: frozenset[str]
    score: int | None


def compile_audiences(rules: Sequence[AudienceRule], number: Mapping[str, int]) -> tuple[Audience, ...]:
    """The audiences in the order of their names. `number`: of stages."""
    found = [
        Audience(
            rule.name,
            frozenset(number[name] for name in rule.stages),
            frozenset(rule.consent),
            frozenset(str(type_) for type_ in rule.identified_by),
            rule.score,
        )
        for rule in rules
    ]
    return tuple(sorted(found, key=lambda one: one.name))


def open_to(
    audiences: Sequence[Audience], types: Collection[str], consented: Collection[str], score: int
) -> list[Audience]:
    """The audiences that somebody can be in, if the stage is right; in the order of their names."""
    return [
        one
        for one in audiences
        if one.consent.issubset(consented)
        and one.identified_by.issubset(types)
        and (one.score is None or score >= one.score)
    ]


def in_stage(audiences: Sequence[Audience], stage: int) -> list[str]:
    """Names of those audiences that a stage is right for."""
    return [one.name for one in audiences if not one.stages or stage in one.stages]
