"""The hard cases of identity by their numbers in docs/identity.md, in every order of their events."""

import itertools
from typing import Any

import pytest

from projections.fold import subject_of
from projections.identifiers import normalise
from projections.journey import Journey
from projections.memory import fold_events
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
    assert (once.journey_id, once.identifiers, once.links) == (twice.journey_id, twice.identifiers, twice.links)


def test_case_34_null_deletes_missing_keeps_empty_is_a_value() -> None:
    who = {"user_id": "u"}
    told = [{"plan": "pro", "city": "Rome", "job": "x"}, {"plan": None, "job": ""}]
    [journey] = persons([event(n, "identified", who=who, data={"traits": traits}) for n, traits in enumerate(told)])
    assert {name: fact.value for name, fact in journey.current("trait").items()} == {
        "plan": None,
        "city": "Rome",
        "job": "",
    }
