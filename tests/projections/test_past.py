"""What a stored journey remembers is decoded when it is needed, and only then."""

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.fold import apply, subject_of
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.journey.row import row_of
from projections.memory import fold_events
from projections.text import time_text
from schemas.decode import decode
from schemas.event import Event
from schemas.times import DAY
from tests.laws.restarts import reloaded, restarted
from tests.support import RULES, body

_T0 = 1_767_225_600_000_000  # 2026-01-01
_HOUR = 3_600_000_000
_SCORELESS = "referral_made"
_USER, _DEVICE = {"user_id": "u"}, {"anonymous_id": "d"}


def event(number: int, at: int, type_: str = "page_viewed", *, who: dict[str, str] = _USER, **more: object) -> Event:
    if type_ == _SCORELESS:
        more = {"data": {"to": "a friend"}, **more}
    owner = "marketing" if type_ in ("page_viewed", "campaign_touched", _SCORELESS) else "sales"
    return decode(body(number, type_, who=who, occurred_at=time_text(_T0 + at), **more), owner)


def take(journey: Journey, *events: Event) -> Journey:
    """The journey after a batch, as a worker has it that had to load it."""
    workspace = Workspace(RULES)
    workspace.put(reloaded(journey, RULES))
    fold(workspace, *events)
    [found] = workspace.harvest().touched
    return found


def fold(workspace: Workspace, *events: Event) -> None:
    for one in events:
        subject = subject_of(one, RULES)
        assert subject is not None
        apply(workspace, one, subject)


def only(*events: Event) -> Journey:
    [journey] = fold_events(events, RULES).journeys.values()
    return journey


_DAYS = [event(n, n * DAY) for n in range(20)]


def test_news_leave_what_is_stored_encoded() -> None:
    news = [event(30, 21 * DAY), event(31, 20 * DAY)]
    for batch in (news, news[::-1], news[:1]):
        journey = take(only(*_DAYS), *batch)
        assert journey.past is not None
        assert journey.weight < 6
        assert journey.encode() == only(*_DAYS, *batch).encode()


def test_news_of_the_last_stored_day_are_counted_there() -> None:
    news = event(30, 19 * DAY + _HOUR)
    journey = take(only(*_DAYS), news)
    assert journey.past is None
    assert len(journey.moments) == 20
    assert journey.encode() == only(*_DAYS, news).encode()


def test_on_devices_it_is_the_last_half_hour() -> None:
    """Of what does not score: what does scores once a day."""
    seen = [event(n, n * DAY, _SCORELESS, who=_DEVICE) for n in range(3)]
    for at, decoded in ((2 * DAY + _HOUR // 4, True), (2 * DAY + _HOUR, False)):
        news = event(30, at, _SCORELESS, who=_DEVICE)
        journey = take(only(*seen), news)
        assert (journey.past is None) == decoded
        assert journey.encode() == only(*seen, news).encode()


def test_late_news_of_the_last_stored_day_score_once() -> None:
    first, news = event(0, 0, who=_DEVICE), [event(2, 2 * _HOUR, _SCORELESS, who=_DEVICE), event(1, _HOUR, who=_DEVICE)]
    assert take(only(first), *news).encode() == only(first, *news).encode()


_KINDS = (
    "page_viewed",
    "page_viewed",
    _SCORELESS,
    "campaign_touched",
    "call_logged",
    "usage_reported",
    "opportunity_won",
)


@st.composite
def _long(draw: st.DrawFn) -> list[Event]:
    """Events of one person on two devices, with accounts and bookings, mostly in order."""
    events, at = [], 0
    for number in range(draw(st.integers(2, 24))):
        at += draw(st.sampled_from([0, 1, _HOUR, 2 * _HOUR, DAY, 40 * DAY, -_HOUR, -2 * DAY]))
        type_ = draw(st.sampled_from(_KINDS))
        won = {"version": 2, "data": {"amount": 5, "currency": "EUR"}} if type_ == "opportunity_won" else {}
        who = draw(st.sampled_from([{**_USER, **_DEVICE}, {**_USER, **_DEVICE}, {**_USER, "email": "u@firm.example"}]))
        account = draw(st.sampled_from([{}, {}, {"account": "a.example"}, {"account": "b.example"}]))
        events.append(event(number, max(at, 0), type_, who={**who, **account}, **won))
    return events


@settings(max_examples=500)
@given(_long(), st.data())
def test_a_worker_that_forgets_everything_after_each_batch_writes_the_same(
    events: list[Event], data: st.DataObject
) -> None:
    workspace = Workspace(RULES)
    for one in events:
        fold(workspace, one)
        if data.draw(st.booleans()):
            workspace = restarted(workspace)
    workspace.harvest()
    [found], whole = workspace.journeys.values(), only(*events)
    assert row_of(found, RULES)._replace(rev=0) == row_of(whole, RULES)._replace(rev=0)
    assert found.moments == whole.moments
