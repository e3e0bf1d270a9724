"""The hard cases of identity by their numbers in docs/identity.md, in every order of their events."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

import projections.identity.workspace as workspace_module
from projections.fold import subject_of
from projections.identifiers import normalise
from projections.identity.regroup import regroup
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.journey.membership import memberships
from projections.memory import MemoryFold, fold_events
from projections.playbook.model import Excluded, Rules, compile_rules, load_playbook
from projections.playbook.terms import DAY
from projections.views.journey import journey_view
from schemas.decode import decode
from schemas.event import Event
from schemas.rejection import Rejection
from tests.support import RULES, body


def event(number: int, type_: str = "page_viewed", **more: Any) -> Event:
    owner = more.pop("owner", "marketing")
    return decode(body(number, type_, **more), owner)


def persons(events: list[Event]) -> list[Journey]:
    """The journeys of these events, after making sure that their order is irrelevant."""
    states = []
    for order in itertools.permutations(events):
        journeys = fold_events(order, RULES).journeys
        states.append({journey_id: journey.encode() for journey_id, journey in journeys.items()})
    assert all(state == states[0] for state in states)
    return sorted(fold_events(events, RULES).journeys.values(), key=lambda journey: -journey.events)


def values(journey: Journey) -> set[str]:
    return {known.value for known in journey.identifiers.values()}


def test_case_1_a_device_s_past_joins_the_user_who_logs_in() -> None:
    device = {"anonymous_id": "d"}
    [journey] = persons([event(0, who=device), event(1, who=device), event(2, who={**device, "user_id": "u"})])
    assert (journey.events, values(journey)) == (3, {"d", "u"})


def test_case_5_a_second_user_id_on_one_address_is_a_conflict_and_no_merge() -> None:
    one, two = {"user_id": "u1", "email": "a@b.org"}, {"user_id": "u2", "email": "a@b.org"}
    first, second = sorted(persons([event(0, who=one), event(1, who=two)]), key=lambda j: sorted(values(j)))
    assert (values(first), values(second)) == ({"u1", "a@b.org"}, {"u2"})
    assert [link.refused for link in first.refused] == ["user_id"]
    assert first.component == second.component is not None


@pytest.mark.parametrize(
    "junk",
    [
        *("null", "NULL", "0", "-1", "undefined", "anonymous", "N/A", "test", " ", "[object Object]"),
        *("00000000-0000-0000-0000-000000000000", "000000"),
    ],
)
def test_case_6_junk_ids_name_nobody(junk: str) -> None:
    with pytest.raises(Rejection, match="missing_identity"):
        subject_of(event(0, who={"user_id": junk}), RULES)
    one, two = {"user_id": junk, "email": "a@b.org"}, {"user_id": junk, "email": "c@d.org"}
    assert [values(journey) for journey in persons([event(0, who=one), event(1, who=two)])] == [
        {"a@b.org"},
        {"c@d.org"},
    ]


def test_case_8_one_address_in_many_spellings() -> None:
    spellings = ["Ada@Example.ORG", "  ada@example.org ", "ada@example.org"]
    [journey] = persons([event(n, who={"email": text}) for n, text in enumerate(spellings)])
    assert journey.events == 3
    assert normalise("email", "ada@bücher.example") == normalise("email", "ada@xn--bcher-kva.example")
    assert normalise("email", "ju\u0308rgen@a.org") == normalise("email", "j\u00fcrgen@a.org")
    assert len(persons([event(0, who={"email": "a+x@b.org"}), event(1, who={"email": "a@b.org"})])) == 2
    assert len(persons([event(0, who={"email": "a.b@c.org"}), event(1, who={"email": "ab@c.org"})])) == 2


def test_case_9_one_number_in_many_spellings() -> None:
    spellings = ["+49 30 901820", "+4930901820", "+49 (0)30-901820"]
    [journey] = persons([event(n, who={"phone": text}) for n, text in enumerate(spellings)])
    assert values(journey) == {"+4930901820"}
    found = normalise("phone", "030 901820", "DE")
    assert found is not None
    assert found.value == "+4930901820"
    assert normalise("phone", "call me") is None
    assert normalise("phone", "030 901820") is None


def test_case_10_numbers_and_their_texts() -> None:
    assert len(persons([event(0, who={"user_id": 42}), event(1, who={"user_id": "42"})])) == 1
    spellings = [42, "42.0", "042"]
    assert len(persons([event(n, who={"user_id": value}) for n, value in enumerate(spellings)])) == 3


def test_case_11_a_link_before_either_side_was_seen() -> None:
    link = event(0, "identified", who={"user_id": "u", "anonymous_id": "d"})
    [journey] = persons([link, event(1, who={"user_id": "u"}), event(2, who={"anonymous_id": "d"})])
    assert journey.events == 3


def test_case_12_links_in_a_circle() -> None:
    ring = [("email", "a@b.org", "anonymous_id", "d1"), ("user_id", "u", "anonymous_id", "d1")]
    ring += [("user_id", "u", "anonymous_id", "d2"), ("email", "a@b.org", "anonymous_id", "d2")]
    events = [event(n, "identified", who={a: x, b: y}) for n, (a, x, b, y) in enumerate(ring)]
    [journey] = persons(events)
    first = normalise("email", "a@b.org")
    assert first is not None
    assert journey.journey_id == first.key
    assert values(journey) == {"a@b.org", "u", "d1", "d2"}


def test_case_14_two_links_in_either_order_give_one_id() -> None:
    left = event(1, "identified", who={"user_id": "u", "anonymous_id": "d1"})
    right = event(1_000, "identified", who={"user_id": "u", "anonymous_id": "d2"})
    [journey] = persons([left, right, event(0, who={"anonymous_id": "d2"})])
    first = normalise("anonymous_id", "d2")
    assert first is not None
    assert journey.journey_id == first.key


def test_case_15_the_same_link_again_changes_nothing() -> None:
    who = {"user_id": "u", "anonymous_id": "d"}
    [once] = persons([event(0, "identified", who=who)])
    [twice] = persons([event(0, "identified", who=who), event(1, "identified", who=who)])
    assert (once.journey_id, once.identifiers.keys(), once.links) == (
        twice.journey_id,
        twice.identifiers.keys(),
        twice.links,
    )


def test_case_34_null_deletes_missing_keeps_empty_is_a_value() -> None:
    who = {"user_id": "u"}
    told = [{"plan": "pro", "city": "Rome", "job": "x"}, {"plan": None, "job": ""}]
    [journey] = persons([event(n, "identified", who=who, data={"traits": traits}) for n, traits in enumerate(told)])
    assert journey_view(journey, RULES, 0).traits == {"city": "Rome", "job": ""}


# Shared devices, rulings, claims, companies: cases 2 to 35 that are about more than one event's identifiers.


def at(minutes: int, day: int = 1) -> str:
    return f"2026-01-{day + minutes // 1440:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:00Z"


def joint(number: int, type_: str, *pairs: tuple[str, str], minutes: int = 0, day: int = 20) -> Event:
    identities = [{"type": name, "value": value} for name, value in pairs]
    return decode(body(number, type_, identities=identities, occurred_at=at(minutes, day), data={}), "joint")


def the(events: list[Event], value: str, rules: Rules = RULES) -> Journey:
    """The journey of an identifier's value."""
    [found] = [j for j in fold_events(events, rules).journeys.values() if value in values(j)]
    return found


