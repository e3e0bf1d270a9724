"""The playbook: the rules both departments agreed to, as their YAML file states them."""

from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, Self

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from projections.identifiers import PersonType
from projections.playbook.audiences import AudienceRule
from projections.playbook.handoffs import HandoffKind
from projections.playbook.strict_yaml import load_model
from projections.playbook.teams import Team, TeamName
from projections.playbook.windows import HIDEABLE
from schemas.departments import Department
from schemas.errors import TandemError

StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
#: sections that only readers use: they may change under a projection
_FOR_READERS = {"attribution", "concerns", "windows"}
AttributionModel = Literal["first", "last", "linear", "u-shaped", "w-shaped", "time-decay", "markov", "shapley"]
Threshold = Annotated[int, Field(ge=-(10**9), le=10**9)]
EventType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class InvalidPlaybook(TandemError):
    """The playbook cannot be read or breaks a rule.

    Correct the field, or the line and column, that the message names.
    """


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", populate_by_name=True)


class Silence(_Strict):
    """No event of one type for a number of days, counted from the last one."""

    of: EventType
    days: Annotated[int, Field(ge=1, le=3650)]


class When(_Strict):
    """A stage's criterion; it is met as soon as any part is."""

    identified: Literal[True] | None = None
    events: list[EventType] = []
    score: Threshold | None = None
    satisfaction_at_most: Annotated[int, Field(ge=0, le=10)] | None = None
    silence: Silence | None = None
    #: usage_reported with less than this percentage of the quantity reported before
    usage_below_percent: Annotated[int, Field(ge=1, le=100)] | None = None


class Stage(_Strict):
    name: StageName
    from_: Annotated[list[StageName] | None, Field(alias="from")] = None
    when: When = When()


class Return(_Strict):
    """An event that takes a journey back to an earlier stage."""

    event: EventType
    from_: Annotated[list[StageName], Field(alias="from")]
    to: StageName


class LimitWindow(_Strict):
    """At most `count` identifiers first named within any span of `days` days."""

    count: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1, le=3650)]


class Excluded(_Strict):
    """Events that stay in the log and are not folded: those of robots, tests and the company's own people."""

    sources: list[str] = []
    #: type:value; * stands for any text
    identifiers: list[Annotated[str, Field(pattern=r"^[a-z_]+:.+$")]] = []


class BlastRadius(_Strict):
    """A ruling that moves more than this must be confirmed."""

    events: Annotated[int, Field(ge=0)] = 100
    journeys: Annotated[int, Field(ge=0)] = 5


class IdentityRules(_Strict):
    limits: dict[PersonType, Annotated[int, Field(ge=1)] | LimitWindow]
    #: an identifier with more links than this is quarantined; `breaker` in YAML, as it was released
    max_links: Annotated[int, Field(alias="breaker", ge=2, le=10_000)] = 200
    phone_regions: dict[str, Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = {}
    exclude: Excluded = Excluded()
    blast_radius: BlastRadius = BlastRadius()


class AccountRules(_Strict):
    """Domains where anybody can get an address: they name no company."""

    free_mail: list[str] = []


class TraitRule(_Strict):
    """Which of several values of one trait holds: the first, or the last one of the best source that gave any."""

    keep: Literal["first"] | None = None
    sources: list[str] = []

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.keep is None) == (not self.sources):
            raise ValueError("a trait's rule is either `keep: first` or a list of `sources`, best first")
        return self


class WindowRule(_Strict):
    """What is hidden from a department."""

    hidden: list[str] = []
    #: by purpose: identifier types that are hidden once a person withdraws consent to it
    withdrawn: dict[str, list[PersonType]] = {}

    @model_validator(mode="after")
    def _can_be_hidden(self) -> Self:
        unknown = sorted(set(self.hidden) - HIDEABLE.keys())
        if unknown:
            raise ValueError(f"{unknown[0]!r} cannot be hidden: choose from {', '.join(sorted(HIDEABLE))}")
        return self


_Share = Annotated[int, Field(ge=1, le=1000)]
_Days = Annotated[int, Field(ge=1, le=3650)]


class UShape(_Strict):
    """The proportions in which the model u-shaped shares out a booking."""

    first: _Share = 40
    others: Annotated[int, Field(ge=0, le=1000)] = 20
    last: _Share = 40


class WShape(_Strict):
    """The proportions in which the model w-shaped shares out a booking."""

    first: _Share = 30
    #: the touchpoint that made the person known
    known: _Share = 30
    #: the touchpoint that opened the opportunity
    opportunity: _Share = 30
    others: Annotated[int, Field(ge=0, le=1000)] = 10


