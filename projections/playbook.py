"""The playbook: the rules both departments agreed to, read from YAML and compiled for the fold."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from projections.identifiers import PersonType
from schemas.errors import TandemError

DAY = 86_400_000_000  #: microseconds

StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
EventType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class InvalidPlaybook(TandemError):
    """The playbook file cannot be read or breaks a rule; the message names the field."""


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
    score: int | None = None
    satisfaction_at_most: int | None = None
    silence: Silence | None = None


class Stage(_Strict):
    name: StageName
    from_: Annotated[list[StageName] | None, Field(alias="from")] = None
    when: When = When()


class Return(_Strict):
    """An event that takes a journey back to an earlier stage."""

    event: EventType
    from_: Annotated[list[StageName], Field(alias="from")]
    to: StageName


class IdentityRules(_Strict):
    limits: dict[PersonType, Annotated[int, Field(ge=1)]]
    phone_regions: dict[str, Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = {}


class Playbook(_Strict):
    """The whole agreement. Equal playbooks have equal `digest()`."""

    name: str
    stages: Annotated[list[Stage], Field(min_length=1, max_length=32)]
    returns: list[Return] = []
    score: dict[EventType, int] = {}
    identity: IdentityRules

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError("stages: two stages have the same name")
        used = [name for stage in self.stages for name in stage.from_ or ()]
        used += [name for back in self.returns for name in (*back.from_, back.to)]
        unknown = sorted(set(used) - set(names))
        if unknown:
            raise ValueError(f"stages: no stage is named {unknown[0]!r}")
        self._silence_ends()
        if self.stages[0].from_ is not None:
            raise ValueError("stages: the first stage is where journeys begin and takes no `from`")
        return self

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
        """SHA-256 of the canonical playbook, as hex: which rules a projection was built with."""
        return sha256(orjson.dumps(self.model_dump(by_alias=True), option=orjson.OPT_SORT_KEYS)).hexdigest()


DEFAULT_PLAYBOOK = Path(__file__).with_name("playbook.yaml")


def load_playbook(path: Path = DEFAULT_PLAYBOOK) -> Playbook:
    """Read and check a playbook file. Raises InvalidPlaybook with the field and the rule."""
    try:
        return Playbook.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise InvalidPlaybook(f"cannot read the playbook {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidPlaybook(f"the playbook {path} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidPlaybook(f"the playbook {path} is wrong at {where or 'the top'}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class SilenceRule:
    """Silence of one event type for `after` microseconds leads from any of `sources` to `stage`."""

    of: str
    after: int
    sources: frozenset[int]
    stage: int


@dataclass(frozen=True, slots=True)
class Rules:
    """A playbook compiled for the fold: stages are indices, every look-up is one dictionary access."""

    names: tuple[str, ...]
    #: stages that take no `from`, in order
    main_line: tuple[int, ...]
    #: per stage: the stages it may be entered from
    enter_from: tuple[frozenset[int], ...]
    by_event: dict[str, tuple[int, ...]]
    #: (threshold, stage)
    by_score: tuple[tuple[int, int], ...]
    by_satisfaction: tuple[tuple[int, int], ...]
    identified: tuple[int, ...]
    returns: dict[str, tuple[tuple[frozenset[int], int], ...]]
    points: dict[str, int]
    silences: tuple[SilenceRule, ...]
    silent_types: frozenset[str]
    #: shortest silence in microseconds, by event type
    shortest_silence: dict[str, int]
    limits: dict[str, int]
    phone_regions: dict[str, str]
    digest: str


def compile_rules(playbook: Playbook) -> Rules:
    """Turn names into indices once, so that the fold never compares text."""
    names = tuple(stage.name for stage in playbook.stages)
    index = {name: i for i, name in enumerate(names)}
    main_line = tuple(i for i, stage in enumerate(playbook.stages) if stage.from_ is None)
    enter_from = tuple(
        frozenset(i for i in main_line if i < own)
        if stage.from_ is None
        else frozenset(index[name] for name in stage.from_)
        for own, stage in enumerate(playbook.stages)
    )
    by_event: dict[str, tuple[int, ...]] = {}
    returns: dict[str, tuple[tuple[frozenset[int], int], ...]] = {}
    for own, stage in enumerate(playbook.stages):
        for event in stage.when.events:
            by_event[event] = (*by_event.get(event, ()), own)
    for back in playbook.returns:
        rule = (frozenset(index[name] for name in back.from_), index[back.to])
        returns[back.event] = (*returns.get(back.event, ()), rule)
    silences = tuple(
        SilenceRule(stage.when.silence.of, stage.when.silence.days * DAY, enter_from[own], own)
        for own, stage in enumerate(playbook.stages)
        if stage.when.silence
    )
    return Rules(
        names=names,
        main_line=main_line,
        enter_from=enter_from,
        by_event=by_event,
        by_score=_thresholds(playbook, "score"),
        by_satisfaction=_thresholds(playbook, "satisfaction_at_most"),
        identified=tuple(i for i, stage in enumerate(playbook.stages) if stage.when.identified),
        returns=returns,
        points=dict(playbook.score),
        silences=silences,
        silent_types=frozenset(rule.of for rule in silences),
        shortest_silence={of: min(r.after for r in silences if r.of == of) for of in {r.of for r in silences}},
        limits={str(type_): limit for type_, limit in playbook.identity.limits.items()},
        phone_regions=dict(playbook.identity.phone_regions),
        digest=playbook.digest(),
    )


def _thresholds(playbook: Playbook, field: str) -> tuple[tuple[int, int], ...]:
    found = [(getattr(stage.when, field), own) for own, stage in enumerate(playbook.stages)]
    return tuple((limit, own) for limit, own in found if limit is not None)
