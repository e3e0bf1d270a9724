"""Hand-offs: what is offered, who decides, which deadlines are missed, and what late events take back."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.identity.workspace import Workspace
from projections.journey.handoffs import STATES, Decision, Handoff, breaches_at, handoff_id, happenings, objection
from projections.journey.lifecycle import advance, ahead, copy_of
from projections.journey.row import row_of
from projections.memory import fold_events
from projections.playbook.model import DEFAULT_PLAYBOOK, InvalidPlaybook, Playbook, Rules, compile_rules
from projections.playbook.strict_yaml import read_model
from projections.text import time_text
from projections.views.journey import journey_view
from schemas.decode import decode
from schemas.event import Event

TEXT = DEFAULT_PLAYBOOK.read_text("utf-8")
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  #: sales opens
RULES = compile_rules(read_model(TEXT, Playbook, "playbook", InvalidPlaybook))


def rules(*edits: tuple[str, str]) -> Rules:
    text = TEXT
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return compile_rules(read_model(text, Playbook, "playbook", InvalidPlaybook))


def event(number: int, type_: str, hours: float, room: str, who: Any = None, /, **data: Any) -> Event:
    body = {
        "id": str(uuid.UUID(int=number)),
        "type": type_,
        "version": 2 if type_ == "opportunity_won" else 1,
        "source": "crm",
        "occurred_at": (MONDAY + timedelta(hours=hours)).isoformat(),
        "identities": [{"type": key, "value": value} for key, value in (who or {"user_id": "u"}).items()],
        "data": data,
    }
    return decode(msgspec.json.encode(body), room)


def qualified(number: int = 1, hours: float = 0, **who: str) -> Event:
    return event(number, "lead_qualified", hours, "marketing", who or None)


def sales(number: int, type_: str, hours: float, **data: Any) -> Event:
    return event(number, type_, hours, "sales", data.pop("who", None), **data)


def decision(number: int, what: str, hours: float, of: Event | str, **data: Any) -> Event:
    handoff = of if isinstance(of, str) else id_of(of)
    who = data.pop("who", None)
    return event(number, f"handoff_{what}", hours, "joint", who, handoff=handoff, **data)


def id_of(offered: Event, kind: str = "qualified-lead") -> str:
    return str(uuid.UUID(bytes=handoff_id(kind, offered.source, offered.id)))


def micros(hours: float) -> int:
    return int((MONDAY + timedelta(hours=hours)).timestamp() * 1_000_000)


def folded(*events: Event, by: Rules = RULES) -> Workspace:
    return fold_events(events, by)


def handoffs(*events: Event, by: Rules = RULES) -> list[Handoff]:
    [journey] = folded(*events, by=by).journeys.values()
    assert journey.life is not None
    return journey.life.handoffs


def ignored(*events: Event, by: Rules = RULES) -> list[str]:
    [journey] = folded(*events, by=by).journeys.values()
    assert journey.life is not None
    return [one.reason for one in journey.life.ignored]


def test_entering_a_stage_offers_it_once_with_deadlines_in_open_time() -> None:
    [one] = handoffs(qualified(hours=7.5))  # 16:30: half an hour until sales closes
    assert (one.kind, one.team, one.tier, STATES[one.state]) == ("qualified-lead", "sales", "standard", "offered")
    assert one.remind_at == micros(24 + 1.5)
    assert one.touch_due == micros(24 + 3.5)
    assert one.resolution_due == micros(7 * 24 * 2 + 7.5)  # eighty open hours are two weeks


def test_who_has_many_points_is_of_the_hot_tier() -> None:
    booked = [sales(n, "meeting_booked", n - 10) for n in range(10, 14)]  # 30 points each: the fourth makes 120
    [one] = handoffs(*booked)
    assert (one.tier, one.offered_at, one.touch_due) == ("hot", micros(3), micros(4))
    [other] = handoffs(qualified())
    assert other.tier == "standard"


def test_the_clock_stops_while_daylight_saving_takes_an_hour() -> None:
    berlin = rules(
        (
            "  sales:\n    timezone: UTC\n    hours: {mon: [09:00-17:00]",
            "  sales:\n    timezone: Europe/Berlin\n    hours: {sun: [00:00-06:00], mon: [09:00-17:00]",
        )
    )
    sunday = (
        datetime(2026, 3, 29, 0, 0, tzinfo=UTC) - MONDAY
    ).total_seconds() / 3600  # 01:00 in Berlin, before the jump
    [one] = handoffs(qualified(hours=sunday), by=berlin)
    assert one.touch_due == micros(sunday + 4)  # until 06:00 in Berlin: 01:00 to 06:00 are only four hours


def test_a_touch_in_time_meets_the_deadline_and_one_that_comes_late_takes_the_breach_back() -> None:
    missed = [qualified(), sales(2, "lead_accepted", 5, owner="rosa")]
    [one] = handoffs(*missed)
    assert breaches_at(one, micros(5)) == ["first-touch"]
    assert breaches_at(one, micros(3.9)) == []
    [one] = handoffs(*missed, sales(3, "call_logged", 2))
    assert breaches_at(one, micros(999)) == ["resolution"]
    assert (one.owner, STATES[one.state]) == ("rosa", "accepted")
    assert [h.what for h in happenings(one)] == ["offered", "touched", "accepted", "resolution-breached"]


def test_systems_decide_about_the_open_hand_off() -> None:
    accepted = [qualified(), sales(2, "lead_accepted", 1, owner="rosa")]
    assert [STATES[one.state] for one in handoffs(*accepted)] == ["accepted"]
    [one] = handoffs(*accepted, sales(3, "opportunity_opened", 30))
    assert (STATES[one.state], one.since) == ("resolved", micros(30))
    rejected = handoffs(qualified(), sales(2, "lead_rejected", 1, reason="no budget"))
    assert [(one.kind, STATES[one.state], one.note) for one in rejected] == [
        ("qualified-lead", "rejected", "no budget"),
        ("recycled-lead", "offered", None),
    ]


def test_people_decide_about_the_hand_off_that_they_name() -> None:
    offer = qualified()
    [one] = handoffs(offer, decision(2, "accepted", 1, offer, by="rosa", department="sales"))
    assert (STATES[one.state], one.owner, one.touched_at) == ("accepted", "rosa", micros(1))
    [one] = handoffs(offer, decision(2, "rejected", 1, offer, by="rosa", department="sales", reason="spam"))
    assert (STATES[one.state], one.note) == ("rejected", "spam")
    [one] = handoffs(offer, decision(2, "withdrawn", 1, offer, by="mia", department="marketing"))
    assert STATES[one.state] == "withdrawn"
    offered = event(2, "handoff_offered", 1, "joint", handoff="win-back", by="sam", department="sales")
    assert [(one.kind, STATES[one.state]) for one in handoffs(qualified(), offered)][1:] == [("win-back", "offered")]


@pytest.mark.parametrize(
    ("decisions", "reason"),
    [
        ([decision(2, "accepted", 1, "none", by="rosa")], "there is no such hand-off"),
        ([decision(n, "accepted", n, qualified(), by="rosa") for n in (2, 3)], "it was accepted before"),
        ([decision(2, "accepted", 1, qualified(), by="mia", department="marketing")], "it is sales's to decide"),
        ([decision(2, "withdrawn", 1, qualified(), by="sam", department="sales")], "it is marketing's to decide"),
        ([decision(2, "accepted", 24 * 30, qualified(), by="rosa")], "it has expired"),
        (
            [sales(2, "lead_rejected", 1, reason="no"), decision(3, "accepted", 2, qualified(), by="rosa")],
            "it was rejected before",
        ),
        ([event(2, "handoff_offered", 1, "joint", handoff="gift")], "the playbook knows no such kind of hand-off"),
        (
            [event(2, "handoff_offered", 1, "joint", handoff="win-back", department="marketing")],
            "it is sales's to offer",
        ),
    ],
)
def test_a_decision_that_does_not_count_is_kept_with_the_reason(decisions: list[Event], reason: str) -> None:
    assert ignored(qualified(), *decisions) == [reason]
    before = handoffs(qualified(), *decisions[:-1])
    after = handoffs(qualified(), *decisions)
    assert [one for one in after if STATES[one.state] != "expired"] == [
        one for one in before if any(one.id == other.id and STATES[other.state] != "expired" for other in after)
    ]


def test_somebody_outside_the_team_cannot_decide() -> None:
    named = rules(("  sales:\n    timezone: UTC\n", "  sales:\n    timezone: UTC\n    members: [rosa]\n"))
    offer = qualified()
    assert ignored(offer, decision(2, "accepted", 1, offer, by="tariq"), by=named) == ["tariq is not of the team sales"]
    [one] = handoffs(offer, decision(2, "accepted", 1, offer, by="rosa"), by=named)
    assert one.owner == "rosa"


def test_an_offer_that_nobody_accepts_expires_by_time_alone() -> None:
    [journey] = folded(qualified()).journeys.values()
    assert journey.life is not None
    [one] = journey.life.handoffs
    assert STATES[one.state] == "offered"
    assert one.expires_at is not None
    life = copy_of(journey.life)
    advance(life, one.expires_at, RULES)
    assert STATES[life.handoffs[0].state] == "expired"
    view = journey_view(journey, RULES, one.expires_at - 1)
    assert (view.handoffs[0].state, view.handoffs[0].overdue) == ("offered", True)
    assert journey_view(journey, RULES, one.expires_at).handoffs[0].state == "expired"


def test_silence_offers_a_win_back_when_its_time_has_come() -> None:
    won = sales(1, "opportunity_won", 0, amount=5, currency="EUR")
    workspace = folded(won, sales(2, "usage_reported", 1))
    [journey] = workspace.journeys.values()
    assert journey.life is not None
    assert journey.life.handoffs == []
    later = ahead(journey.life, RULES).handoffs
    assert [(one.kind, one.event, time_text(one.offered_at)[:10]) for one in later][:1] == [
        ("win-back", None, "2026-05-01")
    ]
    assert row_of(journey, RULES).handoffs == later
    renewed = [won, sales(2, "usage_reported", 1), sales(3, "contract_renewed", 24 * 65)]
    assert [STATES[one.state] for one in handoffs(*renewed)] == ["resolved"]


def test_falling_usage_puts_a_customer_at_risk() -> None:
    won = sales(1, "opportunity_won", 0, amount=5, currency="EUR")
    used = [sales(2 + n, "usage_reported", 24 * (n + 1), quantity=q, unit="seats") for n, q in enumerate((100, 60, 29))]
    assert [one.kind for one in handoffs(won, *used[:2])] == []
    assert [one.kind for one in handoffs(won, *used)] == ["win-back"]


def test_case_17_two_journeys_with_open_hand_offs_become_one() -> None:
    """Of identity's cases: one survives, the clock keeps the earliest start, the other is superseded."""
    one, other = qualified(1, 0, user_id="u"), qualified(2, 3, email="a@x.org")
    login = event(3, "identified", 5, "marketing", {"user_id": "u", "email": "a@x.org"}, traits={})
    first, second = handoffs(one, other, login)
    assert [STATES[found.state] for found in (first, second)] == ["offered", "superseded"]
    assert second.successor == first.id
    # the one accepted first survives, with the clock of the earlier offer
    taken = decision(4, "accepted", 4, other, by="sam", who={"email": "a@x.org"})
    first, second = handoffs(one, other, login, taken)
    assert [STATES[found.state] for found in (first, second)] == ["superseded", "accepted"]
    assert (second.touch_due, second.offered_at, first.successor) == (micros(4), micros(0), second.id)
    # whoever accepted the other one is told of as well
    both = decision(5, "accepted", 4.5, one, by="rosa")
    first, second = handoffs(one, other, login, taken, both)
    assert (second.owner, second.rival) == ("sam", "rosa")
    assert "owner-conflict" in [found.what for found in happenings(second)]
    assert ignored(one, other, login, taken, both) == ["another one took its place"]


