"""Attribution: credit adds up to what was booked under every model, and each model does what it says."""

import random
from collections import Counter
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from projections.attribution.credit import WEIGHTS, split
from projections.attribution.paths import moments_of, paths_of
from projections.attribution.report import By
from projections.journey.moments import Moment
from projections.memory import fold_events
from projections.playbook.model import (
    DEFAULT_PLAYBOOK,
    AttributionModel,
    AttributionRules,
    InvalidPlaybook,
    UShape,
    load_playbook,
)
from schemas.times import DAY
from tests.credit import PLAIN, attributed, credit, moment, sums, touch, won
from tests.laws.histories import decoded, histories
from tests.support import RULES

MODELS: tuple[AttributionModel, ...] = get_args(AttributionModel)
BY: tuple[By, ...] = get_args(By)


_CURRENCIES = st.sampled_from(["EUR", "BRL"])
_MOMENTS = st.one_of(
    st.builds(
        touch,
        st.integers(0, 40),
        st.sampled_from(["search", "mail", "fair", ""]),
        st.sampled_from([None, "spring", "launch"]),
        cost=st.none() | st.dictionaries(_CURRENCIES, st.integers(0, 500), min_size=1),
        named=st.booleans(),
    ),
    st.builds(won, st.integers(0, 40), st.integers(0, 10**14), _CURRENCIES),
    st.builds(moment, st.integers(0, 40), st.sampled_from(["opportunity_opened", "call_logged"]), named=st.booleans()),
)
_JOURNEYS = st.lists(st.lists(_MOMENTS, max_size=8).map(lambda found: sorted(found, key=lambda one: one.at)))
_RULES = st.builds(AttributionRules, lookback_days=st.none() | st.integers(1, 30), half_life_days=st.integers(1, 30))


@given(_JOURNEYS, _RULES)
def test_credit_adds_up_to_what_was_booked(journeys: list[list[Moment]], rules: AttributionRules) -> None:
    booked: Counter[str] = Counter()
    for one in (one for moments in journeys for one in moments if one.type == "opportunity_won"):
        booked[str(one.currency)] += one.amount or 0
    for model in MODELS:
        for by in BY:
            view = attributed(journeys, model, by, rules)
            assert view["total"]["credit"] == sums(view) == dict(sorted(booked.items())), (model, by)
            if model != "shapley":
                assert all(amount >= 0 for group in view["groups"] for amount in group["credit"].values()), (model, by)


@given(_JOURNEYS, st.randoms(use_true_random=False))
def test_the_order_of_journeys_changes_nothing(journeys: list[list[Moment]], chance: random.Random) -> None:
    shuffled = chance.sample(journeys, len(journeys))
    for model in MODELS:
        for by in BY:
            assert attributed(journeys, model, by) == attributed(shuffled, model, by), (model, by)


@given(histories())
def test_what_is_shared_out_is_the_value_of_the_journeys(history: list[tuple[str, bytes]]) -> None:
    journeys = fold_events(decoded(history), RULES).journeys.values()
    value: Counter[str] = Counter()
    for journey in journeys:
        assert journey.life is not None
        value.update(journey.life.value)
        assert moments_of(journey.encode()) == journey.moments
    for model in MODELS:
        assert sums(attributed([journey.moments for journey in journeys], model)) == dict(value)


@given(st.integers(0, 10**15), st.lists(st.integers(-5, 10**6), min_size=1).filter(lambda found: sum(found) > 0))
def test_split_is_the_largest_remainder(amount: int, weights: list[int]) -> None:
    parts = split(amount, weights)
    total = sum(weights)
    assert sum(parts) == amount
    assert all(abs(part * total - amount * weight) < total for part, weight in zip(parts, weights, strict=True))


def test_ties_go_to_the_first() -> None:
    assert split(100, [1, 1, 1]) == [34, 33, 33]
    assert split(101, [1, 1, 1]) == [34, 34, 33]
    assert split(1, [0, 1, 1]) == [0, 1, 0]
    assert split(0, [1, 1]) == [0, 0]


@pytest.mark.parametrize("model", MODELS)
def test_one_touchpoint_takes_all(model: AttributionModel) -> None:
    for known, opened in ((False, False), (True, True)):
        moments = [touch(1, "fair", named=known), *[moment(2, "opportunity_opened")] * opened, won(3, 999)]
        view = attributed([moments, [touch(1, "mail")]], model)
        assert credit(view) == {"fair": 999, "mail": 0}
        assert view["groups"][0]["share"] == {"EUR": 1.0}


@pytest.mark.parametrize("model", MODELS)
def test_a_booking_without_touchpoints_is_unattributed(model: AttributionModel) -> None:
    """One of nobody, and one that came before the touchpoints."""
    view = attributed([[won(1, 70)], [won(1, 30), touch(2, "fair")], [touch(1, "fair"), won(2, 100)]], model)
    assert credit(view) == {"fair": 100}
    assert view["unattributed"] == {"credit": {"EUR": 100}, "share": {"EUR": 0.5}, "bookings": 2}
    assert (view["total"]["credit"], view["total"]["bookings"]) == ({"EUR": 200}, 3)