def test_case_2_two_users_of_one_device_stay_two() -> None:
    events = [event(0, who={"user_id": "A", "anonymous_id": "ipad"}, occurred_at=at(0))]
    events += [event(1, who={"user_id": "B", "anonymous_id": "ipad"}, occurred_at=at(0, 2))]
    events += [event(2, who={"anonymous_id": "ipad"}, occurred_at=at(0, 3))]
    assert {frozenset(values(journey)) for journey in persons(events)} == {
        *(frozenset({"A"}), frozenset({"B"}), frozenset({"ipad"}))
    }
    assert {link.refused for link in the(events, "A").refused} == {"contested"}


def test_case_3_on_a_contested_device_who_names_nobody_is_nobody() -> None:
    events = [event(0, who={"user_id": "A", "anonymous_id": "ipad"}, occurred_at=at(0))]
    events += [event(1, who={"user_id": "B", "anonymous_id": "ipad"}, occurred_at=at(0, 2))]
    stray = [event(n, who={"anonymous_id": "ipad"}, occurred_at=at(0, n)) for n in (3, 4)]
    persons([*events, *stray])
    assert the([*events, *stray], "ipad").events == 2
    # a login in the same session takes the session along, whenever it is reported
    late = event(5, who={"user_id": "A", "anonymous_id": "ipad"}, occurred_at=at(10, 4))
    persons([*events, *stray, late])
    assert the([*events, *stray, late], "ipad").events == 1
    assert the([*events, *stray, late], "A").events == 3


