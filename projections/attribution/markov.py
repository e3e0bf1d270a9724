"""Markov credit: how many bookings would be lost without a channel, in a Markov chain of order 1 over all journeys.

The removal effect is that of Anderl et al., "Mapping the customer journey: Lessons learned from graph-based online
attribution modeling" (2016): people move from touchpoint to touchpoint with the counted frequencies until they book or
leave. Without a channel, whoever would come to it leaves.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from projections.attribution.credit import split
from projections.attribution.paths import Booking, Name, by_name

_UNIT = 2**52


class Markov:
    """Counts the moves of paths, in any order."""

    def __init__(self) -> None:
        self._moves: Counter[tuple[Name, Name]] = Counter()
        self._ends: Counter[Name] = Counter()  #: where paths ended, with a booking or without
        self._booked: Counter[Name] = Counter()  #: where paths ended with a booking
        self._amounts: Counter[str] = Counter()

    def add(self, names: Sequence[Name], booking: Booking | None) -> None:
        """Count a path of at least one touchpoint. Repetitions of a name change nothing."""
        self._moves.update((a, b) for a, b in pairwise(names) if a != b)
        self._ends[names[-1]] += 1
        if booking is not None:
            self._booked[names[-1]] += 1
            self._amounts[booking.currency] += booking.amount

    def credit(self) -> dict[Name, Counter[str]]:
        """The booked amounts in minor units by name and currency, in proportion to the removal effects."""
        effects = self.removal_effects()
        weights = [int(effect * _UNIT) for effect in effects.values()]
        credit = {name: Counter[str]() for name in effects}
        for currency, amount in self._amounts.items():
            for counter, part in zip(credit.values(), split(amount, weights), strict=True):
                counter[currency] += part
        return credit

    def removal_effects(self) -> dict[Name, float]:
        """The share of the bookings that would be lost without each name, from 0 to 1; in the order of names.

        Lost is whoever comes to a name for the first time and would book from there. Computed in double precision from
        whole counts, in the order of names.
        """
        stays = self._ends.copy()
        for (a, _), count in self._moves.items():
            stays[a] += count
        names = sorted(stays, key=by_name)
        visits = self._visits(names, stays)
        booked = [(place, self._booked[name] / stays[name]) for place, name in enumerate(names) if self._booked[name]]
        effects = {}
        for place, name in enumerate(names):
            reached = stays[name] / visits[place][place]
            books = sum(visits[place][end] * share for end, share in booked)
            effects[name] = reached * books / (self._booked.total() or 1)
        return effects

    def _visits(self, names: list[Name], stays: Counter[Name]) -> list[list[float]]:
        """[from][to]: how often people at one name are expected to visit another, this visit included.

        That is the inverse of 1 - moves, by elimination in place. The matrix is diagonally dominant: no pivoting.
        """
        place = {name: i for i, name in enumerate(names)}
        rows = [[0.0] * len(names) for _ in names]
        for i, row in enumerate(rows):
            row[i] = 1.0
        for (a, b), count in self._moves.items():
            rows[place[a]][place[b]] = -count / stays[a]
        for i, row in enumerate(rows):
            pivot, row[i] = row[i], 1.0
            own = rows[i] = [value / pivot for value in row]
            for j, other in enumerate(rows):
                factor = other[i]
                if j != i and factor:
                    other[i] = 0.0
                    rows[j] = [value - factor * more for value, more in zip(other, own, strict=True)]
        return rows
