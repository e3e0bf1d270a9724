"""Business hours against a naive model that looks at the team's wall clock minute by minute."""

import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.playbook.business_hours import Calendar, compile_calendar, deadline, open_between
from projections.playbook.model import DEFAULT_PLAYBOOK, InvalidPlaybook, load_playbook
from projections.playbook.teams import Team, Weekday
from projections.playbook.zones import UnknownZone
from schemas.times import DAY

ROOT = Path(__file__).parents[2]
MINUTE = 60_000_000
HOUR = 60 * MINUTE
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)

#: Zones and moments at which their clocks change; where they never do, any moment.
CHANGES = {
    "UTC": ["2026-03-29T01:00"],
    "Europe/Berlin": ["2026-03-29T01:00", "2026-10-25T01:00", "1980-04-06T01:00"],
    "Europe/Dublin": ["2026-03-29T01:00", "2026-10-25T01:00"],  # its winter is the exception, not its summer
    "America/New_York": ["2026-03-08T07:00", "2026-11-01T06:00", "2094-11-07T06:00"],
    "America/Sao_Paulo": ["2018-02-18T02:00", "2018-11-04T03:00", "2019-02-17T02:00"],  # at midnight, until 2019
    "America/Caracas": ["2007-12-09T07:00", "2016-05-01T07:00"],  # by half an hour, for good
    "Asia/Kathmandu": ["1985-12-31T18:30", "2026-01-01T00:00"],  # from 5:30 to 5:45
    "Asia/Kolkata": ["2026-01-01T00:00"],
    "Africa/Casablanca": ["2026-02-15T02:00", "2026-03-22T02:00"],  # in Ramadan
    "Australia/Lord_Howe": ["2026-04-04T15:00", "2026-10-03T15:30"],  # by half an hour
    "Antarctica/Troll": ["2026-03-29T01:00", "2026-10-25T01:00"],  # by two hours
    "Pacific/Apia": ["2011-12-30T10:00"],  # a date that did not happen
}


def micros(text: str, zone: str = "UTC") -> int:
    """Microseconds since 1970 of a wall-clock time such as 2026-03-29T09:00; the first of two."""
    passed = datetime.fromisoformat(text).replace(tzinfo=oracle(zone)).astimezone(UTC) - datetime(
        1970, 1, 1, tzinfo=UTC
    )
    return passed // timedelta(microseconds=1)


@cache
def oracle(zone: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *zone.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file)


def team(timezone: str, *hours: str, days: tuple[str, ...] = WEEKDAYS, **more: Any) -> Team:
    return Team.model_validate({"timezone": timezone, "hours": {day: list(hours) for day in days}, **more})


def calendar(one: Team) -> Calendar:
    return compile_calendar(one.timezone, one.week(), one.special())


def hours_between(one: Team, start: str, end: str) -> float:
    """Open hours between two wall-clock times of the team."""
    return open_between(calendar(one), micros(start, one.timezone), micros(end, one.timezone)) / HOUR


