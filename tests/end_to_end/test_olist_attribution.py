"""Attribution over the real funnel of Olist, folded in memory: each model shares out what was booked."""

from typing import get_args

import msgspec

from projections.attribution.report import Attribution, By
from projections.journey.journey import Journey
from projections.memory import fold_events
from projections.playbook.model import AttributionModel
from tests.credit import sums
from tests.olist import needs_olist, olist_events
from tests.support import RULES

pytestmark = needs_olist


def journeys() -> list[Journey]:
    return list(fold_events(olist_events(), RULES).journeys.values())


def test_every_model_shares_out_what_was_booked() -> None:
    found = journeys()
    assert len(found) == 8000
    by_models: dict[By, list[dict[str, int]]] = {"channel": [], "campaign": []}
    for model in get_args(AttributionModel):
        for by, credits_ in by_models.items():
            attribution = Attribution(RULES.terms[0].attribution, model, by)
            for journey in found:
                attribution.add(journey.moments)
            view = msgspec.to_builtins(attribution.view())
            assert view["total"]["credit"] == sums(view) == {"XXX": 61_784_006}
            assert view["total"]["bookings"] == 842
            credits_.append({group[by]: group["credit"]["XXX"] for group in view["groups"]})
    # Each lead has one touchpoint, so that all models of single journeys, and Shapley, must agree.
    for credits_ in by_models.values():
        *single, _, shapley = credits_
        assert all(credit == single[0] for credit in (*single, shapley))
