"""Rules: playbooks compiled for the fold. Names become numbers once, so that the fold never compares text.

Stages are numbered over all playbooks that were ever agreed (`Rules.names`). So the numbers in stored journeys keep
their meaning when a playbook with other stages comes into force.
"""

import fnmatch
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from projections.playbook.audiences import Audience, compile_audiences
from projections.playbook.business_hours import compile_calendar
from projections.playbook.handoff_terms import HandoffTerms, compile_handoffs
from projections.playbook.limits import Limits
from projections.playbook.model import (
    DEFAULT_PLAYBOOK,
    AttributionRules,
    IdentityRules,
    LimitWindow,
    Playbook,
    WindowRule,
    load_playbook,
)
from projections.playbook.windows import HIDEABLE, Window
from schemas.departments import DEPARTMENTS
from schemas.times import BEGINNING, DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRule:
    """Silence of one event type for `after` microseconds moves a journey from any of `sources` to `stage`."""

    of: str
    after: int
    sources: frozenset[int]
    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One playbook, compiled: in force from `since` until the next terms. Stages are numbers."""

    since: int  #: microseconds since 1970 UTC
    #: id of the agreed proposal; None for the playbook that the projection began with
    proposal: bytes | None
    #: SHA-256 of the playbook's text, as hex; of the first playbook its `digest()`
    digest: str
    #: stages without `from`, in order
    main_line: tuple[int, ...]
    #: by stage: the stages it may be entered from; none for a stage that this playbook does not have
    enter_from: tuple[frozenset[int], ...]
    #: by stage: its place in this playbook's order
    place: tuple[int, ...]
    by_event: dict[str, tuple[int, ...]]
    #: (threshold, stage)
    by_score: tuple[tuple[int, int], ...]
    by_satisfaction: tuple[tuple[int, int], ...]
    identified: tuple[int, ...]
    returns: dict[str, tuple[tuple[frozenset[int], int], ...]]
    points: dict[str, int]
    silences: tuple[SilenceRule, ...]
    #: (percent, stage): usage below this percentage of the one reported before
    by_usage: tuple[tuple[int, int], ...]
    handoffs: HandoffTerms | None
    audiences: tuple[Audience, ...]
    #: the stages that a department cares about
    concerns: dict[str, frozenset[int]]
    attribution: AttributionRules
    playbook: Playbook


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that is agreed, compiled. Rules about identity hold for all time; terms follow each other."""

    #: the playbook that the projection began with
    playbook: Playbook
    #: all stages of all terms, by number; journeys begin in the first
    names: tuple[str, ...]
    #: in order of time; the first are in force from the beginning
    terms: tuple[Terms, ...]
    #: by event type: the shortest silence that any terms have a rule for, in microseconds
    shortest_silence: dict[str, int]
    #: how many identifiers of a type one person may have
    limits: Limits
    #: an identifier with more links is quarantined
    max_links: int
    phone_regions: dict[str, str]
    excluded_sources: frozenset[str]
    #: matches type:value of identifiers whose events are not folded; None where there are none
    excluded: re.Pattern[str] | None
    free_mail: frozenset[str]
    #: how many events and journeys a ruling may move without confirmation
    blast_radius: tuple[int, int]
    #: traits whose first value holds
    first_traits: frozenset[str]
    #: by trait: its preferred sources, best first
    trait_sources: dict[str, tuple[str, ...]]
    digest: str

    def at(self, at: int) -> Terms:
        """The terms in force at a time, microseconds since 1970 UTC; of several that begin then, the last."""
        terms = self.terms
        return terms[0] if len(terms) == 1 else terms[bisect_right(terms, at, key=_since) - 1]


_since = attrgetter("since")


def load_rules(path: Path | None = None) -> Rules:
    """The rules of a playbook file; without a path, of the one that comes with Tandem. Raises InvalidPlaybook."""
    return compile_rules(load_playbook(path or DEFAULT_PLAYBOOK))


def compile_rules(playbook: Playbook) -> Rules:
    """The rules where one playbook is in force for all time."""
    names = tuple(stage.name for stage in playbook.stages)
    terms = (compile_terms(playbook, names),)
    identity = playbook.identity
    return Rules(
        playbook=playbook,
        names=names,
        terms=terms,
        shortest_silence=shortest_silences(terms),
        limits=_limits(identity),
        max_links=identity.max_links,
        phone_regions=dict(identity.phone_regions),
        excluded_sources=frozenset(identity.exclude.sources),
        excluded=_patterns(identity.exclude.identifiers),
        free_mail=frozenset(playbook.accounts.free_mail),
        blast_radius=(identity.blast_radius.events, identity.blast_radius.journeys),
        first_traits=frozenset(name for name, rule in playbook.traits.items() if rule.keep == "first"),
        trait_sources={name: tuple(rule.sources) for name, rule in playbook.traits.items() if rule.sources},
        digest=playbook.digest(),
    )


