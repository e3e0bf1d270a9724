"""Shapley credit: what each channel adds to the channels that people met together with it.

Shapley's value ("A value for n-person games", 1953). The players are the channels that a path met, each once and in
whatever order; what a group of channels is worth is the conversion rate of the paths that met these and no others.
The bookings of such a group are shared out in proportion to its channels' values.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import factorial

from projections.attribution.credit import split
from projections.attribution.paths import Booking, Name, by_name

_UNIT = 2**64  #: of conversion rates

Group = frozenset[Name]


class Shapley:
    """Counts paths by the names that they met. What was counted in another order is the same."""

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
        """What the bookings amount to, in minor units by name and currency. It may be below 0."""
        credit: dict[Name, Counter[str]] = {}
        for group, values in self.values().items():
            for currency, amount in self._amounts[group].items():
                for name, part in zip(values, split(amount, list(values.values())), strict=True):
                    credit.setdefault(name, Counter())[currency] += part
        return credit

    def values(self) -> dict[Group, dict[Name, int]]:
        """For each group with bookings: the values of its names, in their order, as whole numbers in proportion.

        They add up to the group's conversion rate. A name without which the rate is higher has a value below 0. Rates
        are kept to 2 ** -64; all else is exact.
        """
        names = sorted({name for group in self._bookings for name in group}, key=by_name)
        bit = {name: 1 << place for place, name in enumerate(names)}
        rates = {
            sum(bit[name] for name in group): bookings * _UNIT // self._paths[group]
            for group, bookings in self._bookings.items()
        }
        found = {}
        for group in self._bookings:
            members = sorted(group, key=by_name)
            found[group] = dict(zip(members, _values([bit[name] for name in members], rates), strict=True))
        return found


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
    """The groups with a rate whose members are all in a group: looked up among whichever are fewer."""
    if size < len(rates).bit_length():
        part = group
        while part:
            if part in rates:
                yield part
            part = (part - 1) & group
    else:
        yield from (part for part in rates if not part & ~group)
