"""The row of a journey: what lists and funnels read, beside the folded state."""

from typing import NamedTuple

from projections.journey import Journey
from projections.lifecycle import due_times
from projections.membership import Membership, memberships
from projections.playbook import Rules
from projections.traits import last_said


class JourneyRow(NamedTuple):
    """One row of the table `journeys`. Times are microseconds since 1970 UTC; stages are playbook indices."""

    journey_id: bytes
    component: bytes | None
    rev: int
    stage: int
    stage_since: int
    due: list[tuple[int, int]]  #: (time, stage) that silence will make of it
    reached: list[int | None]
    first_seen: int
    last_seen: int
    events: int
    channel: str | None
    campaign: str | None
    owner: str | None
    account: str | None
    #: all accounts there ever were, and the stays as [account, since, until, weak, value]
    accounts: list[str]
    stays: list[Membership]
    score: int
    value: dict[str, int]
    state: bytes


def row_of(journey: Journey, rules: Rules) -> JourneyRow:
    """The row that the journey's present state makes."""
    life = journey.life
    assert life is not None, "a journey is derived before it is written"
    owner = last_said([fact for fact in journey.facts.values() if fact.kind == "owner"]) if journey.facts else None
    stays = memberships(journey, rules)
    entered = life.history[-1]
    return JourneyRow(
        journey_id=journey.journey_id,
        component=journey.component,
        rev=journey.rev,
        stage=life.stage,
        stage_since=entered.at,
        due=due_times(life, rules),
        reached=life.reached,
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
        value=life.value,
        state=journey.encode(),
    )
