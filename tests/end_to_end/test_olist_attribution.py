"""Attribution over the real funnel of Olist, folded in memory: each model shares out what was booked."""

from typing import get_args

from projections.attribution import Attribution, By
from projections.journey import Journey
from projections.memory import fold_events
from projections.playbook import AttributionModel
from schemas.decode import decode
from schemas.event import Event
from streams.mapping import MappedEvent, events_of, load_mapping, rows_of, rule_for
from tandem.envelope import encode_event
from tests.credit import sums
from tests.olist import DATA, MAPPING, needs_olist
from tests.support import RULES

pytestmark = needs_olist


def journeys() -> list[Journey]:
    mapping, events = load_mapping(MAPPING), []
    for path in sorted(DATA.glob("*.csv")):
        rule = rule_for(mapping, path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            for _, row in rows_of(file, rule, path.name):
                events += [_event(mapped) for mapped in events_of(row, rule)]
    return list(fold_events(events, RULES).journeys.values())


def _event(mapped: MappedEvent) -> Event:
    encoded = encode_event(
        mapped.type,
        owner=mapped.owner,
        source=mapped.source,
        id_=mapped.id,
        occurred_at=mapped.occurred_at,
        identities=mapped.identities,
        data=mapped.data,
        version=mapped.version,
    )
    return decode(encoded.value, mapped.owner)


def test_every_model_shares_out_what_was_booked() -> None:
    found = journeys()
    assert len(found) == 8000
    by_models: dict[By, list[dict[str, int]]] = {"channel": [], "campaign": []}
    for model in get_args(AttributionModel):
        for by, credits_ in by_models.items():
            attribution = Attribution(RULES.terms[0].attribution, model, by)
            for journey in found:
                attribution.add(journey.moments)
            view = attribution.view()
            assert view["total"]["credit"] == sums(view) == {"XXX": 61_784_006}
            assert view["total"]["bookings"] == 842
            credits_.append({group[by]: group["credit"]["XXX"] for group in view["groups"]})
    # Each lead has one touchpoint, so that all models of single journeys, and Shapley, must agree.
    for credits_ in by_models.values():
        *single, _, shapley = credits_
        assert all(credit == single[0] for credit in (*single, shapley))