def test_the_rules_are_checked() -> None:
    for old, new, said in (
        ("team: sales\n", "team: nobody\n", "no team is named 'nobody'"),
        ("accept: [lead_accepted]", "accept: [page_viewed]", "'page_viewed' is kept by the day"),
        ("remind: 30m, first_touch: 1h", "remind: 2h, first_touch: 1h", "'remind' must come before 'first_touch'"),
        ("remind: 30m", "remind: 30", "'30' is no span" if False else "string"),
        ("    to: sales\n    team: sales", "    to: marketing\n    team: sales", "cannot give it to itself"),
        ("stages: [marketing-qualified], events", "stages: [qualified], events", "no stage is named 'qualified'"),
        ("- name: recycled-lead", "- name: win-back", "'win-back' stands twice"),
        ("{name: customers,", "{name: nurture,", "'nurture' stands twice"),
        ("name: nurture, stages: [known", "name: nurture, stages: [unknown", "no stage is named 'unknown'"),
    ):
        assert TEXT.count(old) >= 1, old
        with pytest.raises(InvalidPlaybook, match=said) as error:
            read_model(TEXT.replace(old, new, 1), Playbook, "playbook", InvalidPlaybook)
        assert "line" in str(error.value)


# A model that is as simple as can be: one kind, one person, teams that never close, deadlines by addition.

