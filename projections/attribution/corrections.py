"""Corrections of credit: which channels and campaigns a journey's bookings credit, and how that changed.

Each booking counts by the model of the playbook then in force; models over all journeys give no credit by single
journeys. The corrections in the feed add up to the present credit.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from projections.attribution.credit import WEIGHTS, split
from projections.attribution.paths import paths_of
from projections.journey.journey import Journey
from projections.playbook.rules import Rules
from schemas.times import DAY

#: Minor units by (channel, campaign, currency); channel and campaign are None where nobody gets the credit.
Credit = Mapping[tuple[str | None, str | None, str], int]

NONE: Credit = {}


def credit_of(journey: Journey, rules: Rules) -> Credit:
    """The credit for a journey's bookings. The journey must be settled."""
    if journey.life is None or not journey.life.value:
        return NONE
    credit: Counter[tuple[str | None, str | None, str]] = Counter()
    for terms in {id(one): one for one in map(rules.at, _bookings(journey))}.values():
        settings = terms.attribution
        weights = WEIGHTS.get(settings.model)
        if weights is None:
            continue
        lookback = None if settings.lookback_days is None else settings.lookback_days * DAY
        for path in paths_of(journey.moments, lookback):
            booking = path.booking
            if booking is None or rules.at(booking.at) is not terms:
                continue
            if not path.touchpoints:
                credit[None, None, booking.currency] += booking.amount
                continue
            parts = split(booking.amount, weights(path, settings))
            for touchpoint, part in zip(path.touchpoints, parts, strict=True):
                credit[touchpoint.channel, touchpoint.campaign, booking.currency] += part
    return {place: amount for place, amount in credit.items() if amount}


def _bookings(journey: Journey) -> list[int]:
    return [moment.at for moment in journey.moments if moment.type == "opportunity_won"]


def corrections(before: Credit, now: Credit) -> list[dict[str, Any]]:
    """What must be added to the former credit, line by line."""
    if before == now:
        return []
    changed = {place: now.get(place, 0) - before.get(place, 0) for place in {*before, *now}}
    return [
        {"channel": channel, "campaign": campaign, "currency": currency, "amount": amount}
        for (channel, campaign, currency), amount in sorted(changed.items(), key=_by_name)
        if amount
    ]


def _by_name(line: tuple[tuple[str | None, str | None, str], int]) -> tuple[str, str, str]:
    (channel, campaign, currency), _ = line
    return (channel or "", campaign or "", currency)
