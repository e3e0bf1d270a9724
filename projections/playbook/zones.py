"""Time zones as the pinned package tzdata has them. What the machine has installed, or is set to, changes nothing."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from schemas.errors import TandemError
from schemas.times import EARLIEST, LATEST

_SECOND = 1_000_000  #: microseconds
_DAY = 86_400  #: seconds
#: Before all times.
BEGINNING = -(2**62)


class UnknownZone(TandemError):
    """No time zone has this name. Use a name of the IANA list, such as Europe/Berlin."""


@cache
def load_zone(name: str) -> ZoneInfo:
    """The zone with this IANA name. Raises UnknownZone.

    `ZoneInfo(name)` would look into the machine's own files first, and these differ from machine to machine.
    """
    data = files("tzdata")
    # the list, not the file system: its names are exact, and none of them leads out of the package
    if name not in data.joinpath("zones").read_text("utf-8").split():
        raise UnknownZone(f"no time zone is named {name!r}: take a name of the IANA list, such as Europe/Berlin")
    with data.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def offset_changes(name: str) -> tuple[tuple[int, int], ...]:
    """((from when, how much clocks are ahead of UTC), ...) in order; both in microseconds. Raises UnknownZone.

    The first entry is from the BEGINNING on. Changes are known for the times that events may have, 1970 to 2099;
    before and after them no clock changes.
    """
    return tuple(_changes(load_zone(name)))


def _changes(zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """Look once a day: changes of a zone are days apart, so that between two looks there is one at most."""
    first = EARLIEST // _SECOND
    ahead = _ahead(zone, first)
    yield BEGINNING, ahead * _SECOND
    for day in range(first, LATEST // _SECOND, _DAY):
        next_ = _ahead(zone, day + _DAY)
        if next_ != ahead:
            yield _change(zone, day, next_) * _SECOND, next_ * _SECOND
            ahead = next_


def _change(zone: ZoneInfo, day: int, next_: int) -> int:
    """The second, within a day from `day` on, from which clocks are ahead by `next_`."""
    return day + bisect_left(range(day, day + _DAY), True, key=lambda second: _ahead(zone, second) == next_)


def _ahead(zone: ZoneInfo, second: int) -> int:
    """By how many seconds the zone's clocks are ahead of UTC."""
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    assert offset is not None
    return offset.days * _DAY + offset.seconds