_OPEN = rules(
    (
        "  sales:\n    timezone: UTC\n    hours: {mon: [09:00-17:00], tue: [09:00-17:00], wed: [09:00-17:00], "
        "thu: [09:00-17:00], fri: [09:00-17:00]}",
        "  sales:\n    timezone: UTC\n    hours: {mon: [00:00-24:00], tue: [00:00-24:00], wed: [00:00-24:00], "
        "thu: [00:00-24:00], fri: [00:00-24:00], sat: [00:00-24:00], sun: [00:00-24:00]}",
    )
)
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["lead_qualified", "call_logged", "lead_accepted", "lead_rejected", "lead_recycled"]),
        st.integers(0, 200),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda step: step[1],
)


class _Told(NamedTuple):
    state: str
    touched: int | None
    breaches: list[str]


def _naively(steps: list[tuple[str, int]], at: int) -> list[_Told]:
    """Hours count from the first; the tier is always the standard one: 4 h, 80 h, expires after 80 h."""
    found: list[dict[str, Any]] = []
    for type_, hour in sorted(steps, key=lambda step: step[1]):
        _expire(found, hour)
        current = next((one for one in found if one["state"] in ("offered", "accepted")), None)
        if type_ == "lead_qualified":
            state = "offered" if current is None else "superseded"
            found.append({"state": state, "at": hour, "touched": None, "ended": None if state == "offered" else hour})
        elif current is not None:
            if current["touched"] is None:
                current["touched"] = hour
            if type_ == "lead_accepted" and current["state"] == "offered":
                current["state"] = "accepted"
            elif type_ in ("lead_rejected", "lead_recycled"):
                rejected = type_ == "lead_rejected" and current["state"] == "offered"
                if rejected or type_ == "lead_recycled" or current["state"] == "accepted":
                    current["state"] = "rejected" if type_ == "lead_rejected" else "resolved"
                    current["ended"] = hour
    _expire(found, at)
    return [_Told(one["state"], one["touched"], _missed(one, at)) for one in found]