def test_case_4_only_the_session_of_the_login_attaches() -> None:
    ipad = {"anonymous_id": "ipad"}
    events = [event(0, who={"user_id": "A", **ipad}, occurred_at=at(0))]
    events += [event(1, who=ipad, occurred_at=at(0, 2)), event(2, who=ipad, occurred_at=at(40, 2))]
    events += [event(3, who=ipad, occurred_at=at(70, 2)), event(4, who={"user_id": "B", **ipad}, occurred_at=at(99, 2))]
    persons(events)
    assert the(events, "B").events == 3  # 40 and 70 minutes: no pause is longer than 30 minutes
    assert the(events, "ipad").events == 1


def test_case_4_two_people_in_one_session_leave_it_to_the_device() -> None:
    ipad = {"anonymous_id": "ipad"}
    events = [event(0, who={"user_id": "A", **ipad}, occurred_at=at(0)), event(1, who=ipad, occurred_at=at(5))]
    events += [event(2, who={"user_id": "B", **ipad}, occurred_at=at(9))]
    persons(events)
    assert [the(events, who).events for who in ("A", "B", "ipad")] == [1, 1, 1]


def test_case_7_an_id_that_too_many_share_is_quarantined_and_released() -> None:
    rules = replace(RULES, breaker=4)
    kiosk = {"anonymous_id": "kiosk"}
    events = [event(n, who={"user_id": f"u{n}", **kiosk}, occurred_at=at(n)) for n in range(6)]
    alone = event(10, who=kiosk, occurred_at=at(3))
    workspace = fold_events([*events, alone], rules)
    shuffled = fold_events([alone, *reversed(events)], rules)
    assert {j.journey_id: j.encode() for j in workspace.journeys.values()} == {
        j.journey_id: j.encode() for j in shuffled.journeys.values()
    }
    key = normalise("anonymous_id", "kiosk")
    assert key is not None
    assert workspace.register.quarantined == {key.key}
    entry = the([*events, alone], "kiosk", rules)
    assert (entry.events, entry.links) == (0, {})
    assert all(the(events, f"u{n}", rules).events == 1 for n in range(6))
    # released: from then on the kiosk is a new device without links
    release = joint(20, "identifier_released", ("anonymous_id", "kiosk"), minutes=60, day=1)
    after = [event(21, who={"user_id": "u1", **kiosk}, occurred_at=at(70)), event(22, who=kiosk, occurred_at=at(71))]
    assert the([*events, alone, release, *after], "u1", rules).events == 3
    orders = [[*events, alone, release, *after], [*after, release, alone, *events], [release, *after, *events, alone]]
    states = [{j.journey_id: j.encode() for j in fold_events(order, rules).journeys.values()} for order in orders]
    assert states[0] == states[1] == states[2]


def same_in_orders(rules: Rules, *orders: list[Event]) -> Workspace:
    """The fold of these events, after making sure that all of these orders give the same bytes."""
    workspaces = [fold_events(order, rules) for order in orders]
    states = [{j.journey_id: j.encode() for j in workspace.journeys.values()} for workspace in workspaces]
    assert all(state == states[0] for state in states)
    return workspaces[0]


def test_case_7_a_late_release_finds_what_was_tied_by_two_identifiers_in_quarantine() -> None:
    rules = replace(RULES, breaker=3)
    crowd = [event(n, who={"crm_contact": "c", "email": f"e{n}@b.org"}, occurred_at=at(n)) for n in range(4)]
    crowd += [event(10 + n, who={"user_id": f"u{n}", "anonymous_id": "d"}, occurred_at=at(5)) for n in range(4)]
    # both ends are in quarantine when this one comes: no journey has the link
    between = event(20, who={"crm_contact": "c", "anonymous_id": "d"}, occurred_at=at(20))
    release = joint(21, "identifier_released", ("anonymous_id", "d"), minutes=10, day=1)
    workspace = same_in_orders(rules, [*crowd, between, release], [release, between, *crowd])
    # what names c alone counts for nobody; what names the new d, for it
    assert sum(journey.events for journey in workspace.journeys.values()) == 5


