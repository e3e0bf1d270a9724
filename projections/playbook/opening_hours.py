"""Opening hours as a playbook writes them, such as `09:00-17:00`."""

import re
from collections.abc import Iterable

from schemas.times import DAY

_MINUTE = 60_000_000  #: microseconds
_INTERVAL = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)")

#: ((from, to), ...): when a team is open, in microseconds of the wall clock from a date's midnight. In order, without
#: overlaps; the `to` of a night shift is on the next date.
Hours = tuple[tuple[int, int], ...]


def parse_hours(intervals: Iterable[str]) -> Hours:
    """The hours of one day. Raises ValueError."""
    return tuple(sorted(_parse_interval(interval) for interval in intervals))


def _parse_interval(interval: str) -> tuple[int, int]:
    """(from, to); where `to` is not after `from`, it is on the next date."""
    if _INTERVAL.fullmatch(interval) is None:
        raise ValueError(f"{interval!r} is not an interval: write it as 09:00-17:00, up to midnight as 09:00-24:00")
    start, end = ((int(time[:2]) * 60 + int(time[3:])) * _MINUTE for time in interval.split("-"))
    if start == end:
        raise ValueError(f"{interval!r} ends where it begins: a whole day is 00:00-24:00")
    return start, end if end > start else end + DAY
