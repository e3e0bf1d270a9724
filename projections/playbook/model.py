"""The playbook: the rules both departments agreed to, read from YAML and compiled for the fold."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from projections.identifiers import PersonType
from projections.playbook.audiences import AudienceRule
from projections.playbook.handoffs import HandoffKind
from projections.playbook.strict_yaml import load_model
from projections.playbook.teams import Team, TeamName
from projections.playbook.terms import DAY, Terms, compile_terms, terms_at
from projections.playbook.windows import HIDEABLE, Window
from schemas.errors import TandemError

StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
Department = Literal["marketing", "sales"]
DEPARTMENTS: tuple[Department, ...] = get_args(Department)
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
    """Nothing of one event type for a number of days, counted from the last one seen."""

    of: EventType
    days: Annotated[int, Field(ge=1, le=3650)]


class When(_Strict):
    """A stage's criterion; it holds if any part holds."""

    identified: Literal[True] | None = None
    events: list[EventType] = []
    score: Threshold | None = None
    satisfaction_at_most: Annotated[int, Field(ge=0, le=10)] | None = None
    silence: Silence | None = None
    #: usage_reported with less than so many percent of the quantity reported before
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
    """At most `count` identifiers that were first named within any `days` days."""

    count: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1, le=3650)]


class Excluded(_Strict):
    """Whose events are kept in the log and not folded: robots, tests, the company's own people."""

    sources: list[str] = []
    #: type:value with * for any text
    identifiers: list[Annotated[str, Field(pattern=r"^[a-z_]+:.+$")]] = []


class BlastRadius(_Strict):
    """A ruling that moves more than this must be confirmed."""

    events: Annotated[int, Field(ge=0)] = 100
    journeys: Annotated[int, Field(ge=0)] = 5


class IdentityRules(_Strict):
    limits: dict[PersonType, Annotated[int, Field(ge=1)] | LimitWindow]
    #: an identifier that is linked to more others than this is quarantined
    breaker: Annotated[int, Field(ge=2, le=10_000)] = 200
    phone_regions: dict[str, Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = {}
    exclude: Excluded = Excluded()
    blast_radius: BlastRadius = BlastRadius()


class AccountRules(_Strict):
    """Domains of which anybody can have an address: they name no company."""

    free_mail: list[str] = []


class TraitRule(_Strict):
    """Which of several values of one trait holds: the first ever, or the last of the best source that gave one."""

    keep: Literal["first"] | None = None
    sources: list[str] = []

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.keep is None) == (not self.sources):
            raise ValueError("a trait's rule is either `keep: first` or a list of `sources`, best first")
        return self


class WindowRule(_Strict):
    """What a department does not see of journeys."""

    hidden: list[str] = []
    #: by purpose: identifier types that are hidden of people who withdrew their consent to it
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
    """How a booking is shared out by u-shaped: in which proportion."""

    first: _Share = 40
    others: Annotated[int, Field(ge=0, le=1000)] = 20
    last: _Share = 40


class WShape(_Strict):
    """How a booking is shared out by w-shaped: in which proportion."""

    first: _Share = 30
    #: the touchpoint that made the person known
    known: _Share = 30
    #: the touchpoint that opened the opportunity
    opportunity: _Share = 30
    others: Annotated[int, Field(ge=0, le=1000)] = 10


class AttributionRules(_Strict):
    """How credit for bookings is given to touchpoints."""

    model: AttributionModel = "linear"
    #: touchpoints that came longer before a booking have no part in it; None: all have
    lookback_days: _Days | None = None
    half_life_days: _Days = 7
    u_shaped: UShape = UShape()
    w_shaped: WShape = WShape()