def _expire(found: list[dict[str, Any]], hour: int) -> None:
    for one in found:
        if one["state"] == "offered" and one["at"] + 80 <= hour:
            one["state"], one["ended"] = "expired", one["at"] + 80


def _missed(one: dict[str, Any], at: int) -> list[str]:
    if one["state"] == "superseded":
        return []
    missed = []
    done = [hour for hour in (one["touched"], one["ended"]) if hour is not None]
    for name, due, met in (
        ("first-touch", 4, done),
        ("resolution", 80, [one["ended"]] if one["ended"] is not None else []),
    ):
        if one["at"] + due <= at and all(hour > one["at"] + due for hour in met):
            missed.append(name)
    return missed


@settings(max_examples=1_000)
@given(_STEPS, st.integers(0, 400))
def test_hand_offs_are_what_the_simplest_model_says(steps: list[tuple[str, int]], at: int) -> None:
    owners = {"lead_qualified": "marketing"}
    more = {"lead_rejected": {"reason": "no"}, "lead_recycled": {"reason": "later"}}
    # in a stage that rejects nothing, so that stages offer nothing beside the events
    events = [
        event(n + 1, type_, hour, owners.get(type_, "sales"), None, **more.get(type_, {}))
        for n, (type_, hour) in enumerate(steps)
    ]
    at = max(at, *(hour for _, hour in steps))
    [journey] = folded(*events, by=_OPEN).journeys.values()
    assert journey.life is not None
    life = copy_of(journey.life)
    advance(life, micros(at), _OPEN)
    leads = [one for one in life.handoffs if one.kind == "qualified-lead"]
    told = [
        _Told(
            STATES[one.state],
            None if one.touched_at is None else (one.touched_at - micros(0)) // 3_600_000_000,
            breaches_at(one, micros(at)),
        )
        for one in leads
    ]
    assert told == _naively(steps, at)
    assert life.open_handoffs == copy_of(life).open_handoffs, "what is kept on the way is what a search finds"