def _limits(identity: IdentityRules) -> Limits:
    counts, spans = dict[str, int](), dict[str, int]()
    for type_, limit in identity.limits.items():
        if isinstance(limit, LimitWindow):
            counts[str(type_)], spans[str(type_)] = limit.count, limit.days * DAY
        else:
            counts[str(type_)] = limit
    return Limits(counts, spans)


def compile_terms(
    playbook: Playbook, names: Sequence[str], since: int = BEGINNING, proposal: bytes | None = None, digest: str = ""
) -> Terms:
    """The terms of one playbook. `names`: all stages of all terms, by number."""
    number = {name: i for i, name in enumerate(names)}
    own = [number[stage.name] for stage in playbook.stages]
    main_line = tuple(n for n, stage in zip(own, playbook.stages, strict=True) if stage.from_ is None)
    enter_from, place = [frozenset[int]()] * len(names), [len(names)] * len(names)
    by_event: dict[str, tuple[int, ...]] = {}
    for i, (n, stage) in enumerate(zip(own, playbook.stages, strict=True)):
        before = main_line[: main_line.index(n)] if stage.from_ is None else [number[name] for name in stage.from_]
        enter_from[n], place[n] = frozenset(before), i
        for event in stage.when.events:
            by_event[event] = (*by_event.get(event, ()), n)
    silences = tuple(
        SilenceRule(of=stage.when.silence.of, after=stage.when.silence.days * DAY, sources=enter_from[n], stage=n)
        for n, stage in zip(own, playbook.stages, strict=True)
        if stage.when.silence
    )
    return Terms(
        since=since,
        proposal=proposal,
        digest=digest or playbook.digest(),
        main_line=main_line,
        enter_from=tuple(enter_from),
        place=tuple(place),
        by_event=by_event,
        by_score=_thresholds(playbook, "score", own),
        by_satisfaction=_thresholds(playbook, "satisfaction_at_most", own),
        identified=tuple(n for n, stage in zip(own, playbook.stages, strict=True) if stage.when.identified),
        returns=_returns(playbook, number),
        points=dict(playbook.score),
        silences=silences,
        by_usage=_thresholds(playbook, "usage_below_percent", own),
        handoffs=_handoffs(playbook, number),
        audiences=compile_audiences(playbook.audiences, number),
        concerns={str(who): frozenset(number[name] for name in stages) for who, stages in playbook.concerns.items()},
        attribution=playbook.attribution,
        playbook=playbook,
    )


def _handoffs(playbook: Playbook, number: Mapping[str, int]) -> HandoffTerms | None:
    teams = playbook.teams
    calendars = {
        name: compile_calendar(teams[name].timezone, teams[name].week(), teams[name].special())
        for name in {kind.team for kind in playbook.handoffs}
    }
    return compile_handoffs(playbook.handoffs, number, calendars, {name: team.members for name, team in teams.items()})


def _returns(playbook: Playbook, number: Mapping[str, int]) -> dict[str, tuple[tuple[frozenset[int], int], ...]]:
    returns: dict[str, tuple[tuple[frozenset[int], int], ...]] = {}
    for back in playbook.returns:
        rule = (frozenset(number[name] for name in back.from_), number[back.to])
        returns[back.event] = (*returns.get(back.event, ()), rule)
    return returns


def _thresholds(playbook: Playbook, field: str, own: Sequence[int]) -> tuple[tuple[int, int], ...]:
    limits = [(getattr(stage.when, field), n) for n, stage in zip(own, playbook.stages, strict=True)]
    return tuple((limit, n) for limit, n in limits if limit is not None)


def shortest_silences(terms: Sequence[Terms]) -> dict[str, int]:
    """By event type: the shortest silence that any of the terms have a rule for, in microseconds."""
    shortest: dict[str, int] = {}
    for rule in (rule for one in terms for rule in one.silences):
        shortest[rule.of] = min(rule.after, shortest.get(rule.of, rule.after))
    return shortest


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
