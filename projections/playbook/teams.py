"""Teams: who works when, as the playbook says it, and their calendars compiled."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from projections.playbook.business_hours import DAY, Calendar, Hours, compile_calendar
from projections.playbook.zones import UnknownZone, load_zone

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
_ONE_DAY = timedelta(days=1)
_MINUTE = 60_000_000  #: microseconds
_INTERVAL = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)")

TeamName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
#: Of the years that events may be of.
Date = Annotated[date, Field(ge=date(1970, 1, 1), le=date(2099, 12, 31))]


def _span(interval: str) -> tuple[int, int]:
    """(from, to) of `09:00-17:00` in microseconds from midnight; where `to` is not after `from`, the next date's."""
    if _INTERVAL.fullmatch(interval) is None:
        raise ValueError(f"{interval!r} are no hours: write them as 09:00-17:00, to midnight as 09:00-24:00")
    start, end = ((int(time[:2]) * 60 + int(time[3:])) * _MINUTE for time in interval.split("-"))
    if start == end:
        raise ValueError(f"{interval!r} are no hours: they end where they begin; a whole day is 00:00-24:00")
    return start, end if end > start else end + DAY


def _hours(intervals: list[str]) -> Hours:
    return tuple(sorted(_span(interval) for interval in intervals))


def _is_known(timezone: str) -> str:
    try:
        load_zone(timezone)
    except UnknownZone as error:
        raise ValueError(str(error)) from error
    return timezone


class Team(BaseModel):
    """When a team is open. Times are those of the wall clock in its time zone."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    timezone: Annotated[str, AfterValidator(_is_known)]
    #: by weekday, such as `mon: [09:00-12:00, 13:00-17:00]`; hours past midnight belong to the day they begin on
    hours: dict[Weekday, list[str]]
    #: dates without hours
    holidays: list[Date] = []
    #: dates with other hours, or with none: they outweigh weekdays and holidays
    special_hours: dict[Date, list[str]] = {}
    #: who belongs to it
    members: list[str] = []

    @field_validator("hours", "special_hours")
    @classmethod
    def _apart(cls, days: dict[Any, list[str]]) -> dict[Any, list[str]]:
        for day, intervals in days.items():
            for (_, end), (start, _) in pairwise(_hours(intervals)):
                if start < end:
                    raise ValueError(f"hours overlap on {day}: {', '.join(intervals)}")
        return days

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if not any(self.hours.values()):
            raise ValueError("the team is never open, so that no deadline would ever end: give a weekday hours")
        return self

    @model_validator(mode="after")
    def _nights_end(self) -> Self:
        """What begins on one date ends before the next date's hours begin."""
        for name, night, own in self._neighbours():
            if night and own and night[-1][1] - DAY > own[0][0]:
                raise ValueError(f"hours overlap on {name}: those of the day before last until after it has opened")
        return self

    def _neighbours(self) -> Iterator[tuple[str, Hours, Hours]]:
        """(what day, hours of the day before, its own) wherever these may differ."""
        week, special = self.week(), self.special()
        for i, weekday in enumerate(_WEEKDAYS):
            yield weekday, week[i - 1], week[i]
        for first in special:
            for day in (first, first + _ONE_DAY):
                night, own = (special.get(one, week[one.weekday()]) for one in (day - _ONE_DAY, day))
                yield str(day), night, own

    def week(self) -> tuple[Hours, ...]:
        """Hours of the weekdays, Monday first."""
        return tuple(_hours(self.hours.get(day, [])) for day in _WEEKDAYS)

    def special(self) -> dict[date, Hours]:
        """Hours of all dates that do not follow the week."""
        holidays: dict[date, Hours] = dict.fromkeys(self.holidays, ())
        return holidays | {day: _hours(intervals) for day, intervals in self.special_hours.items()}


def compile_calendars(teams: Mapping[str, Team]) -> dict[str, Calendar]:
    """The calendar of each team, by its name."""
    return {name: compile_calendar(team.timezone, team.week(), team.special()) for name, team in teams.items()}
