"""Shapley credit: what each channel adds to the other channels of a path.

Shapley's value ("A value for n-person games", 1953). The players are the channels of a path, each once and in any
order. A group of channels is worth the conversion rate of the paths that have exactly these channels. The bookings of
a group are shared out in proportion to its channels' values.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import factorial

from projections.attribution.credit import split
from projections.attribution.paths import Booking, Name, by_name

_UNIT = 2**64  #: scale of conversion rates

Group = frozenset[Name]


class Shapley:
    """Counts paths by their names, in any order."""

    def __init__(self) -> None:
        self._paths: Counter[Group] = Counter()
        self._bookings: Counter[Group] = Counter()
        self._amounts: dict[Group, Counter[str]] = {}

    def add(self, names: Sequence[Name], booking: Booking | None) -> None:
        """Count a path of at least one touchpoint."""
        group = frozenset(names)
        self._paths[group] += 1
        if booking is not None:
            self._bookings[group] += 1
            self._amounts.setdefault(group, Counter())[booking.currency] += booking.amount

    def credit(self) -> dict[Name, Counter[str]]:
        """The booked amounts in minor units by name and currency. They may be below 0."""
        credit: dict[Name, Counter[str]] = {}
        for group, values in self.values().items():
            for currency, amount in self._amounts[group].items():
                for name, part in zip(values, split(amount, list(values.values())), strict=True):
                    credit.setdefault(name, Counter())[currency] += part
        return credit

    def values(self) -> dict[Group, dict[Name, int]]:
        """For each group with bookings: the values of its names as whole numbers, in proportion, in the order of names.

        They add up to the group's conversion rate. A name has a value below 0 where the rate is higher without it.
        Rates are rounded to 2 ** -64; all else is exact.
        """
        names = sorted({name for group in self._bookings for name in group}, key=by_name)
        bit = {name: 1 << place for place, name in enumerate(names)}
        rates = {
            sum(bit[name] for name in group): bookings * _UNIT // self._paths[group]
            for group, bookings in self._bookings.items()
        }
        by_group = {}
        for group in self._bookings:
            members = sorted(group, key=by_name)
            by_group[group] = dict(zip(members, _values([bit[name] for name in members], rates), strict=True))
        return by_group


def _values(members: list[int], rates: dict[int, int]) -> list[int]:
    """The values of a group's members (one bit each), times the factorial of their number."""
    size = len(members)
    values = [0] * size
    for part in _parts(sum(members), size, rates):
        count = part.bit_count()
        within = rates[part] * factorial(count - 1) * factorial(size - count)
        without = rates[part] * factorial(count) * factorial(size - count - 1) if count < size else 0
        for place, member in enumerate(members):
            values[place] += within if member & part else -without
    return values


def _parts(group: int, size: int, rates: dict[int, int]) -> Iterator[int]:
    """The groups with a rate that are part of a group: searched among its parts or all rates, whichever are fewer."""
    if size < len(rates).bit_length():
        part = group
        while part:
            if part in rates:
                yield part
            part = (part - 1) & group
    else:
        yield from (part for part in rates if not part & ~group)