def test_case_7_a_stronger_word_on_a_link_counts_though_quarantine_came_first() -> None:
    rules = replace(RULES, breaker=3)
    both = [{"type": "user_id", "value": value} for value in ("u1", "u2")]
    devices = [{"type": "anonymous_id", "value": value} for value in ("d1", "d2")]
    events = [
        event(0, identities=devices, occurred_at=at(5)),
        event(1, who={"user_id": "u1", "anonymous_id": "d2"}, occurred_at=at(1)),
        event(2, identities=[*both, *devices], occurred_at=at(2)),
        event(3, who={"crm_lead": "l", "user_id": "u1"}, occurred_at=at(5)),
        event(4, who={"email": "c@y.org", "anonymous_id": "d1"}, occurred_at=at(6)),
    ]
    workspace = same_in_orders(rules, *itertools.permutations(events))
    [user] = workspace.register.quarantined
    [d2] = [key for key, known in the(events, "d2", rules).identifiers.items() if known.value == "d2"]
    assert the(events, "d2", rules).links[user, d2].id == events[1].id


def test_case_7_a_ruling_ties_nobody_to_what_is_in_quarantine() -> None:
    """The split leaves c2 alone, but tied to u2 by the join; then too many are linked to u2."""
    three = [("crm_contact", "c2"), ("anonymous_id", "d2"), ("user_id", "u2")]
    crowd = [("user_id", "u2"), ("anonymous_id", "d3"), ("anonymous_id", "d2"), ("phone", "+5511987654321")]
    events = [
        joint(3, "identity_joined", *three, day=1),
        event(1, "call_logged", owner="sales", who={"crm_contact": "c2"}, data={}, occurred_at=at(5)),
        joint(2, "identity_split", *three[:2], day=1, minutes=5),
        event(4, identities=[{"type": name, "value": value} for name, value in crowd], occurred_at=at(5)),
        event(5, who={"user_id": "u2", "anonymous_id": "d1"}, occurred_at=at(5)),
    ]
    fold = MemoryFold(Workspace(replace(RULES, breaker=3)))
    ties = []
    for one in events:
        fold.add(one)
        fold.workspace.harvest()
        ties.append({journey.component is not None for journey in fold.workspace.journeys.values()})
    assert ties[-2:] == [{True}, {False}]


def test_case_7_what_names_a_quarantined_user_counts_for_the_device() -> None:
    rules = replace(RULES, breaker=3)
    events = [event(n, who={"user_id": "admin", "anonymous_id": f"d{n}"}, occurred_at=at(n)) for n in range(5)]
    assert [the(events, f"d{n}", rules).events for n in range(5)] == [1] * 5
    assert the(events, "admin", rules).events == 0


def test_case_13_a_late_login_joins_and_as_of_before_it_there_are_two() -> None:
    past = [event(0, who={"anonymous_id": "d"}, occurred_at=at(0)), event(1, who={"user_id": "u"}, occurred_at=at(1))]
    login = event(2, who={"anonymous_id": "d", "user_id": "u"}, occurred_at=at(5))
    assert len(persons([*past, login])) == 1
    assert len(persons([one for one in [*past, login] if one.occurred_at < login.occurred_at])) == 2


def test_case_16_merged_histories_are_stepped_through_in_order_of_time() -> None:
    lead = {"email": "a@b.org"}
    events = [event(0, "lead_qualified", who={"anonymous_id": "d"}, occurred_at=at(30), data={})]
    events += [event(1, "lead_accepted", owner="sales", who=lead, occurred_at=at(20), data={})]
    events += [event(2, "email_clicked", who={**lead, "anonymous_id": "d"}, occurred_at=at(40), data={})]
    [journey] = persons(events)
    view = journey_view(journey, RULES, journey.last_seen)
    # accepted at 20 minutes, before it was qualified at 30: the history says so, and the stage is the furthest
    assert [(entry.stage, entry.at[11:16]) for entry in view.history][-1] == ("sales-accepted", "00:20")
    assert "sales-accepted-before-marketing-qualified" in view.flags


