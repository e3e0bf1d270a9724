"""Audiences: named rules of the playbook about whom a department may address."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from projections.identifiers import PersonType


class AudienceRule(BaseModel):
    """Who belongs to an audience: all given criteria must be met."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
    #: in one of these stages; in any where none is given
    stages: list[Annotated[str, Field(max_length=64)]] = []
    #: purposes to which the person consents
    consent: list[Annotated[str, Field(max_length=128)]] = []
    #: identifier types: one of each type is known
    identified_by: list[PersonType] = []
    score: Annotated[int, Field(ge=-(10**9), le=10**9)] | None = None  #: at least


@dataclass(frozen=True, slots=True)
class Audience:
    """A compiled rule; no stages means all."""

    name: str
    stages: frozenset[int]
    consent: frozenset[str]
    identified_by: frozenset[str]
    score: int | None


def compile_audiences(rules: Sequence[AudienceRule], number: Mapping[str, int]) -> tuple[Audience, ...]:
    """The audiences by name. `number`: of each stage."""
    audiences = [
        Audience(
            rule.name,
            frozenset(number[name] for name in rule.stages),
            frozenset(rule.consent),
            frozenset(str(type_) for type_ in rule.identified_by),
            rule.score,
        )
        for rule in rules
    ]
    return tuple(sorted(audiences, key=lambda one: one.name))


def open_to(
    audiences: Sequence[Audience], types: Collection[str], consented: Collection[str], score: int
) -> list[Audience]:
    """The audiences that somebody is in, if the stage is right; by name."""
    return [
        one
        for one in audiences
        if one.consent.issubset(consented)
        and one.identified_by.issubset(types)
        and (one.score is None or score >= one.score)
    ]


def in_stage(audiences: Sequence[Audience], stage: int) -> list[str]:
    """The names of the audiences that include a stage."""
    return [one.name for one in audiences if not one.stages or stage in one.stages]