@pytest.mark.parametrize("model", MODELS)
def test_nothing_gives_nothing(model: AttributionModel) -> None:
    assert attributed([], model)["groups"] == []
    view = attributed([[touch(1, "fair")], [won(2, 0)]], model)
    assert sums(view) == {"EUR": 0}
    assert view["groups"][0]["share"] == {"EUR": None}


FIVE = [
    touch(0, "ads"),
    touch(1, "mail"),
    touch(8, "form", named=True),
    touch(9, "fair"),
    moment(9.5, "opportunity_opened"),
    touch(15, "call"),
    won(20, 1000),
]


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("first", [1000, 0, 0, 0, 0]),
        ("last", [0, 0, 0, 0, 1000]),
        ("linear", [200, 200, 200, 200, 200]),
        ("u-shaped", [400, 67, 67, 66, 400]),
        ("w-shaped", [300, 50, 300, 300, 50]),
        # halves for each 7 days before the last: 2 ** (-15/7), 2 ** (-14/7), 2 ** (-1), 2 ** (-6/7), 1
        ("time-decay", [90, 99, 198, 218, 395]),
    ],
)
def test_each_model_by_example(model: AttributionModel, parts: list[int]) -> None:
    order = ["ads", "mail", "form", "fair", "call"]
    assert credit(attributed([FIVE], model)) == dict(zip(order, parts, strict=True))


def test_shares_that_no_touchpoint_has_are_left_out() -> None:
    two = [touch(0, "ads"), touch(1, "mail"), won(2, 100)]
    assert credit(attributed([two], "u-shaped")) == {"ads": 50, "mail": 50}
    assert credit(attributed([two], "w-shaped")) == {"ads": 75, "mail": 25}  # 30 to 10: never known, nothing opened
    known_first = [touch(0, "ads", named=True), touch(1, "mail"), moment(2, "opportunity_opened"), won(3, 90)]
    assert credit(attributed([known_first], "w-shaped")) == {"ads": 60, "mail": 30}
    known_before = [moment(0, "call_logged", named=True), touch(1, "ads"), touch(2, "mail"), won(3, 100)]
    assert credit(attributed([known_before], "w-shaped")) == {"ads": 75, "mail": 25}


def test_each_booking_takes_all_touchpoints_before_it() -> None:
    moments = [touch(0, "ads"), won(1, 100), touch(2, "mail"), won(3, 100), won(3, 50, "BRL"), touch(4, "fair")]
    view = attributed([moments], "linear")
    assert credit(view) == {"ads": 150, "mail": 50, "fair": 0}
    assert credit(view, "BRL") == {"ads": 25, "mail": 25, "fair": 0}
    assert {group["channel"]: group["bookings"] for group in view["groups"]} == {"ads": 3, "mail": 2, "fair": 0}


def test_what_is_older_than_the_lookback_has_no_part() -> None:
    rules = AttributionRules(lookback_days=10)
    moments = [touch(0, "ads", named=True), touch(10, "mail"), won(20, 100), won(21, 7)]
    view = attributed([moments], "w-shaped", rules=rules)
    assert credit(view) == {"mail": 100, "ads": 0}  # to the microsecond: ten days are not longer ago than ten days
    assert view["unattributed"]["credit"] == {"EUR": 7}
    [unbooked] = paths_of([touch(0, "ads"), touch(10, "mail"), touch(20, "fair")], 10 * DAY)
    assert [one.channel for one in unbooked.touchpoints] == ["mail", "fair"]


def test_cost_counts_whether_or_not_anything_was_booked() -> None:
    journeys = [
        [touch(0, "ads", "spring", cost={"EUR": 5}), won(1, 100), touch(2, "ads", cost={"EUR": 2, "BRL": 1})],
        [touch(0, "fair", cost={"EUR": 900})],
    ]
    view = attributed(journeys, "last")
    assert {group["channel"]: group["touchpoints"] for group in view["groups"]} == {
        "ads": {"count": 2, "cost": {"BRL": 1, "EUR": 7}},
        "fair": {"count": 1, "cost": {"EUR": 900}},
    }
    assert view["total"]["touchpoints"] == {"count": 3, "cost": {"BRL": 1, "EUR": 907}}
    campaigns = attributed(journeys, "last", "campaign")
    assert [(group["campaign"], group["bookings"]) for group in campaigns["groups"]] == [("spring", 1), (None, 0)]


def test_every_model_has_its_weights() -> None:
    assert set(MODELS) == WEIGHTS.keys() | {"markov", "shapley"}


def test_settings_are_the_playbook_s_and_change_no_digest(tmp_path: Any) -> None:
    text = yaml.safe_load(DEFAULT_PLAYBOOK.read_text("utf-8"))
    assert load_playbook().attribution == PLAIN
    file = tmp_path / "playbook.yaml"
    changed = {"model": "u-shaped", "lookback_days": 90, "u_shaped": {"first": 1, "others": 0, "last": 1}}
    file.write_text(yaml.safe_dump({**text, "attribution": changed}))
    playbook = load_playbook(file)
    assert playbook.attribution.u_shaped == UShape(first=1, others=0, last=1)
    assert playbook.digest() == load_playbook().digest()
    for wrong in ({"model": "best"}, {"half_life_days": 0}, {"u_shaped": {"first": 0}}, {"window": 3}):
        file.write_text(yaml.safe_dump({**text, "attribution": wrong}))
        with pytest.raises(InvalidPlaybook, match="attribution"):
            load_playbook(file)
