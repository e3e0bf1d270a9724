"""Business hours: how long a team was open during a span, and when a given amount of open time will have passed.

The wall clock of the team's time zone decides: an hour that daylight saving skips has no open time, one that it repeats
has it twice. Times are microseconds since 1970 UTC, spans are microseconds.

A calendar is a sequence of stretches. Within a stretch the clock's offset from UTC is constant, and open time follows
one week: the regular one or, on single dates, a week with only that date's hours. So a call looks only at the stretches
of its two ends, however far apart they are.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, pairwise

from projections.playbook.opening_hours import Hours
from projections.playbook.zones import offset_changes
from schemas.times import DAY, NEVER

_WEEK = 7 * DAY
_MONDAY = -3 * DAY  # 1970 began on a Thursday
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class _Week:
    """Open times in a week of the wall clock, in microseconds from Monday 0:00."""

    opens: tuple[int, ...]
    lengths: tuple[int, ...]
    #: open time of the week before each opening
    before: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """A team's hours, compiled by `compile_calendar`."""

    #: when each stretch begins
    starts: tuple[int, ...]
    #: the count of open time at these moments
    opened: tuple[int, ...]
    #: (offset of the clock from UTC, what the calendar's count exceeds the week's by, the week)
    stretches: tuple[tuple[int, int, _Week], ...]


def open_between(calendar: Calendar, start: int, end: int) -> int:
    """Microseconds of open time from `start` to `end`; below 0 where `end` is before `start`."""
    return _count(calendar, end) - _count(calendar, start)


def deadline(calendar: Calendar, start: int, open_microseconds: int) -> int:
    """The first moment at which this much open time has passed since `start`; `start` itself for none."""
    if open_microseconds <= 0:
        return start
    count = _count(calendar, start) + open_microseconds
    offset, base, week = calendar.stretches[bisect_left(calendar.opened, count) - 1]
    return _clock_at(week, count - base) - offset


def compile_calendar(timezone: str, week: Sequence[Hours], special: Mapping[date, Hours]) -> Calendar:
    """The calendar of seven weekdays' hours, Monday first, and of dates with other hours. Raises UnknownZone.

    Hours belong to the date on which they begin. At least one weekday has hours. No hours overlap those
    of the next date.
    """
    on_day = {day.toordinal() - _EPOCH: hours for day, hours in special.items()}

    def single(day: int) -> _Week:
        own, night = (on_day.get(one, week[_weekday(one)]) for one in (day, day - 1))
        return _week(_parts(_weekday(day), own, night))

    regular = _week(part for day in range(7) for part in _parts(day, week[day], week[day - 1]))
    # a special date changes what reaches from its night into the next date
    singles = {day: single(day) for first in on_day for day in (first, first + 1)}
    return _calendar(list(_stretches(offset_changes(timezone), singles, regular)))


_Stretch = tuple[int, int, _Week]  #: when it begins, the clock's offset from UTC, the week that it follows


def _stretches(changes: Iterable[tuple[int, int]], singles: Mapping[int, _Week], regular: _Week) -> Iterator[_Stretch]:
    midnights = sorted({one * DAY for day in singles for one in (day, day + 1)})
    for (start, offset), (end, _) in pairwise((*changes, (NEVER, 0))):
        first, last = start + offset, end + offset
        within = midnights[bisect_right(midnights, first) : bisect_left(midnights, last)]
        for clock in (first, *within):
            yield clock - offset, offset, singles.get(clock // DAY, regular)


def _calendar(stretches: list[_Stretch]) -> Calendar:
    """Each stretch continues the count of the one before."""
    opened, counted = [], []
    base, (_, offset, week) = 0, stretches[0]
    for start, next_offset, next_week in stretches:
        opened.append(base + _open_by(week, start + offset))
        offset, week = next_offset, next_week
        base = opened[-1] - _open_by(week, start + offset)
        counted.append((offset, base, week))
    return Calendar(tuple(start for start, _, _ in stretches), tuple(opened), tuple(counted))


def _week(parts: Iterable[tuple[int, int]]) -> _Week:
    opens, lengths = list(zip(*parts, strict=True)) or ((), ())
    *before, total = accumulate(lengths, initial=0)
    return _Week(opens, lengths, tuple(before), total)


def _parts(weekday: int, own: Hours, night: Hours) -> Iterator[tuple[int, int]]:
    """(opening, length) in microseconds of the week: the part of its own and the last date's hours on one date."""
    spans = [(max(start - DAY, 0), end - DAY) for start, end in night if end > DAY]
    spans += [(start, min(end, DAY)) for start, end in own]
    for start, end in spans:
        yield weekday * DAY + start, end - start


def _weekday(day: int) -> int:
    """0 is Monday; `day` counts from 1970-01-01, a Thursday."""
    return (day + 3) % 7


def _count(calendar: Calendar, at: int) -> int:
    """The calendar's count of open time at a moment. Only differences between counts have a meaning."""
    offset, base, week = calendar.stretches[bisect_right(calendar.starts, at) - 1]
    return base + _open_by(week, at + offset)


def _open_by(week: _Week, clock: int) -> int:
    """Open time from the Monday before 1970 to a reading of the wall clock, if all weeks were this one."""
    weeks, rest = divmod(clock - _MONDAY, _WEEK)
    i = bisect_right(week.opens, rest) - 1
    today = week.before[i] + min(rest - week.opens[i], week.lengths[i]) if i >= 0 else 0
    return weeks * week.total + today


def _clock_at(week: _Week, count: int) -> int:
    """The first reading of the wall clock at which `_open_by` gives this count."""
    weeks, rest = divmod(count - 1, week.total)
    i = bisect_right(week.before, rest) - 1
    return _MONDAY + weeks * _WEEK + week.opens[i] + rest + 1 - week.before[i]