class Playbook(_Strict):
    """The whole agreement. Playbooks that fold equally have equal `digest()`."""

    name: str
    stages: Annotated[list[Stage], Field(min_length=1, max_length=32)]
    returns: list[Return] = []
    score: dict[EventType, Annotated[int, Field(ge=-10_000, le=10_000)]] = {}
    identity: IdentityRules
    accounts: AccountRules = AccountRules()
    traits: dict[str, TraitRule] = {}
    #: the stages that concern a department: what its subscribers follow
    concerns: dict[Department, list[StageName]] = {}
    #: what a department does not see
    windows: dict[Department, WindowRule] = {}
    #: who works when: what deadlines count by
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
            raise ValueError("stages: the first stage is where journeys begin and takes no `from`")
        return self

    def _all_can_be_entered(self) -> None:
        """Stages that can be entered from each other only are in a circle that nobody ever gets into."""
        left = {stage.name: set(stage.from_) for stage in self.stages if stage.from_ is not None}
        reached = {stage.name for stage in self.stages} - left.keys()
        while found := {name for name, sources in left.items() if sources & reached}:
            reached |= found
            left = {name: sources for name, sources in left.items() if name not in found}
        if left:
            raise ValueError(
                f"stages: no way leads into {min(left)!r}: it is entered from {', '.join(sorted(left))} only"
            )

    def _parts_fit(self) -> None:
        for what, parts in (("handoffs", self.handoffs), ("audiences", self.audiences)):
            known = [part.name for part in parts]
            twice = next((name for name in known if known.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{what}: {twice!r} stands twice")
        unknown = next((kind.team for kind in self.handoffs if kind.team not in self.teams), None)
        if unknown is not None:
            raise ValueError(f"handoffs: no team is named {unknown!r}")

    def _silence_ends(self) -> None:
        """Silence alone must not lead a journey in a circle: the fold would never end."""
        moves = {stage.name: set(stage.from_ or ()) for stage in self.stages if stage.when.silence}
        while moves:
            ends = [name for name, sources in moves.items() if not sources & moves.keys()]
            if not ends:
                raise ValueError(f"stages: silence leads in a circle through {', '.join(sorted(moves))}")
            for name in ends:
                del moves[name]

    def digest(self) -> str:
        """SHA-256 of the canonical rules of the fold, as hex: what a projection was built with.

        What only readers go by is left out: it may change under a projection. Deadlines depend on time zones, too.
        """
        rules = self.model_dump(by_alias=True, exclude=_FOR_READERS) | {"tzdata": version("tzdata")}
        return sha256(orjson.dumps(rules, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)).hexdigest()


DEFAULT_PLAYBOOK = Path(__file__).with_name("playbook.yaml")


def load_playbook(path: Path = DEFAULT_PLAYBOOK) -> Playbook:
    """Read and check a playbook file. Raises InvalidPlaybook with the field and the rule."""
    return load_model(path, Playbook, "playbook", InvalidPlaybook)


def to_yaml(playbook: Playbook) -> str:
    """A playbook as YAML: the same text for all that say the same."""
    rules = playbook.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return str(yaml.safe_dump(rules, sort_keys=False, allow_unicode=True, width=120))


@dataclass(frozen=True, slots=True)
class Rules:
    """All that is agreed, compiled for the fold. What is about identity holds for all time; terms follow each other."""

    #: the playbook that the projection began with
    playbook: Playbook
    #: all stages of all terms, by number; the first is where journeys begin
    names: tuple[str, ...]
    #: in order of time; the first holds from the beginning
    terms: tuple[Terms, ...]
    #: types whose silence means something under any terms, and the shortest such silence in microseconds
    shortest_silence: dict[str, int]
    limits: dict[str, int]
    #: microseconds, for limits that count what was first named within such a time
    windows: dict[str, int]
    breaker: int
    phone_regions: dict[str, str]
    excluded_sources: frozenset[str]
    #: matches type:value of identifiers whose events are not folded; None where there are none
    excluded: re.Pattern[str] | None
    free_mail: frozenset[str]
    #: events and journeys that a ruling may move without being confirmed
    blast_radius: tuple[int, int]
    #: traits whose first value holds
    first_traits: frozenset[str]
    #: sources, best first, by trait
    trait_sources: dict[str, tuple[str, ...]]
    digest: str

    def at(self, at: int) -> Terms:
        """The terms that hold at a time, microseconds since 1970 UTC."""
        return self.terms[0] if len(self.terms) == 1 else terms_at(self.terms, at)


def compile_rules(playbook: Playbook) -> Rules:
    """The rules where one playbook holds for all time."""
    names = tuple(stage.name for stage in playbook.stages)
    terms = (compile_terms(playbook, names),)
    identity = playbook.identity
    return Rules(
        playbook=playbook,
        names=names,
        terms=terms,
        shortest_silence=shortest_silences(terms),
        limits={
            str(type_): limit.count if isinstance(limit, LimitWindow) else limit
            for type_, limit in identity.limits.items()
        },
        windows={
            str(type_): limit.days * DAY for type_, limit in identity.limits.items() if isinstance(limit, LimitWindow)
        },
        breaker=identity.breaker,
        phone_regions=dict(identity.phone_regions),
        excluded_sources=frozenset(identity.exclude.sources),
        excluded=_patterns(identity.exclude.identifiers),
        free_mail=frozenset(playbook.accounts.free_mail),
        blast_radius=(identity.blast_radius.events, identity.blast_radius.journeys),
        first_traits=frozenset(name for name, rule in playbook.traits.items() if rule.keep == "first"),
        trait_sources={name: tuple(rule.sources) for name, rule in playbook.traits.items() if rule.sources},
        digest=playbook.digest(),
    )


def shortest_silences(terms: Sequence[Terms]) -> dict[str, int]:
    """The shortest silence that means something under any terms, in microseconds, by event type."""
    found: dict[str, int] = {}
    for rule in (rule for one in terms for rule in one.silences):
        found[rule.of] = min(rule.after, found.get(rule.of, rule.after))
    return found


def compile_windows(playbook: Playbook) -> dict[str, Window]:
    """The window of each department that publishes facts."""
    rules = {name: playbook.windows.get(name, WindowRule()) for name in DEPARTMENTS}
    return {
        name: Window(
            name,
            frozenset(path for field in rule.hidden for path in HIDEABLE[field]),
            frozenset((purpose, type_) for purpose, types in rule.withdrawn.items() for type_ in types),
        )
        for name, rule in rules.items()
    }


def _patterns(globs: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs)) if globs else None