_DECISIONS = st.lists(
    st.tuples(
        st.sampled_from(["accepted", "rejected", "withdrawn"]),
        st.integers(0, 3),  #: which offer; the last there never was
        st.sampled_from(["marketing", "sales"]),
        st.sampled_from(["rosa", "sam"]),
        st.integers(1, 90),  #: hours since the one before
    ),
    min_size=1,
    max_size=5,
)


@given(st.lists(st.integers(0, 200), max_size=3), _DECISIONS, st.booleans())
def test_what_the_api_would_refuse_is_what_the_fold_ignores(offers: list[int], decided: Any, in_team: bool) -> None:
    """The one rule, asked at the time of each decision; several offers of a kind supersede each other."""
    by = (
        rules(("  sales:\n    timezone: UTC\n", "  sales:\n    timezone: UTC\n    members: [rosa]\n"))
        if in_team
        else RULES
    )
    history = [qualified(n + 1, hours) for n, hours in enumerate(offers)]
    history = history or [event(1, "lead_captured", 0, "marketing")]
    now = max(offers, default=0)
    for number, (what, which, department, who, pause) in enumerate(decided):
        now += pause
        offered = qualified(which + 1)
        taken = decision(100 + number, what, now, offered, department=department, by=who, **_why(what))
        [journey] = folded(*history, by=by).journeys.values()
        assert journey.life is not None
        life = copy_of(journey.life)
        advance(life, micros(now), by)
        asked = Decision(id_of(offered), f"handoff_{what}", department, who)
        reason = objection(life.handoffs, asked, by.at(micros(now)).handoffs)
        history.append(taken)
        [journey] = folded(*history, by=by).journeys.values()
        assert journey.life is not None
        assert {one.id: one.reason for one in journey.life.ignored}.get(taken.id) == reason


def _why(what: str) -> dict[str, str]:
    return {"reason": "no budget"} if what == "rejected" else {}


def test_a_superseded_offer_that_somebody_accepts_too_late_does_not_count() -> None:
    first, second = qualified(1, 0), qualified(2, 1)
    accepted = decision(3, "accepted", 2, first, by="rosa", department="sales")
    [journey] = folded(first, second, accepted).journeys.values()
    assert journey.life is not None
    asked = Decision(id_of(second), "handoff_accepted", "sales", "sam")
    assert objection(journey.life.handoffs, asked, RULES.at(micros(3)).handoffs) == "another one took its place"
