"""The row of a journey: the columns that lists and funnels read, next to the folded state."""

from collections.abc import Sequence
from typing import NamedTuple

from projections.journey.handoffs import Handoff
from projections.journey.journey import Journey
from projections.journey.life import Entry, Lifecycle
from projections.journey.lifecycle import ahead
from projections.journey.membership import Membership, memberships
from projections.journey.traits import consent_of, latest
from projections.playbook.audiences import Audience, in_stage, open_to
from projections.playbook.rules import Rules, Terms


class JourneyRow(NamedTuple):
    """One row of the table `journeys`. Times are microseconds since 1970 UTC; stages are numbers."""

    journey_id: bytes
    component: bytes | None
    rev: int
    stage: int
    stage_since: int
    #: (time, stage, audiences): the changes that time alone will bring
    due: list[tuple[int, int, list[str]]]
    reached: list[int | None]
    first_seen: int
    last_seen: int
    events: int
    channel: str | None
    campaign: str | None
    owner: str | None
    account: str | None
    #: all accounts it ever belonged to, and the stays
    accounts: list[str]
    stays: list[Membership]
    score: int
    value: dict[str, int]
    #: the audiences of its folded stage, by name
    audiences: list[str]
    #: all hand-offs, and those that silence will lead to
    handoffs: list[Handoff]
    state: bytes


def row_of(journey: Journey, rules: Rules) -> JourneyRow:
    """The row of the journey's present state.

    It shares nothing that the fold changes in place: the next batch is folded while the row is written.
    """
    life = journey.life
    assert life is not None, "a journey is derived before it is written"
    owner = latest([fact for fact in journey.facts.values() if fact.kind == "owner"]) if journey.facts else None
    stays = memberships(journey, rules)
    entered = life.history[-1]
    last = max(journey.last_seen, entered.at)
    future = _future(life, rules)
    audiences, due = _audiences(journey, future.history[len(life.history) :], rules, last)
    return JourneyRow(
        journey_id=journey.journey_id,
        component=journey.component,
        rev=journey.rev,
        stage=life.stage,
        stage_since=entered.at,
        due=due,
        reached=life.reached.copy(),
        first_seen=life.history[0].at,
        last_seen=max(journey.last_seen, life.history[0].at),
        events=journey.events,
        channel=life.channel,
        campaign=life.campaign,
        owner=owner.value if owner else None,
        account=stays[-1].account if stays else None,
        accounts=sorted({stay.account for stay in stays}) if stays else [],
        stays=stays,
        score=life.score,
        value=life.value.copy(),
        audiences=audiences,
        handoffs=future.handoffs.copy(),
        state=journey.encode(),
    )


def handoffs_of(journey: Journey, rules: Rules) -> list[Handoff]:
    """All hand-offs, and those that silence will lead to."""
    assert journey.life is not None, "a journey is derived before it is written"
    return _future(journey.life, rules).handoffs.copy()


def _future(life: Lifecycle, rules: Rules) -> Lifecycle:
    """The lifecycle once time has done what it will."""
    return ahead(life, rules) if life.heard or any(one.open for one in life.handoffs) else life


def _audiences(
    journey: Journey, falls: Sequence[Entry], rules: Rules, last: int
) -> tuple[list[str], list[tuple[int, int, list[str]]]]:
    """(audiences now, changes of stage and audiences that time alone will bring).

    `falls`: stages that silence will lead to. Terms that come into force later may have other audiences: where that
    makes a difference, it is a change too. `last`: up to when the journey is folded.
    """
    life = journey.life
    assert life is not None, "a journey is derived before it is written"
    stage, terms = life.stage, rules.at(last)
    now = in_stage(_possible(journey, terms), stage)
    times = {entry.at: entry.stage for entry in falls}  # of several at one time the last
    for one in rules.terms:
        if one.since > last:
            times.setdefault(one.since, -1)
    due: list[tuple[int, int, list[str]]] = []
    before, possible = (stage, now), _possible(journey, terms) if times else []
    for at in sorted(times):
        if rules.at(at) is not terms:
            terms = rules.at(at)
            possible = _possible(journey, terms)
        stage = stage if times[at] < 0 else times[at]
        names = in_stage(possible, stage)
        if (stage, names) != before:
            due.append((at, stage, names))
            before = (stage, names)
    return now, due


def _possible(journey: Journey, terms: Terms) -> list[Audience]:
    """The audiences that the journey is in, if its stage is right."""
    if not terms.audiences:
        return []
    assert journey.life is not None, "a journey is derived before it is written"
    types = {known.type for known in journey.identifiers.values()}
    consented = [name for name, granted in consent_of(journey).items() if granted is True] if journey.facts else []
    return open_to(terms.audiences, types, consented, journey.life.score)


def audiences_at(journey: Journey, stage: int, rules: Rules, at: int) -> list[str]:
    """The audiences of a journey that is in a stage at a time (microseconds since 1970 UTC)."""
    return in_stage(_possible(journey, rules.at(at)), stage)
