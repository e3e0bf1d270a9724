"""What commands print of answers from which a window has left fields out."""

import uuid
from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cli.commands.handoffs import print_handoff
from cli.commands.journeys import journeys
from cli.errors import UserError
from cli.options import time_of
from cli.render.changes import line_of
from cli.render.funnel import funnel_tables
from cli.render.identity import preview_text
from cli.render.journeys import journey_story
from cli.render.tables import HIDDEN
from cli.terminal import print_items, show_parts
from projections.memory import fold_events
from projections.playbook.windows import EVERYTHING, HIDEABLE, Window
from projections.views.journey import journey_view
from projections.views.summary import Summary, summary_view
from schemas.answers.contacts import Contact
from schemas.answers.funnel import Funnel, FunnelGroup, FunnelStage
from schemas.answers.handoffs import HandoffDetails
from schemas.answers.identity import PreviewedJourney, RulingPreview
from schemas.answers.journeys import Journey, JourneyPage
from schemas.answers.parts import WindowedAnswer
from schemas.decode import decode
from tandem import Change
from tandem.answers import FeedJourney
from tests.support import RULES, body

NOW = 1_798_761_600_000_000  # 2027-01-01
COLUMNS = ("journey_id", "stage", "stage_since", "channel", "owner", "account", "score", "version")

_WHO = {"email": "ana@x.org", "account": "Acme"}
_STEPS: list[tuple[str, str, int, dict[str, Any]]] = [
    ("marketing", "page_viewed", 1, {"url": "/", "channel": "ads", "campaign": "spring"}),
    ("marketing", "page_viewed", 1, {"url": "/a", "channel": "ads", "campaign": "spring"}),
    (
        "marketing",
        "page_viewed",
        1,
        {"url": "/b", "channel": "ads", "campaign": "spring", "cost": {"amount": 181, "currency": "EUR"}},
    ),
    ("marketing", "lead_qualified", 1, {}),
    ("sales", "lead_rejected", 1, {"reason": "too small"}),
    ("sales", "lead_accepted", 1, {"owner": "rosa"}),
    ("sales", "opportunity_won", 2, {"amount": 900, "currency": "EUR"}),
]


def full_journey() -> Journey:
    """A journey that has something in every field that can be hidden."""
    events = [
        decode(body(number, type_, who=_WHO, version=version, data=data), owner)
        for number, (owner, type_, version, data) in enumerate(_STEPS)
    ]
    [found] = fold_events(events, RULES).journeys.values()
    return journey_view(found, RULES, NOW)


JOURNEY = full_journey()
_SUMMARY = summary_view(
    Summary(uuid.UUID(int=1), 6, 1, NOW, [], NOW, NOW, "ads", "spring", "rosa", "[Acme]", 7, {"EUR": 9}), RULES, NOW
)
_STAGES = [FunnelStage(stage="known", reached=2, now=1, conversion=None, median_seconds=None)]
_TOTAL = FunnelGroup(journeys=2, stages=_STAGES, beside={"lapsed": 1}, value={"EUR": 9})
_SIDE = PreviewedJourney(
    journey_id=str(uuid.UUID(int=1)), stage="known", events=3, value={"EUR": 9}, identifiers=["email:ana@x.org"]
)
_CONTACT = Contact(journey_id=JOURNEY.journey_id, identifiers=[], consent={})
_FIELDS = sorted({name for names in HIDEABLE.values() for name in names})


def _journey(found: dict[str, Any]) -> None:
    show_parts(journey_story(found))


def _funnel(found: dict[str, Any]) -> None:
    show_parts(*funnel_tables(found))


def _preview(found: dict[str, Any]) -> None:
    print(preview_text("join", found))


def _items(found: dict[str, Any]) -> None:
    print_items(found["items"], False, COLUMNS)


def _watched(found: dict[str, Any]) -> None:
    print(line_of(Change(kind="changed", cursor="c", journey=cast(FeedJourney, found))))


def _by(by: Literal["channel", "campaign"]) -> Funnel:
    groups = [msgspec.structs.replace(_TOTAL, **{by: name}) for name in ("ads", None)]
    return Funnel(total=_TOTAL, by=by, groups=groups)


PRINTED: list[tuple[Callable[[dict[str, Any]], None], WindowedAnswer]] = [
    (_journey, JOURNEY),
    (_items, JourneyPage(items=[_SUMMARY], next_cursor=None)),
    (_funnel, _by("channel")),
    (_funnel, _by("campaign")),
    (
        _preview,
        RulingPreview(warnings=[], before=[_SIDE, _SIDE], after=[_SIDE], events_moved=3, needs_confirmation=False),
    ),
    (_watched, _SUMMARY),
    (print_handoff, HandoffDetails(handoff=JOURNEY.handoffs[0], journey=_CONTACT, history=[])),
]


def shown(window: Window, answer: WindowedAnswer) -> dict[str, Any]:
    """What a client reads."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(window.show(answer)))
    return found


def test_the_journey_has_all_that_can_be_hidden() -> None:
    window = Window("w", frozenset(_FIELDS))
    hidden = [name for _, answer in PRINTED for name in shown(window, answer)["hidden"]]
    assert sorted(set(hidden)) == _FIELDS
    assert any(one.cost for one in JOURNEY.touchpoints or ())
    assert any((one.count or 0) > 1 for one in JOURNEY.touchpoints or ())
    assert any(one.note for one in JOURNEY.milestones or ())


@given(st.sets(st.sampled_from(_FIELDS)))
@example(set())
@example(set(_FIELDS))
def test_every_command_prints_whatever_is_hidden(hidden: set[str]) -> None:
    for show, answer in PRINTED:
        show(shown(Window("w", frozenset(hidden)), answer))


@pytest.mark.parametrize("field", _FIELDS)
def test_each_field_alone(field: str, capsys: pytest.CaptureFixture[str]) -> None:
    test_every_command_prints_whatever_is_hidden.hypothesis.inner_test({field})  # type: ignore[attr-defined]
    assert field in capsys.readouterr().out.partition("hidden:")[2] or field in ("channel", "campaign")


def test_what_is_hidden_is_not_taken_for_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    hidden = Window("w", frozenset({"score", "owner", "value", "touchpoints.channel"}))
    for window, seen in ((EVERYTHING, False), (hidden, True)):
        for show, answer in PRINTED[:3]:
            show(shown(window, answer))
            assert (HIDDEN in capsys.readouterr().out) is seen


def test_what_is_too_wide_for_the_terminal_can_be_copied(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_items([{"topic": "long." * 40, "owner": "[Acme]"}], False, ("topic", "owner"))
    assert "".join(capsys.readouterr().out.split()).replace("[Acme]", "") == "topicowner" + "long." * 40


@pytest.mark.parametrize("text", ["yesterday", "2026-03-01", "2026-03-01T00:00:00", ""])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UserError, match="such as 2026-03-01T00:00:00Z"):
        journeys(changed_since=text)
    assert time_of("2026-03-01T00:00:00-03:00", "--since") == "2026-03-01T00:00:00-03:00"
