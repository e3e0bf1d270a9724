"""Markov and Shapley against slow ways to the same figures, and against published packages."""

from fractions import Fraction
from itertools import pairwise, permutations
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.attribution.markov import Markov
from projections.attribution.paths import Booking
from projections.attribution.report import Attribution
from projections.attribution.shapley import Shapley
from projections.journey.moments import Moment
from projections.playbook.model import AttributionModel
from tests.credit import PLAIN, credit, touch, won

Counted = dict[tuple[str, ...], tuple[int, int]]  #: path -> (how often with a booking, without)

_PATH = st.lists(st.sampled_from("abcde"), min_size=1, max_size=5).map(tuple)
_COUNTED = st.dictionaries(_PATH, st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12).filter(
    lambda counted: any(booked for booked, _ in counted.values())
)


def counts_of(counted: Counted) -> tuple[Markov, Shapley]:
    markov, shapley = Markov(), Shapley()
    for path, (booked, lost) in counted.items():
        for model in (markov, shapley):
            for booking in (*[Booking(0, 100, "EUR")] * booked, *[None] * lost):
                model.add(path, booking)
    return markov, shapley


def booking_rate(counted: Counted, without: str | None) -> Fraction:
    """The chance of a booking in the chain as it was counted, repeats and all; whoever comes to `without` leaves."""
    moves: dict[str, list[tuple[str, int]]] = {}
    for path, ends in counted.items():
        for end, times in zip(("booked", "lost"), ends, strict=True):
            for a, b in pairwise(("start", *path, end)):
                moves.setdefault(a, []).append(("lost" if b == without else b, times))
    states = sorted(state for state, steps in moves.items() if any(times for _, times in steps))
    rows = []
    for state in states:
        total = sum(times for _, times in moves[state])
        chance = {to: Fraction(sum(times for b, times in moves[state] if b == to), total) for to, _ in moves[state]}
        rows.append(
            [(state == to) - chance.get(to, Fraction(0)) for to in states] + [chance.get("booked", Fraction(0))]
        )
    return solve(rows)[states.index("start")]