def test_case_18_a_merge_is_no_news() -> None:
    """The seam for automations: journeys say that what they have was in another one before."""
    workspace = Workspace(RULES)
    for number, who in enumerate([{"user_id": "u"}, {"anonymous_id": "d"}]):
        MemoryFold(workspace).add(event(number, who=who))
    workspace.harvest()
    assert [journey.inherited for journey in workspace.journeys.values()] == [None, None]
    MemoryFold(workspace).add(event(3, who={"user_id": "u", "anonymous_id": "d"}))
    [journey] = workspace.harvest().touched
    assert journey.inherited is not None


def test_case_18_what_a_session_gives_to_its_person_is_news_unless_it_was_stored_elsewhere() -> None:
    fold = MemoryFold(Workspace(RULES))
    ipad = {"anonymous_id": "ipad"}
    for number, user in enumerate("AB"):
        fold.add(event(number, who={"user_id": user, **ipad}, occurred_at=at(0, number + 1)))
    fold.workspace.harvest()

    def changed(number: int, minutes: int, **who: str) -> dict[frozenset[str], bool]:
        fold.add(event(number, who={**who, **ipad}, occurred_at=at(minutes, 5)))
        touched = fold.workspace.harvest().touched
        found = {frozenset(values(journey)): journey.inherited is not None for journey in touched}
        for journey in touched:
            journey.inherited = None  # as the projector does when it has told
        return found

    a, tablet = frozenset({"A"}), frozenset({"ipad"})
    assert changed(2, 0) == {tablet: False}  # somebody browses
    assert changed(3, 5, user_id="A") == {a: True, tablet: True}  # it was A: what was browsed moves
    assert changed(4, 9) == {a: False, tablet: False}  # A goes on browsing: news of A's, and the tablet was seen


def test_many_links_of_one_batch_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []
    monkeypatch.setattr(workspace_module, "regroup", lambda *args, **more: (judged.append(1), regroup(*args, **more)))
    fold = MemoryFold(Workspace(RULES))
    for number in range(60):
        who = {"user_id": f"u{number % 30}", "anonymous_id": f"ipad{number % 3}"}
        fold.add(event(number, who=who, occurred_at=at(number * 40)))
    fold.workspace.harvest()
    assert len(judged) == 3  # ten users on each of three tablets


def test_case_19_a_split_gives_back_the_bytes_from_before_the_join() -> None:
    one, other = {"user_id": "u1", "email": "a@b.org"}, {"user_id": "u2", "email": "c@d.org"}
    events = [event(0, who=one), event(1, who=other), event(2, "form_submitted", who=one, data={"form": "f"})]
    before = {j.journey_id: j.encode() for j in fold_events(events, RULES).journeys.values()}
    join = joint(8, "identity_joined", ("user_id", "u1"), ("user_id", "u2"))
    split = joint(9, "identity_split", ("user_id", "u1"), ("user_id", "u2"), minutes=1)
    [joined] = persons([*events, join])
    assert values(joined) == {"u1", "u2", "a@b.org", "c@d.org"}
    for order in itertools.permutations([*events, join, split]):
        assert {j.journey_id: j.encode() for j in fold_events(order, RULES).journeys.values()} == before


def test_case_19_a_split_parts_a_device_from_a_person() -> None:
    who = {"user_id": "u", "anonymous_id": "d"}
    events = [event(0, who=who), event(1, who={"anonymous_id": "d"})]
    split = joint(9, "identity_split", ("user_id", "u"), ("anonymous_id", "d"))
    assert {frozenset(values(journey)) for journey in persons([*events, split])} == {frozenset({"u"}), frozenset({"d"})}
    assert [link.refused for link in the([*events, split], "u").refused] == ["split"]


def test_case_20_a_limit_is_refused_loudly() -> None:
    rules = replace(RULES, limits={**RULES.limits, "email": 2})
    events = [event(n, who={"user_id": "u", "email": f"a{n}@b.org"}, occurred_at=at(n)) for n in range(3)]
    assert [link.refused for link in the(events, "u", rules).refused] == ["email"]
    assert sum(j.events for j in fold_events(events, rules).journeys.values()) == 3