class AttributionRules(_Strict):
    """How touchpoints get credit for bookings."""

    model: AttributionModel = "linear"
    #: touchpoints longer before a booking get no credit for it; None: all get credit
    lookback_days: _Days | None = None
    half_life_days: _Days = 7
    u_shaped: UShape = UShape()
    w_shaped: WShape = WShape()


class Playbook(_Strict):
    """The whole playbook. Playbooks that fold alike have the same `digest()`."""

    name: str
    stages: Annotated[list[Stage], Field(min_length=1, max_length=32)]
    returns: list[Return] = []
    score: dict[EventType, Annotated[int, Field(ge=-10_000, le=10_000)]] = {}
    identity: IdentityRules
    accounts: AccountRules = AccountRules()
    traits: dict[str, TraitRule] = {}
    #: the stages that a department cares about: what its subscribers follow
    concerns: dict[Department, list[StageName]] = {}
    #: what is hidden from a department
    windows: dict[Department, WindowRule] = {}
    #: who works when: deadlines count in their open time
    teams: dict[TeamName, Team] = {}
    handoffs: list[HandoffKind] = []
    audiences: list[AudienceRule] = []
    attribution: AttributionRules = AttributionRules()

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError("stages: two stages have the same name")
        used = [name for stage in self.stages for name in stage.from_ or ()]
        used += [name for back in self.returns for name in (*back.from_, back.to)]
        used += [name for stages in self.concerns.values() for name in stages]
        used += [name for audience in self.audiences for name in audience.stages]
        used += [name for kind in self.handoffs for name in (*kind.offer.stages, *kind.resolve.stages)]
        used += [name for kind in self.handoffs for tier in kind.deadlines for name in tier.when.was]
        unknown = sorted(set(used) - set(names))
        if unknown:
            raise ValueError(f"stages: no stage is named {unknown[0]!r}")
        self._silence_ends()
        self._all_can_be_entered()
        self._parts_fit()
        if self.stages[0].from_ is not None:
            raise ValueError("stages: journeys begin in the first stage, so it takes no `from`")
        return self

    def _all_can_be_entered(self) -> None:
        """Stages that can only be entered from each other form a circle that no journey ever enters."""
        left = {stage.name: set(stage.from_) for stage in self.stages if stage.from_ is not None}
        reached = {stage.name for stage in self.stages} - left.keys()
        while enterable := {name for name, sources in left.items() if sources & reached}:
            reached |= enterable
            left = {name: sources for name, sources in left.items() if name not in enterable}
        if left:
            raise ValueError(
                f"stages: {min(left)!r} cannot be reached: it is entered only from {', '.join(sorted(left))}"
            )

    def _parts_fit(self) -> None:
        for what, parts in (("handoffs", self.handoffs), ("audiences", self.audiences)):
            known = [part.name for part in parts]
            twice = next((name for name in known if known.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{what}: {twice!r} is given more than once")
        unknown = next((kind.team for kind in self.handoffs if kind.team not in self.teams), None)
        if unknown is not None:
            raise ValueError(f"handoffs: no team is named {unknown!r}")

    def _silence_ends(self) -> None:
        """Silence alone must not move a journey in a circle: the fold would never end."""
        moves = {stage.name: set(stage.from_ or ()) for stage in self.stages if stage.when.silence}
        while moves:
            ends = [name for name, sources in moves.items() if not sources & moves.keys()]
            if not ends:
                raise ValueError(f"stages: silence leads in a circle through {', '.join(sorted(moves))}")
            for name in ends:
                del moves[name]

    def digest(self) -> str:
        """SHA-256 of the canonical rules of the fold, as hex: what a projection was built with.

        Sections that only readers use are left out. The version of tzdata is included, for deadlines depend on it.
        """
        rules = self.model_dump(by_alias=True, exclude=_FOR_READERS) | {"tzdata": version("tzdata")}
        return sha256(orjson.dumps(rules, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)).hexdigest()


DEFAULT_PLAYBOOK = Path(__file__).with_name("playbook.yaml")


def load_playbook(path: Path = DEFAULT_PLAYBOOK) -> Playbook:
    """Read and check a playbook file. Raises InvalidPlaybook with the field and the rule."""
    return load_model(path, Playbook, "playbook", InvalidPlaybook)


def to_yaml(playbook: Playbook) -> str:
    """A playbook as YAML: equal playbooks give equal text."""
    rules = playbook.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return str(yaml.safe_dump(rules, sort_keys=False, allow_unicode=True, width=120))
