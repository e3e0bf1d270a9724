"""Teams: who works when, as the playbook says it."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from projections.playbook.opening_hours import Hours, parse_hours
from projections.playbook.zones import UnknownZone, load_zone
from schemas.times import DAY

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
_ONE_DAY = timedelta(days=1)

TeamName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
#: Within the years that events may have.
Date = Annotated[date, Field(ge=date(1970, 1, 1), le=date(2099, 12, 31))]


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
    #: dates with other hours, or none: they override weekdays and holidays
    special_hours: dict[Date, list[str]] = {}
    #: who belongs to it
    members: list[str] = []

    @field_validator("hours", "special_hours")
    @classmethod
    def _apart(cls, days: dict[Any, list[str]]) -> dict[Any, list[str]]:
        for day, intervals in days.items():
            for (_, end), (start, _) in pairwise(parse_hours(intervals)):
                if start < end:
                    raise ValueError(f"hours overlap on {day}: {', '.join(intervals)}")
        return days

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if not any(self.hours.values()):
            raise ValueError("the team is never open, so no deadline would ever end: give a weekday hours")
        return self

    @model_validator(mode="after")
    def _nights_end(self) -> Self:
        """Hours that begin on one date end before the next date's begin."""
        for name, night, own in self._neighbours():
            if night and own and night[-1][1] - DAY > own[0][0]:
                raise ValueError(f"hours overlap on {name}: those of the day before end after it has opened")
        return self

    def _neighbours(self) -> Iterator[tuple[str, Hours, Hours]]:
        """(day, hours of the day before, its own) for every combination that occurs."""
        week, special = self.week(), self.special()
        for i, weekday in enumerate(_WEEKDAYS):
            yield weekday, week[i - 1], week[i]
        for first in special:
            for day in (first, first + _ONE_DAY):
                night, own = (special.get(one, week[one.weekday()]) for one in (day - _ONE_DAY, day))
                yield str(day), night, own

    def week(self) -> tuple[Hours, ...]:
        """Hours of the weekdays, Monday first."""
        return tuple(parse_hours(self.hours.get(day, [])) for day in _WEEKDAYS)

    def special(self) -> dict[date, Hours]:
        """Hours of all dates that differ from the week."""
        holidays: dict[date, Hours] = dict.fromkeys(self.holidays, ())
        return holidays | {day: parse_hours(intervals) for day, intervals in self.special_hours.items()}
