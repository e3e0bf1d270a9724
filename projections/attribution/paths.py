"""Paths: the touchpoints that came before a booking, which is what credit is given by."""

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
    """What came before a booking, in law 2's order; or a journey's touchpoints where it has no booking."""

    touchpoints: list[Moment]
    booking: Booking | None
    known: int | None = None  #: index of the touchpoint that made the person known
    opened: int | None = None  #: index of the touchpoint that opened the opportunity


class _Remembered(msgspec.Struct, array_like=True):
    """The part of a stored state that holds the moments; the others are not decoded."""

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
    """The order of names: no name comes last."""
    return (name is None, name or "")


def paths_of(moments: Iterable[Moment], lookback: int | None) -> list[Path]:
    """The path of each booking, or the one of a journey without bookings; none where there are no touchpoints either.

    A booking takes all touchpoints before it that are at most `lookback` microseconds older, those before an earlier
    booking too. Where there is no booking, `lookback` counts from the last touchpoint.
    """
    found: list[Path] = []
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
            found.append(Path(touchpoints[start:], booking, _within(known - start), _within(opened - start)))
    if touchpoints and not found:
        return [Path(touchpoints[_start(touchpoints, touchpoints[-1].at, lookback) :], None)]
    return found


def _start(touchpoints: list[Moment], until: int, lookback: int | None) -> int:
    return 0 if lookback is None else bisect_left(touchpoints, until - lookback, key=_at)


def _within(index: int) -> int | None:
    return index if index >= 0 else None