def test_case_21_a_window_counts_by_event_time() -> None:
    rules = replace(RULES, limits={**RULES.limits, "anonymous_id": 2}, windows={"anonymous_id": 7 * DAY})
    days = [1, 2, 10, 11]
    events = [
        event(n, who={"user_id": "u", "anonymous_id": f"d{day}"}, occurred_at=at(0, day)) for n, day in enumerate(days)
    ]
    assert values(the(events, "u", rules)) == {"u", "d1", "d2", "d10", "d11"}
    late = event(9, who={"user_id": "u", "anonymous_id": "d3"}, occurred_at=at(0, 3))
    assert values(the([*events, late], "u", rules)) == {"u", "d1", "d2", "d10", "d11"}
    assert [link.refused for link in the([*events, late], "d3", rules).refused] == ["anonymous_id"]


def test_case_22_other_limits_are_another_playbook() -> None:
    events = [event(n, who={"user_id": "u", "email": f"a{n}@b.org"}, occurred_at=at(n)) for n in range(2)]
    strict = load_playbook()
    strict = strict.model_copy(update={"identity": strict.identity.model_copy(update={"limits": {"email": 1}})})
    assert compile_rules(strict).digest != RULES.digest  # begin_projection refuses to mix the two
    assert len(fold_events(events, RULES).journeys) == 1
    assert len(fold_events(events, compile_rules(strict)).journeys) == 2


def test_case_26_a_company_domain_is_an_account_and_never_a_person() -> None:
    events = [event(n, who={"email": f"{name}@acme.example"}) for n, name in enumerate(("ana", "bob"))]
    assert [memberships(journey, RULES)[0][0:4:3] for journey in persons(events)] == [("acme.example", True)] * 2
    assert memberships(the([event(0, who={"email": "a@gmail.com"})], "a@gmail.com"), RULES) == []


def test_case_27_who_changes_company_leaves_the_past_there() -> None:
    def won(number: int, account: str, day: int) -> Event:
        who = [{"type": "crm_contact", "value": "c"}, {"type": "account", "value": account}]
        data = {"amount": day * 100, "currency": "EUR"}
        more = {"identities": who, "occurred_at": at(0, day), "data": data, "version": 2}
        return decode(body(number, "opportunity_won", **more), "sales")

    [journey] = persons([won(0, "old", 1), won(1, "new", 5), won(2, "new", 9)])
    stays = [(stay.account, stay.until is None, stay.value) for stay in memberships(journey, RULES)]
    assert stays == [("old", False, {"EUR": 100}), ("new", True, {"EUR": 1400})]


def test_case_28_a_conversion_links_lead_contact_and_account() -> None:
    who = {"crm_lead": "l", "crm_contact": "c", "account": "acme"}
    converted = event(1, "lead_converted", owner="sales", who=who, data={"opportunity": "o1"})
    [journey] = persons([event(0, "lead_accepted", owner="sales", who={"crm_lead": "l"}, data={}), converted])
    assert values(journey) == {"l", "c"}
    assert [stay.account for stay in memberships(journey, RULES)] == ["acme"]


def test_case_29_merged_contacts_are_one_and_both_ids_stay() -> None:
    events = [event(n, "call_logged", owner="sales", who={"crm_contact": f"c{n}"}, data={}) for n in (1, 2)]
    merge = [{"type": "crm_contact", "value": "c1"}, {"type": "crm_contact", "value": "c2"}]
    merged = event(3, "contacts_merged", owner="sales", identities=merge, data={})
    [journey] = persons([*events, merged])
    assert values(journey) == {"c1", "c2"}
    assert journey.events == 3


def test_case_30_a_form_does_not_join_a_known_person_and_a_click_does() -> None:
    known = [event(0, who={"user_id": "u", "email": "a@b.org"}, occurred_at=at(0))]
    form = event(
        1, "form_submitted", who={"email": "a@b.org", "anonymous_id": "x"}, occurred_at=at(5), data={"form": "f"}
    )
    assert {frozenset(values(j)) for j in persons([*known, form])} == {frozenset({"u", "a@b.org"}), frozenset({"x"})}
    assert the([*known, form], "x").events == 1
    assert [link.refused for link in the([*known, form], "u").refused] == ["claim"]
    click = event(2, "email_clicked", who={"email": "a@b.org", "anonymous_id": "x"}, occurred_at=at(9), data={})
    assert len(persons([*known, form, click])) == 1
    # who was not known before may say who they are
    first = event(
        3, "form_submitted", who={"email": "n@b.org", "anonymous_id": "y"}, occurred_at=at(5), data={"form": "f"}
    )
    later = event(4, who={"user_id": "n", "email": "n@b.org"}, occurred_at=at(60))
    assert len(persons([first, later])) == 1


