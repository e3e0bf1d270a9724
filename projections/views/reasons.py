"""Reasons: why a journey is in a stage, in words: the event or the silence, and the rule that was in force."""

from typing import NamedTuple

from projections.journey.journey import Journey
from projections.journey.life import Entry, Lifecycle
from projections.journey.lifecycle import derive
from projections.journey.moments import Moment
from projections.playbook.rules import Rules, Terms
from schemas.times import DAY


class Reason(NamedTuple):
    """Why a stage was entered."""

    entry: Entry
    moment: Moment | None  #: what the event behind it has come to; None where silence was the cause
    because: str
    terms: Terms  #: that were in force


def reasons_of(journey: Journey, life: Lifecycle, rules: Rules) -> list[Reason]:
    """The reason of each stage in a lifecycle that the journey's moments make, in order."""
    moments = {(moment.id, moment.source): n for n, moment in enumerate(journey.moments)}
    found = []
    for number, entry in enumerate(life.history):
        terms = rules.at(entry.at)
        place = None if entry.id is None else moments.get((entry.id, entry.source or ""))
        moment = None if place is None else journey.moments[place]
        before = life.history[number - 1].stage if number else None
        if number == 0:
            because = "the journey begins with the first event that names the person"
        elif moment is None:
            because = _silence(entry, terms)
        else:
            because = _event(journey, place or 0, entry.stage, before, terms, rules)
        found.append(Reason(entry, moment, because, terms))
    return found


def _silence(entry: Entry, terms: Terms) -> str:
    rule = next((rule for rule in terms.silences if rule.stage == entry.stage), None)
    return "silence" if rule is None else f"there was no {rule.of} for {rule.after // DAY} days"


def _event(journey: Journey, place: int, stage: int, before: int | None, terms: Terms, rules: Rules) -> str:
    """By which criterion the event at a place of the moments led to a stage: the first that holds."""
    moment = journey.moments[place]
    back = [target for sources, target in terms.returns.get(moment.type, ()) if before in sources]
    satisfaction, percent, score = (
        _limit(found, stage) for found in (terms.by_satisfaction, terms.by_usage, terms.by_score)
    )
    reasons = (
        (stage in terms.by_event.get(moment.type, ()), f"{moment.type} is one of the stage's events"),
        (stage in back, f"{moment.type} leads back from {rules.names[before or 0]}"),
        (moment.named and stage in terms.identified, "the event names the person, and not only a device"),
        (
            satisfaction is not None and moment.satisfaction is not None and moment.satisfaction <= satisfaction,
            f"satisfaction {moment.satisfaction} is at most {satisfaction}",
        ),
        (
            percent is not None and moment.quantity is not None,
            f"the usage of {moment.quantity} is less than {percent} % of the one reported before",
        ),
    )
    found = next((text for holds, text in reasons if holds), None)
    return found or f"the score of {_score(journey, place, rules)} has reached {score}"


def _limit(limits: tuple[tuple[int, int], ...], stage: int) -> int | None:
    return next((limit for limit, own in limits if own == stage), None)


def _score(journey: Journey, place: int, rules: Rules) -> int:
    """The score after the moment at a place."""
    part = Journey(journey.journey_id)
    part.identifiers, part.moments = journey.identifiers, journey.moments[: place + 1]
    derive(part, rules)
    assert part.life is not None, "it was derived"
    return part.life.score
