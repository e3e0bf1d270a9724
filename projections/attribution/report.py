"""Attribution: which channels and campaigns have credit for what was booked, over all journeys."""

from collections import Counter
from operator import attrgetter
from typing import Literal

from msgspec import UNSET

from projections.attribution.credit import WEIGHTS, split
from projections.attribution.markov import Markov
from projections.attribution.paths import Booking, Name, Path, by_name, paths_of
from projections.attribution.shapley import Shapley
from projections.journey.moments import Moment
from projections.playbook.model import AttributionModel, AttributionRules
from projections.playbook.terms import DAY
from schemas.answers import attribution as answers

By = Literal["channel", "campaign"]


#: Models that need all paths before they can give credit.
_OVER_ALL: dict[str, type[Markov] | type[Shapley]] = {"markov": Markov, "shapley": Shapley}


class _Line:
    """What is known of one channel or campaign; money in minor units by currency."""

    __slots__ = ("bookings", "cost", "credit", "touchpoints")

    def __init__(self) -> None:
        self.touchpoints = 0
        self.cost: Counter[str] = Counter()
        self.bookings = 0
        self.credit: Counter[str] = Counter()


class Attribution:
    """Adds up journeys, one after the other: it keeps lines, moves and groups, and no journey."""

    def __init__(self, rules: AttributionRules, model: AttributionModel, by: By) -> None:
        self._rules, self._model, self._by = rules, model, by
        self._lookback = None if rules.lookback_days is None else rules.lookback_days * DAY
        self._name = attrgetter(by)
        self._over_all = _OVER_ALL[model]() if model in _OVER_ALL else None
        self._lines: dict[Name, _Line] = {}
        self._bookings = self._unattributed_bookings = 0
        self._booked: Counter[str] = Counter()
        self._unattributed: Counter[str] = Counter()

    def add(self, moments: list[Moment]) -> None:
        """Take one journey's moments, in order. In whatever order journeys come, the answer is the same."""
        for moment in moments:
            if moment.channel is not None:
                line = self._line(self._name(moment))
                line.touchpoints += 1
                if moment.cost:
                    line.cost.update(moment.cost)
        for path in paths_of(moments, self._lookback):
            names = [self._name(touchpoint) for touchpoint in path.touchpoints]
            if path.booking is not None:
                self._book(path, path.booking, names)
            if self._over_all is not None and names:
                self._over_all.add(names, path.booking)

    def _book(self, path: Path, booking: Booking, names: list[Name]) -> None:
        self._bookings += 1
        self._booked[booking.currency] += booking.amount
        if not names:
            self._unattributed_bookings += 1
            self._unattributed[booking.currency] += booking.amount
            return
        for name in set(names):
            self._line(name).bookings += 1
        if self._over_all is None:
            weights = WEIGHTS[self._model](path, self._rules)
            for name, part in zip(names, split(booking.amount, weights), strict=True):
                self._line(name).credit[booking.currency] += part

    def _line(self, name: Name) -> _Line:
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line()
        return line

    def view(self) -> answers.Attribution:
        """The answer; its lines and `unattributed` add up to `total`."""
        if self._over_all is not None:
            for name, credit in self._over_all.credit().items():
                self._line(name).credit = credit
        names = sorted(self._lines, key=lambda name: (-self._lines[name].bookings, by_name(name)))
        lines = [self._lines[name] for name in names]
        cost: Counter[str] = Counter()
        for line in lines:
            cost.update(line.cost)
        return answers.Attribution(
            model=self._model,
            by=self._by,
            groups=[self._group(name, line) for name, line in zip(names, lines, strict=True)],
            unattributed=answers.Unattributed(
                credit=self._credit(self._unattributed),
                share=self._share(self._unattributed),
                bookings=self._unattributed_bookings,
            ),
            total=answers.AttributionTotal(
                credit=self._credit(self._booked),
                share=self._share(self._booked),
                bookings=self._bookings,
                touchpoints=_touchpoints(sum(line.touchpoints for line in lines), cost),
            ),
        )

    def _group(self, name: Name, line: _Line) -> answers.AttributionGroup:
        return answers.AttributionGroup(
            channel=name if self._by == "channel" else UNSET,
            campaign=name if self._by == "campaign" else UNSET,
            credit=self._credit(line.credit),
            share=self._share(line.credit),
            bookings=line.bookings,
            touchpoints=_touchpoints(line.touchpoints, line.cost),
        )

    def _credit(self, credit: Counter[str]) -> dict[str, int]:
        return {currency: credit[currency] for currency in sorted(self._booked)}

    def _share(self, credit: Counter[str]) -> dict[str, float | None]:
        """Which share credit is of what was booked in its currency."""
        return {
            currency: round(credit[currency] / booked, 4) if booked else None
            for currency, booked in sorted(self._booked.items())
        }


def _touchpoints(count: int, cost: Counter[str]) -> answers.TouchpointTotal:
    return answers.TouchpointTotal(count=count, cost=dict(sorted(cost.items())))