def test_case_30_a_form_does_not_tie_an_address_of_its_own_to_a_known_person() -> None:
    victim = [event(0, who={"user_id": "v", "email": "victim@b.org"}, occurred_at=at(0))]
    emails = [{"type": "email", "value": value} for value in ("attacker@b.org", "victim@b.org")]
    device = {"type": "anonymous_id", "value": "d"}
    form = event(1, "form_submitted", identities=[device, *emails], occurred_at=at(5), data={"form": "f"})
    phone = {"email": "victim@b.org", "phone": "+4930901820"}
    call_me = event(2, "form_submitted", who=phone, occurred_at=at(6), data={"form": "f"})
    click = event(3, "email_clicked", who={"email": "attacker@b.org", "anonymous_id": "d"}, occurred_at=at(9), data={})
    assert {frozenset(values(journey)) for journey in persons([*victim, form, call_me, click])} == {
        frozenset({"v", "victim@b.org"}),
        frozenset({"attacker@b.org", "d"}),
        frozenset({"+4930901820"}),
    }
    # the number is theirs once a login says so, too
    login = event(4, who={"user_id": "v", "phone": "+4930901820"}, occurred_at=at(60))
    assert values(the([*victim, call_me, login], "v")) == {"v", "victim@b.org", "+4930901820"}
    # who was not known may give address and number in one form
    assert len(persons([call_me, event(5, who={"user_id": "n", "email": "victim@b.org"}, occurred_at=at(60))])) == 1


def test_case_31_a_recycled_user_id_is_somebody_else() -> None:
    events = [event(0, who={"user_id": "7", "email": "ana@b.org"}, occurred_at=at(0, 1))]
    events += [joint(1, "identifier_released", ("user_id", "7"), day=3)]
    events += [event(2, who={"user_id": "7", "email": "bob@b.org"}, occurred_at=at(0, 5))]
    assert {frozenset(values(journey)) for journey in persons(events)} == {
        frozenset({"7", "ana@b.org"}),
        frozenset({"7", "bob@b.org"}),
    }


def test_case_32_excluded_events_are_nobody_s() -> None:
    book = load_playbook()
    identity = book.identity.model_copy(update={"exclude": Excluded(sources=["robot"], identifiers=["email:*@us.org"])})
    rules = compile_rules(book.model_copy(update={"identity": identity}))
    assert subject_of(event(0, who={"email": "me@us.org"}), rules) is None
    assert subject_of(event(0, who={"email": "me@us.org"}, source="robot"), RULES) is not None
    assert subject_of(event(0, who={"email": "ana@b.org"}, source="robot"), rules) is None
    assert subject_of(event(0, who={"email": "ana@b.org"}), rules) is not None


def test_case_33_a_trait_has_the_playbook_s_rule_and_keeps_the_losers() -> None:
    def says(number: int, source: str, traits: dict[str, Any]) -> Event:
        more = {"source": source, "occurred_at": at(number), "data": {"traits": traits}}
        return event(number, "identified", who={"user_id": "u"}, **more)

    events = [says(0, "web", {"plan": "free", "origin": "ad"}), says(1, "crm", {"plan": "pro", "origin": "fair"})]
    events += [says(2, "web", {"plan": "trial"})]
    rules = replace(RULES, first_traits=frozenset({"origin"}), trait_sources={"plan": ("crm",)})
    [journey] = persons(events)
    assert journey_view(journey, RULES, 0).traits == {"plan": "trial", "origin": "fair"}
    [journey] = fold_events(events, rules).journeys.values()
    view = journey_view(journey, rules, 0)
    assert view.traits == {"plan": "pro", "origin": "ad"}
    told = [(word.value, word.event.source, word.holds) for word in view.trait_sources["plan"]]
    assert told == [("pro", "crm", True), ("trial", "web", False)]


def test_case_35_two_deployments_share_nothing() -> None:
    here = fold_events([event(0, who={"user_id": "u", "email": "a@b.org"})], RULES)
    there = fold_events([event(0, who={"user_id": "u"})], RULES)
    assert [values(journey) for journey in here.journeys.values()] == [{"u", "a@b.org"}]
    assert [values(journey) for journey in there.journeys.values()] == [{"u"}]
