"""Time zones from the pinned package tzdata, whatever the machine has installed or is set to."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from schemas.errors import TandemError
from schemas.times import BEGINNING, EARLIEST, LATEST

_SECOND = 1_000_000  #: microseconds
_DAY = 86_400  #: seconds


class UnknownZone(TandemError):
    """No time zone has this name. Use a name of the IANA list, such as Europe/Berlin."""


@cache
def load_zone(name: str) -> ZoneInfo:
    """The zone with this IANA name. Raises UnknownZone.

    `ZoneInfo(name)` would read the machine's own files first, which differ between machines.
    """
    data = files("tzdata")
    # ask the list, not the file system: its names are exact, and none leads out of the package
    if name not in data.joinpath("zones").read_text("utf-8").split():
        raise UnknownZone(f"no time zone is named {name!r}: use a name of the IANA list, such as Europe/Berlin")
    with data.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def offset_changes(name: str) -> tuple[tuple[int, int], ...]:
    """((since, offset from UTC), ...) in order; both in microseconds. Raises UnknownZone.

    The first entry is since BEGINNING. Changes are listed for 1970 to 2099, the times that events may have.
    """
    return tuple(_changes(load_zone(name)))


def _changes(zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """Look once a day: a zone's changes are days apart, so there is at most one between two looks."""
    first = EARLIEST // _SECOND
    ahead = _ahead(zone, first)
    yield BEGINNING, ahead * _SECOND
    for day in range(first, LATEST // _SECOND, _DAY):
        next_ = _ahead(zone, day + _DAY)
        if next_ != ahead:
            yield _change(zone, day, next_) * _SECOND, next_ * _SECOND
            ahead = next_


def _change(zone: ZoneInfo, day: int, next_: int) -> int:
    """The first second, within a day after `day`, at which the offset is `next_`."""
    return day + bisect_left(range(day, day + _DAY), True, key=lambda second: _ahead(zone, second) == next_)


def _ahead(zone: ZoneInfo, second: int) -> int:
    """The zone's offset from UTC in seconds."""
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    assert offset is not None
    return offset.days * _DAY + offset.seconds
