"""Paths: the touchpoints before a booking, to which credit is given."""

from bisect import bisect_left
from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

import msgspec

from projections.journey.moments import Moment

Name = str | None  #: a channel or campaign; None for touchpoints without one


class Booking(NamedTuple):
    """A won opportunity."""

    at: int  #: microseconds since 1970 UTC
    amount: int  #: minor units
    currency: str


class Path(NamedTuple):
    """The touchpoints before a booking, in order; or all of a journey without bookings."""

    touchpoints: list[Moment]
    booking: Booking | None
    known: int | None = None  #: index of the touchpoint that made the person known
    opened: int | None = None  #: index of the touchpoint that opened the opportunity


class _Remembered(msgspec.Struct, array_like=True):
    """A stored state, of which only the moments are decoded."""

    format: int
    identifiers: msgspec.Raw
    links: msgspec.Raw
    moments: list[Moment]


_remembered = msgspec.msgpack.Decoder(_Remembered)
_at = attrgetter("at")


def moments_of(state: bytes) -> list[Moment]:
    """The moments of a stored journey, in order."""
    return _remembered.decode(state).moments


def by_name(name: Name) -> tuple[bool, str]:
    """Sorts names; None comes last."""
    return (name is None, name or "")


def paths_of(moments: Iterable[Moment], lookback: int | None) -> list[Path]:
    """The path of each booking, or the one path of a journey without bookings; none where it has no touchpoints.

    A path has all touchpoints at most `lookback` microseconds before the booking, also those before an earlier booking.
    Without a booking, `lookback` counts from the last touchpoint.
    """
    paths: list[Path] = []
    touchpoints: list[Moment] = []
    named, known, opened = False, -1, -1
    for moment in moments:
        if moment.channel is not None:
            touchpoints.append(moment)
        if moment.named and not named:
            named, known = True, len(touchpoints) - 1
        if moment.type == "opportunity_opened":
            opened = len(touchpoints) - 1
        elif moment.type == "opportunity_won" and moment.amount is not None and moment.currency is not None:
            booking = Booking(moment.at, moment.amount, moment.currency)
            start = _start(touchpoints, moment.at, lookback)
            paths.append(Path(touchpoints[start:], booking, _within(known - start), _within(opened - start)))
    if touchpoints and not paths:
        return [Path(touchpoints[_start(touchpoints, touchpoints[-1].at, lookback) :], None)]
    return paths


def _start(touchpoints: list[Moment], until: int, lookback: int | None) -> int:
    return 0 if lookback is None else bisect_left(touchpoints, until - lookback, key=_at)


def _within(index: int) -> int | None:
    return index if index >= 0 else None
