"""Silence: what time alone does, and late events that take it back."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.fold import apply, subject_of
from projections.identity.workspace import Workspace
from projections.journey.lifecycle import due_times
from projections.memory import fold_events
from projections.playbook.model import compile_rules, load_playbook
from projections.playbook.terms import DAY
from projections.text import time_text
from projections.views.journey import journey_view
from schemas.decode import decode
from schemas.event import Event
from tests.support import body

RULES = compile_rules(load_playbook())
_T0 = 1_767_225_600_000_000  # 2026-01-01


def event(number: int, type_: str, day: int, second: int = 0, **data: object) -> Event:
    at = time_text(_T0 + day * DAY + second * 1_000_000)
    return decode(
        body(number, type_, who={"user_id": "u"}, version=data.pop("version", 1), occurred_at=at, data=data), "sales"
    )


WON = event(0, "opportunity_won", 0, version=2, amount=1, currency="EUR")


def stage_at(events: list[Event], day: int) -> str:
    [journey] = fold_events(events, RULES).journeys.values()
    return str(journey_view(journey, RULES, _T0 + day * DAY).stage)


def test_a_customer_who_falls_silent_is_at_risk_then_lapsed_at_the_time_of_the_read() -> None:
    events = [WON, event(1, "usage_reported", 10)]
    assert [stage_at(events, day) for day in (11, 69, 70, 189, 190)] == [
        *("customer", "customer", "at-risk", "at-risk", "lapsed")
    ]


def test_a_customer_who_never_reported_usage_does_not_fall_silent() -> None:
    assert stage_at([WON], 3_000) == "customer"


def test_a_renewal_wins_back() -> None:
    events = [WON, event(1, "usage_reported", 10), event(2, "contract_renewed", 100)]
    assert stage_at(events, 100) == "won-back"


def test_due_times_name_what_silence_will_do() -> None:
    [journey] = fold_events([WON, event(1, "usage_reported", 10)], RULES).journeys.values()
    assert journey.life is not None
    due = [(time_text(at)[:10], RULES.names[stage]) for at, stage in due_times(journey.life, RULES)]
    assert due == [("2026-03-12", "at-risk"), ("2026-07-10", "lapsed")]


_USAGE = st.tuples(
    st.sampled_from(["usage_reported"] * 3 + ["contract_renewed"]), st.sampled_from([0, 60, 61, 120]), st.integers(0, 4)
)


@settings(max_examples=400)
@given(st.lists(_USAGE, min_size=2, max_size=7), st.data())
def test_late_usage_takes_silence_back(facts: list[tuple[str, int, int]], data: st.DataObject) -> None:
    events = [WON, *(event(n + 1, type_, day, second * 7200) for n, (type_, day, second) in enumerate(facts))]
    expected = {j.journey_id: j.encode() for j in fold_events(events, RULES).journeys.values()}
    workspace = Workspace(RULES)
    for one in data.draw(st.permutations(events)):
        subject = subject_of(one, RULES)
        assert subject is not None
        apply(workspace, one, subject)
        workspace.harvest()
    assert {j.journey_id: j.encode() for j in workspace.journeys.values()} == expected


def test_the_order_of_every_short_history_is_irrelevant() -> None:
    events = [WON, *(event(n + 1, "usage_reported", day, n) for n, day in enumerate((10, 10, 70, 71)))]
    states = {
        tuple(j.encode() for j in fold_events(order, RULES).journeys.values())
        for order in itertools.permutations(events)
    }
    assert len(states) == 1