def solve(rows: list[list[Fraction]]) -> list[Fraction]:
    """Exactly: the last column is the right-hand side."""
    for i in range(len(rows)):
        pivot = next(j for j in range(i, len(rows)) if rows[j][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(len(rows)):
            if j != i:
                rows[j] = [value - rows[j][i] * more for value, more in zip(rows[j], rows[i], strict=True)]
    return [row[-1] for row in rows]


@given(_COUNTED)
def test_removal_effects_are_what_the_chain_loses_without_a_name(counted: Counted) -> None:
    markov, _ = counts_of(counted)
    rate = booking_rate(counted, None)
    effects = markov.removal_effects()
    assert list(effects) == sorted({name for path, ends in counted.items() if any(ends) for name in path})
    for name, effect in effects.items():
        assert effect == pytest.approx(float(1 - booking_rate(counted, name) / rate), abs=1e-12)


@given(_COUNTED)
def test_values_are_what_a_name_adds_in_whatever_order_they_come(counted: Counted) -> None:
    _, shapley = counts_of(counted)
    rates: dict[frozenset[str | None], Fraction] = {}
    for group in {frozenset(path) for path, ends in counted.items() if any(ends)}:
        met = [ends for path, ends in counted.items() if frozenset(path) == group]
        rates[group] = Fraction(sum(booked for booked, _ in met), sum(map(sum, met)))
    found = shapley.values()
    assert found.keys() == {group for group, rate in rates.items() if rate}
    for group, values in found.items():
        added = {name: Fraction(0) for name in group}
        for order in permutations(sorted(map(str, group))):
            for place, name in enumerate(order):
                after, before = frozenset(order[: place + 1]), frozenset(order[:place])
                added[name] += rates.get(after, Fraction(0)) - rates.get(before, Fraction(0))
        whole = sum(added.values())
        for name, value in values.items():
            assert value / sum(values.values()) == pytest.approx(float(added[name] / whole), abs=1e-12)


def test_rare_groups_are_looked_up_the_other_way_round() -> None:
    """Fewer groups than a group has parts, and more, come to the same."""
    few, many = Shapley(), Shapley()
    for shapley in (few, many):
        for names in ("a", "ab", "abc", "cd"):
            shapley.add(names, Booking(0, 1, "EUR"))
    for number in range(200):
        many.add([f"other{number}"], Booking(0, 1, "EUR"))
    values = many.values()
    assert all(values[group] == found for group, found in few.values().items())


class Row(NamedTuple):
    """Paths that are the same: how many booked, how many did not, and what was booked."""

    path: str
    booked: int
    lost: int
    amount: int


ROWS = [
    Row("search", 40, 160, 400_000),
    Row("mail", 12, 28, 130_000),
    Row("social", 5, 295, 41_000),
    Row("search > mail", 30, 20, 700_000),
    Row("mail > search", 9, 11, 90_001),
    Row("social > search", 22, 58, 310_000),
    Row("search > social > search", 14, 26, 170_003),
    Row("social > mail > mail > search", 17, 3, 555_555),
    Row("social > search > mail", 11, 29, 222_222),
    Row("fair", 6, 2, 999_999),
    Row("fair > mail", 4, 1, 1_000_001),
    Row("fair > social > mail > search", 3, 4, 77_777),
    Row("social > fair", 0, 13, 0),
]

#: marketing-attribution-models 2.1.1, MAM(format_type="grouped_journey"): the removal effects of run_markov().
MAM_REMOVAL = {
    "fair": 0.05093969246041241,
    "mail": 0.38873451346697785,
    "search": 0.7775088467659195,
    "social": 0.36716908491997335,
}
#: The same version's run_shapley(max_size=None): the value that each group's names have of what the group booked.
MAM_SHAPLEY = {
    "fair": [999999.0],
    "fair > mail": [781250.78125, 218750.21875000003],
    "fair > mail > search > social": [23621.162962962964, 41481.066666666666, 20308.43888888889, -7633.668518518525],
    "mail": [130000.0],
    "mail > search": [465898.0256410256, 324102.9743589744],
    "mail > search > social": [353835.62500000006, 520502.12500000006, -96560.75000000004],
    "search": [400000.0],
    "search > social": [386669.0833333334, 93333.91666666664],
    "social": [41000.0],
}
#: The same version's run_first_click(), run_last_click(), run_linear() and run_position_based().
MAM_CREDIT: dict[AttributionModel, dict[str, float]] = {
    "first": {"fair": 2077777.0, "search": 1270003.0, "social": 1128777.0, "mail": 220001.0},
    "last": {"mail": 2052223.0, "search": 1603336.0, "fair": 999999.0, "social": 41000.0},
    "linear": {"fair": 1519443.75, "mail": 1396296.75, "search": 1295742.8333333333, "social": 485074.6666666666},
    "u-shaped": {"fair": 1531110.3, "search": 1383780.1, "mail": 1232778.5, "social": 548889.1},
}
#: ChannelAttribution 2.2.5, markov_model(order=1, nsim_start=5e7, conv_par=0.0005): the removal effects of bookings.
#: It simulates, and gives up on walks that are longer than the longest path, so it is near and not equal.
CHANNEL_ATTRIBUTION_REMOVAL = {
    "fair": 0.050583466628,
    "mail": 0.387189987774,
    "search": 0.776971164166,
    "social": 0.365667831394,
}
SCALE = 10**6  #: so that whole minor units do not blur the comparison


def journeys_of(row: Row) -> list[list[Moment]]:
    """One of the bookings has the whole amount."""
    touched = [touch(place, channel) for place, channel in enumerate(row.path.split(" > "))]
    bookings = [won(9, row.amount * SCALE), *[won(9, 0)] * (row.booked - 1)] if row.booked else []
    return [[*touched, booking] for booking in bookings] + [touched] * row.lost


def credit_of(model: AttributionModel) -> dict[str | None, int]:
    found = Attribution(PLAIN, model, "channel")
    for moments in (moments for row in ROWS for moments in journeys_of(row)):
        found.add(moments)
    return credit(msgspec.to_builtins(found.view()))


def test_markov_is_that_of_the_packages() -> None:
    markov, _ = counts_of({tuple(row.path.split(" > ")): (row.booked, row.lost) for row in ROWS})
    assert markov.removal_effects() == pytest.approx(MAM_REMOVAL, rel=1e-9)
    assert markov.removal_effects() == pytest.approx(CHANNEL_ATTRIBUTION_REMOVAL, abs=2e-3)
    booked, whole = sum(row.amount for row in ROWS) * SCALE, sum(MAM_REMOVAL.values())
    expected = {name: effect / whole * booked for name, effect in MAM_REMOVAL.items()}
    assert credit_of("markov") == pytest.approx(expected, rel=1e-9)


def test_shapley_is_that_of_the_package() -> None:
    expected = dict.fromkeys(MAM_REMOVAL, 0.0)
    for group, values in MAM_SHAPLEY.items():
        for name, value in zip(group.split(" > "), values, strict=True):
            expected[name] += value * SCALE
    assert credit_of("shapley") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("model", MAM_CREDIT)
def test_models_of_single_journeys_are_those_of_the_package(model: AttributionModel) -> None:
    assert credit_of(model) == pytest.approx({name: one * SCALE for name, one in MAM_CREDIT[model].items()}, rel=1e-9)