class Naive:
    """The model: a minute is open if the wall clock shows open hours at its beginning."""

    def __init__(self, one: Team) -> None:
        self.team, self.zone = one, oracle(one.timezone)
        self.known: dict[date, frozenset[int]] = {}

    def spans(self, day: date) -> list[tuple[int, int]]:
        """(from, to) in minutes from midnight of the hours that begin on a date."""
        if day in self.team.special_hours:
            texts = self.team.special_hours[day]
        elif day in self.team.holidays:
            texts = []
        else:
            texts = self.team.hours.get(WEEKDAYS[day.weekday()], [])
        ends = [[int(t[:2]) * 60 + int(t[3:]) for t in text.split("-")] for text in texts]
        return [(a, b if b > a else b + 1440) for a, b in ends]

    def minutes(self, day: date) -> frozenset[int]:
        """The open minutes of a date, last night's too."""
        if day not in self.known:
            spans = self.spans(day) + [(a - 1440, b - 1440) for a, b in self.spans(day - timedelta(days=1))]
            self.known[day] = frozenset(minute for a, b in spans for minute in range(a, b))
        return self.known[day]

    def is_open(self, minute: int) -> bool:
        wall = datetime.fromtimestamp(minute * 60, self.zone)
        return wall.hour * 60 + wall.minute in self.minutes(wall.date())

    def open_between(self, start: int, end: int) -> int:
        return sum(
            min(end, (minute + 1) * MINUTE) - max(start, minute * MINUTE)
            for minute in range(start // MINUTE, -(-end // MINUTE))
            if self.is_open(minute)
        )


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# half hours of the night often: that is when clocks change
_POINT = st.sampled_from([0, 30, 60, 90, 120, 150, 180, 210]) | st.integers(0, 1439)
_BY_DAY = st.lists(_POINT, max_size=6, unique=True).map(
    lambda points: [f"{clock(a)}-{clock(b)}" for a, b in zip(*[iter(sorted(points))] * 2, strict=False)]
)
_LATE = st.integers(1, 360).map(lambda end: f"{clock(1439 - end)}-{clock(end)}")
_BY_NIGHT = st.tuples(st.lists(st.just("07:00-11:30"), max_size=1), st.lists(_LATE, max_size=1)).map(
    lambda parts: parts[0] + parts[1]
)


@st.composite
def places(draw: st.DrawFn) -> tuple[Team, int]:
    """A team, and a moment near which its clock changes and special dates lie."""
    timezone = draw(st.sampled_from(sorted(CHANGES)))
    near = micros(draw(st.sampled_from(CHANGES[timezone])))
    hours = draw(st.sampled_from([_BY_DAY, _BY_NIGHT]))
    week = draw(st.dictionaries(st.sampled_from(WEEKDAYS), hours, min_size=1).filter(lambda week: any(week.values())))
    dates = st.integers(-3, 3).map(lambda days: date(1970, 1, 1) + timedelta(days=near // DAY + days))
    special = draw(st.dictionaries(dates, hours, max_size=3))
    one = {"timezone": timezone, "hours": week, "holidays": draw(st.lists(dates, max_size=2)), "special_hours": special}
    return Team.model_validate(one), near


_AWAY = st.integers(-2 * DAY, 2 * DAY) | st.integers(-48, 48).map(lambda halves: halves * HOUR)


@settings(max_examples=200)
@given(places(), _AWAY, _AWAY)
def test_open_time_is_what_a_clock_watcher_counts(place: tuple[Team, int], one: int, other: int) -> None:
    one_team, near = place
    start, end = sorted((near + one, near + other))
    assert open_between(calendar(one_team), start, end) == Naive(one_team).open_between(start, end)


@settings(max_examples=300)
@given(places(), _AWAY, st.integers(1, 80 * HOUR), _AWAY)
def test_a_deadline_is_the_first_moment_by_which_so_much_time_was_open(
    place: tuple[Team, int], away: int, some: int, until: int
) -> None:
    compiled, start = calendar(place[0]), place[1] + away
    for open_time in (some, open_between(compiled, start, place[1] + until)):
        due = deadline(compiled, start, open_time)
        if open_time > 0:
            assert open_between(compiled, start, due) == open_time
            assert open_between(compiled, start, due - 1) == open_time - 1
        else:
            assert due == start


_ANY_TIME = st.integers(micros("1970-01-01T00:00"), micros("2099-12-31T00:00"))


@settings(max_examples=300)
@given(places(), _ANY_TIME, _ANY_TIME, _AWAY)
def test_open_time_adds_up_and_never_shrinks(place: tuple[Team, int], one: int, other: int, away: int) -> None:
    compiled = calendar(place[0])
    first, middle, last = sorted((one, other, place[1] + away))
    parts = open_between(compiled, first, middle), open_between(compiled, middle, last)
    assert open_between(compiled, first, last) == sum(parts)
    assert open_between(compiled, last, first) == -sum(parts)
    assert all(part >= 0 for part in parts)
    assert parts[0] <= middle - first


@settings(max_examples=200)
@given(places(), _ANY_TIME, st.integers(0, 20_000 * HOUR), st.integers(0, 500 * HOUR))
def test_more_open_time_is_due_later(place: tuple[Team, int], start: int, open_time: int, more: int) -> None:
    compiled = calendar(place[0])
    due = deadline(compiled, start, open_time)
    assert open_between(compiled, start, due) == open_time
    assert deadline(compiled, due, more) == deadline(compiled, start, open_time + more) >= due


@pytest.mark.parametrize(
    "one",
    [
        team("Europe/Berlin", "07:00-11:30", "22:00-06:00", holidays=[date(2018, 12, 25)]),
        team("America/Sao_Paulo", "00:00-08:15", "13:00-24:00", special_hours={date(2018, 11, 4): ["00:30-03:00"]}),
    ],
    ids=lambda one: one.timezone,
)
def test_a_year_minute_by_minute(one: Team) -> None:
    start, end = micros("2018-01-01T00:00:30"), micros("2019-01-01T00:00:30")
    assert open_between(calendar(one), start, end) == Naive(one).open_between(start, end)


@pytest.mark.parametrize(
    ("timezone", "hours", "start", "end", "expected"),
    [
        # a night shift when summer time begins and ends
        ("Europe/Berlin", "22:00-06:00", "2026-03-28T12:00", "2026-03-29T12:00", 7),
        ("Europe/Berlin", "22:00-06:00", "2026-10-24T12:00", "2026-10-25T12:00", 9),
        ("Europe/Berlin", "22:00-06:00", "2026-06-01T12:00", "2026-06-02T12:00", 8),
        # the hour that does not happen, and the one that happens twice
        ("Europe/Berlin", "02:00-03:00", "2026-03-29T00:00", "2026-03-30T00:00", 0),
        ("Europe/Berlin", "02:00-03:00", "2026-10-25T00:00", "2026-10-26T00:00", 2),
        ("Europe/Berlin", "02:30-04:00", "2026-03-29T00:00", "2026-03-30T00:00", 1),
        ("Europe/Berlin", "02:30-04:00", "2026-10-25T00:00", "2026-10-26T00:00", 2),
        # days of 23 and of 25 hours
        ("Europe/Berlin", "00:00-24:00", "2026-03-29T00:00", "2026-03-30T00:00", 23),
        ("Europe/Berlin", "00:00-24:00", "2026-10-25T00:00", "2026-10-26T00:00", 25),
        # at midnight, and no more from 2019 on
        ("America/Sao_Paulo", "00:00-08:00", "2018-11-03T12:00", "2018-11-04T12:00", 7),
        ("America/Sao_Paulo", "16:00-24:00", "2018-02-17T12:00", "2018-02-18T12:00", 9),
        ("America/Sao_Paulo", "00:00-08:00", "2019-11-02T12:00", "2019-11-03T12:00", 8),
        # by half an hour
        ("Australia/Lord_Howe", "01:00-03:00", "2026-04-05T00:00", "2026-04-06T00:00", 2.5),
        ("Australia/Lord_Howe", "01:00-03:00", "2026-10-04T00:00", "2026-10-05T00:00", 1.5),
        # from the 29th to the 31st
        ("Pacific/Apia", "09:00-17:00", "2011-12-29T00:00", "2012-01-01T00:00", 16),
    ],
)
def test_when_clocks_change(timezone: str, hours: str, start: str, end: str, expected: float) -> None:
    assert hours_between(team(timezone, hours), start, end) == expected


def test_kathmandu_is_three_quarters_off() -> None:
    compiled = calendar(team("Asia/Kathmandu", "09:00-17:00"))
    opens = micros("2026-01-01T03:15")
    assert open_between(compiled, opens - HOUR, opens) == 0
    assert open_between(compiled, opens, opens + DAY) == 8 * HOUR
    assert deadline(compiled, opens - HOUR, 1) == opens + 1
    assert deadline(compiled, opens, 8 * HOUR) == micros("2026-01-01T11:15")


def test_a_deadline_at_the_end_of_the_day_does_not_wait_for_the_next() -> None:
    """Not over a holiday, nor over a change of the clock."""
    evenings = calendar(team("UTC", "16:00-24:00", holidays=[date(2026, 1, 2)]))
    assert deadline(evenings, micros("2026-01-01T00:00"), 8 * HOUR) == micros("2026-01-02T00:00")
    assert deadline(evenings, micros("2026-01-01T00:00"), 8 * HOUR + 1) == micros("2026-01-03T16:00") + 1
    nights = calendar(team("Europe/Berlin", "00:00-02:00"))
    assert deadline(nights, micros("2026-03-28T23:00"), 2 * HOUR) == micros("2026-03-29T01:00")


def test_a_holiday_closes_the_night_that_begins_on_it() -> None:
    nights = team("Europe/Berlin", "22:00-06:00", holidays=[date(2026, 12, 25)])
    assert hours_between(nights, "2026-12-25T00:00", "2026-12-25T12:00") == 6
    assert hours_between(nights, "2026-12-25T12:00", "2026-12-26T12:00") == 0
    assert hours_between(nights, "2026-12-26T12:00", "2026-12-27T12:00") == 8


def test_the_page_tells_the_truth() -> None:
    page = (ROOT / "docs/reference/business-hours.md").read_text("utf-8")
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert example
    sales = Team.model_validate(yaml.safe_load(example[1])["teams"]["sales-emea"])
    assert sales.members == ["ana", "ben"]
    days = {day: hours_between(sales, f"2026-12-{day}T00:00", f"2026-12-{day + 1}T00:00") for day in range(21, 31)}
    assert list(days.values()) == [7, 7, 7, 3, 0, 0, 4, 7, 7, 7]
    assert hours_between(sales, "2026-12-31T00:00", "2027-01-04T00:00") == 0

    friday = micros("2026-06-05T13:00", "Europe/Berlin")
    assert deadline(calendar(sales), friday, 4 * HOUR) == micros("2026-06-08T11:00", "Europe/Berlin")
    assert deadline(calendar(sales), friday, 2 * HOUR) == micros("2026-06-05T15:00", "Europe/Berlin")


_COUNT = """
from zoneinfo import ZoneInfo
from datetime import datetime
from projections.playbook.business_hours import compile_calendar, deadline, open_between
from projections.playbook.teams import Team, Weekday
week = {day: ["09:00-17:00", "22:00-03:00"] for day in ("mon", "sat", "sun")}
team = Team.model_validate({"timezone": "Europe/Berlin", "hours": week})
calendar = compile_calendar(team.timezone, team.week(), team.special())
times = [1_774_000_000_000_000 + n * 7_000_000_000 for n in range(300)]
counts = [(open_between(calendar, times[0], at), deadline(calendar, at, 9_000_000_000)) for at in times]
print(datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")).utcoffset(), datetime(2026, 1, 1).astimezone().tzname())
print(calendar, counts)
"""


def test_the_machine_does_not_matter(tmp_path: Path) -> None:
    """Neither its time zone nor its files, though Python's own look-ups follow them."""
    (tmp_path / "Europe").mkdir()
    lie = files("tzdata").joinpath("zoneinfo/Asia/Kathmandu").read_bytes()
    (tmp_path / "Europe/Berlin").write_bytes(lie)
    machine, counted = zip(
        *(
            subprocess.run(
                [sys.executable, "-c", _COUNT],
                cwd=ROOT,
                env={**os.environ, "TZ": zone, "PYTHONTZPATH": path},
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split("\n", 1)
            for zone, path in (("XXX-7", str(tmp_path)), ("UTC", ""))
        ),
        strict=True,
    )
    assert machine == ("5:45:00 XXX", "1:00:00 UTC")
    assert counted[0] == counted[1]


WORKDAY = {"timezone": "UTC", "hours": {"mon": ["09:00-17:00"]}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timezone": "Europe/Berln"}, "timezone.*no time zone is named 'Europe/Berln'"),
        ({"timezone": "../zones"}, "timezone.*no time zone"),
        ({"timezone": "europe/berlin"}, "timezone.*no time zone"),
        ({"hours": {}}, "never open"),
        ({"hours": {"mon": []}}, "never open"),
        ({"hours": {"monday": ["09:00-17:00"]}}, "hours.monday"),
        ({"hours": {"mon": ["9-17"]}}, "hours.*'9-17' is not an interval: write it as 09:00-17:00"),
        ({"hours": {"mon": ["09:00-24:30"]}}, "hours.*24:30' is not an interval"),
        ({"hours": {"mon": ["09:00-09:00"]}}, "hours.*'09:00-09:00'.*ends where it begins"),
        ({"hours": {"mon": ["13:00-17:00", "09:00-13:01"]}}, "hours.*overlap on mon: 13:00-17:00, 09:00-13:01"),
        ({"hours": {"sun": ["22:00-06:00"], "mon": ["05:59-09:00"]}}, "overlap on mon"),
        ({"special_hours": {date(2026, 3, 1): ["22:00-09:01"]}}, "overlap on 2026-03-02"),
        ({"special_hours": {date(2026, 3, 1): ["08:00-10:00", "09:00-11:00"]}}, "special_hours.*overlap on 2026-03-01"),
        (
            {"hours": {"mon": ["22:00-06:00"]}, "special_hours": {date(2026, 3, 3): ["05:00-07:00"]}},
            "overlap on 2026-03-03",
        ),
        ({"holidays": [date(2100, 1, 1)]}, "holidays.0"),
        ({"holidays": ["Christmas"]}, "holidays.0.*date"),
        ({"members": [7]}, "members.0"),
        ({"lunch": True}, "lunch"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    text = yaml.safe_load(DEFAULT_PLAYBOOK.read_text("utf-8"))
    file = tmp_path / "playbook.yaml"
    file.write_text(yaml.safe_dump({**text, "teams": {"sales": {**WORKDAY, **change}}}))
    with pytest.raises(InvalidPlaybook, match=rf"teams\.sales.*{message}"):
        load_playbook(file)


def test_a_date_that_does_not_exist_is_named_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "playbook.yaml"
    file.write_text("teams:\n  sales:\n    holidays: [2026-12-25, 2026-02-30]\n")
    with pytest.raises(InvalidPlaybook, match=r"2026-02-30 is not a date: day is out of range.*line 3, column 28"):
        load_playbook(file)


def test_nights_may_meet_the_morning() -> None:
    nights = team("UTC", "06:00-14:00", "14:00-22:00", "22:00-06:00")
    assert hours_between(nights, "2026-01-01T00:00", "2027-01-01T00:00") == 365 * 24


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(UnknownZone, match=r"Europe/Berln.*IANA"):
        compile_calendar("Europe/Berln", [((0, DAY),)] * 7, {})


def test_each_department_has_a_team_and_teams_are_in_the_digest() -> None:
    playbook = load_playbook()
    assert set(playbook.teams) == {"marketing", "sales"}
    assert playbook.model_copy(update={"teams": {}}).digest() != playbook.digest()
