"""Terms: what one playbook says of stages, score and silence, compiled for the fold, and from when on it holds.

Stages are numbered over all playbooks that were ever agreed (`Rules.names`): the numbers in stored journeys stay what
they are when a playbook with other stages comes into force.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from projections.playbook.audiences import Audience, compile_audiences
from projections.playbook.handoffs import HandoffTerms, compile_handoffs
from projections.playbook.teams import compile_calendars
from projections.playbook.zones import BEGINNING

if TYPE_CHECKING:
    from projections.playbook.model import AttributionRules, Playbook

DAY = 86_400_000_000  #: microseconds


@dataclass(frozen=True, slots=True)
class SilenceRule:
    """Silence of one event type for `after` microseconds leads from any of `sources` to `stage`."""

    of: str
    after: int
    sources: frozenset[int]
    stage: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds from `since` on, microseconds since 1970 UTC, until the next terms do. Look-ups are by number."""

    since: int
    #: id of the proposal that was agreed; None for the playbook that the projection began with
    proposal: bytes | None
    #: SHA-256 of the playbook's text or, of the first one, its digest: as hex
    digest: str
    #: stages that take no `from`, in order
    main_line: tuple[int, ...]
    #: by stage: the stages it may be entered from; a stage that this playbook does not know is entered from nowhere
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
    #: (percent, stage): usage below so many percent of the one reported before
    by_usage: tuple[tuple[int, int], ...]
    handoffs: HandoffTerms | None
    audiences: tuple[Audience, ...]
    #: stages by the department that they concern
    concerns: dict[str, frozenset[int]]
    attribution: "AttributionRules"
    playbook: "Playbook"


def compile_terms(
    playbook: "Playbook", names: Sequence[str], since: int = BEGINNING, proposal: bytes | None = None, digest: str = ""
) -> Terms:
    """Turn names into numbers once, so that the fold never compares text. `names`: all stages, by number."""
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
        SilenceRule(stage.when.silence.of, stage.when.silence.days * DAY, enter_from[n], n)
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
        handoffs=compile_handoffs(
            playbook.handoffs,
            number,
            compile_calendars({name: playbook.teams[name] for name in {kind.team for kind in playbook.handoffs}}),
            {name: team.members for name, team in playbook.teams.items()},
        ),
        audiences=compile_audiences(playbook.audiences, number),
        concerns={str(who): frozenset(number[name] for name in stages) for who, stages in playbook.concerns.items()},
        attribution=playbook.attribution,
        playbook=playbook,
    )


def _returns(playbook: "Playbook", number: Mapping[str, int]) -> dict[str, tuple[tuple[frozenset[int], int], ...]]:
    returns: dict[str, tuple[tuple[frozenset[int], int], ...]] = {}
    for back in playbook.returns:
        rule = (frozenset(number[name] for name in back.from_), number[back.to])
        returns[back.event] = (*returns.get(back.event, ()), rule)
    return returns


def _thresholds(playbook: "Playbook", field: str, own: Sequence[int]) -> tuple[tuple[int, int], ...]:
    found = [(getattr(stage.when, field), n) for n, stage in zip(own, playbook.stages, strict=True)]
    return tuple((limit, n) for limit, n in found if limit is not None)


def terms_at(terms: Sequence[Terms], at: int) -> Terms:
    """The terms that hold at a time; of several that begin at the same time the last."""
    return terms[bisect_right(terms, at, key=_since) - 1]


def _since(terms: Terms) -> int:
    return terms.since
