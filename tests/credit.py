"""What tests of attribution share: moments made by hand, and the figures of an answer."""

from collections import Counter
from typing import Any

import msgspec

from projections.attribution.report import Attribution, By
from projections.journey.moments import Moment
from projections.playbook.model import AttributionModel, AttributionRules
from projections.playbook.terms import DAY

PLAIN = AttributionRules()


def moment(at: float, type_: str, channel: str | None = None, **more: Any) -> Moment:
    """Something at a time in days, by a person who is not known."""
    named = more.pop("named", False)
    return Moment(int(at * DAY), b"", "web", b"", None, None, named, type_, channel, **more)


def touch(at: float, channel: str, campaign: str | None = None, **more: Any) -> Moment:
    return moment(at, "page_viewed", channel, campaign=campaign, **more)


def won(at: float, amount: int, currency: str = "EUR") -> Moment:
    return moment(at, "opportunity_won", amount=amount, currency=currency)


def attributed(
    journeys: list[list[Moment]], model: AttributionModel, by: By = "channel", rules: AttributionRules = PLAIN
) -> dict[str, Any]:
    found = Attribution(rules, model, by)
    for moments in journeys:
        found.add(moments)
    view: dict[str, Any] = msgspec.to_builtins(found.view())
    return view


def credit(view: dict[str, Any], currency: str = "EUR") -> dict[str | None, int]:
    return {group[view["by"]]: group["credit"].get(currency, 0) for group in view["groups"]}


def sums(view: dict[str, Any]) -> dict[str, int]:
    total: Counter[str] = Counter(view["unattributed"]["credit"])
    for group in view["groups"]:
        total.update(group["credit"])
    return dict(total)
