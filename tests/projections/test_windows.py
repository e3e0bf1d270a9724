"""Windows: what is hidden is nowhere in what is shown, and what is not hidden stays."""

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from projections.identifiers import identifier_key
from projections.playbook.masks import MASKS, PERSONS, Field, all_types, mask_of
from projections.playbook.model import DEFAULT_PLAYBOOK, InvalidPlaybook, Playbook, load_playbook
from projections.playbook.rules import compile_windows
from projections.playbook.windows import EVERYTHING, HIDEABLE, Window, shared, widest
from schemas.answers.changes import ChangeDetail, ChangePage
from schemas.answers.contacts import Identifier, SeenIdentifier
from schemas.answers.export import answer_schemas
from schemas.answers.funnel import Funnel, FunnelGroup
from schemas.answers.identity import Person, PersonIdentifier, PreviewedJourney, RulingPreview
from schemas.answers.journeys import (
    FeedJourney,
    Journey,
    JourneyPage,
    JourneySummary,
    Milestone,
    RefusedLink,
    Touchpoint,
)
from schemas.answers.operations import ANSWERS
from schemas.answers.parts import Answer, EventRef, WindowedAnswer
from schemas.answers.what_if import WhatIf, WhatIfResult
from tests.answers import ROOTS, answers

#: Of the default playbook before it had windows: databases are bound to it.
DIGEST = "b9c70f932d10b1b634ca168c9137e69034aa986dbc83d7fa84aa1933422535fb"

MARKETING, SALES = compile_windows(load_playbook()).values()


_T = "2026-01-01T00:00:00.000000Z"
_EVENT = EventRef(id="00000000-0000-0000-0000-000000000001", source="web")
_JOURNEY = Journey(
    journey_id="9fd7aa1e-7d15-8b5c-9d0f-64a7b4e8c901",
    version=1,
    stage="engaged",
    stage_since=_T,
    history=[],
    reached={},
    flags=[],
    identifiers=[
        SeenIdentifier(type="email", value="ana@x.org", first_seen=_T),
        SeenIdentifier(type="user_id", value="7", first_seen=_T),
    ],
    refused_links=[
        RefusedLink(
            identifiers=["email:ana@x.org"],
            journeys=["a", "b"],
            reason="claim",
            authority="form",
            at=_T,
            event=_EVENT,
        )
    ],
    touchpoints=[
        Touchpoint(at=_T, type="page_viewed", channel="ads", campaign=None, count=1, cost={"EUR": 181}, event=_EVENT)
    ],
    milestones=[Milestone(at=_T, type="lead_rejected", note="too small", amount=None, currency=None, event=_EVENT)],
    activity={},
    handoffs=[],
    ignored_decisions=[],
    audiences=[],
    traits={"contact": "Ana <Ana@X.org>", "boss": "mariana@x.org", "other": "ana@x.org.br"},
    trait_sources={},
    consent={},
    account=None,
    accounts=[],
    owner=None,
    score=3,
    value={"EUR": 9},
    first_seen=_T,
    last_seen=_T,
    as_of=_T,
)


def journey(**more: Any) -> Journey:
    return replace(_JOURNEY, **more)


def test_windows_change_no_digest() -> None:
    text = yaml.safe_load(DEFAULT_PLAYBOOK.read_text("utf-8"))
    assert text["windows"]
    assert load_playbook().digest() == DIGEST
    assert Playbook.model_validate({**text, "windows": {}}).digest() == DIGEST
    assert Playbook.model_validate({**text, "score": {}}).digest() != DIGEST


def test_a_field_that_cannot_be_hidden_is_refused(tmp_path: Any) -> None:
    text = yaml.safe_load(DEFAULT_PLAYBOOK.read_text("utf-8"))
    wrongs: tuple[dict[str, dict[str, object]], ...] = (
        {"sales": {"hidden": ["touchpoints.costs"]}},
        {"finance": {}},
        {"sales": {"withdrawn": {"x": ["y"]}}},
    )
    for wrong in wrongs:
        file = tmp_path / "playbook.yaml"
        file.write_text(yaml.safe_dump({**text, "windows": wrong}))
        with pytest.raises(InvalidPlaybook, match="windows"):
            load_playbook(file)


def test_fields_are_left_out_and_named() -> None:
    shown = SALES.show(journey())
    assert shown.hidden == ["touchpoints.cost"]
    assert _JOURNEY.touchpoints, "the journey has some"
    assert shown.milestones, "they are not hidden"
    assert shown.touchpoints == [replace(_JOURNEY.touchpoints[0], cost=UNSET)]
    assert b"cost" not in msgspec.json.encode(shown.touchpoints)
    assert shown.milestones[0].note == "too small"
    assert MARKETING.show(journey()).hidden == ["handoffs.note", "milestones.note"]


def test_lists_and_nested_journeys_are_looked_into() -> None:
    summary = JourneySummary(
        journey_id=_JOURNEY.journey_id,
        version=1,
        stage="known",
        stage_since=_T,
        first_seen=_T,
        last_seen=_T,
        channel="ads",
        campaign=None,
        owner=None,
        account=None,
        score=181,
        value={},
    )
    side = PreviewedJourney(journey_id="x", identifiers=[], events=1, stage="known", value={"EUR": 181})
    hiding = Window("w", frozenset({"score", "value"}))
    for answer in (
        JourneyPage(items=[summary, summary], next_cursor=None),
        RulingPreview(before=[side], after=[], events_moved=0, needs_confirmation=False, warnings=[]),
        Funnel(total=FunnelGroup(journeys=1, stages=[], beside={}, value={"EUR": 181}), by=None, groups=[]),
    ):
        shown = hiding.show(answer)
        assert b"181" not in msgspec.json.encode(shown)
        assert set(shown.hidden or ()) <= {"score", "value"}


def test_where_nothing_is_hidden_the_answer_is_the_same_object() -> None:
    answer = JourneyPage(items=[], next_cursor=None)
    assert EVERYTHING.show(answer) is answer
    assert SALES.show(answer) is answer
    person = Person(
        journey_id="x", also_found_by=[], events=1, identifiers=[], links=[], joined_by_ruling=[], split_by_ruling=[]
    )
    assert SALES.show(person) is person


def test_consent_that_was_withdrawn_hides_identifiers() -> None:
    shown = MARKETING.show(journey(consent={"email": False, "phone": True}))
    assert shown.hidden == ["handoffs.note", "identifiers.email", "milestones.note"]
    assert [one.type for one in shown.identifiers] == ["user_id"]
    assert shown.refused_links[0].identifiers == ["email (hidden)"]
    assert shown.traits == {"contact": "Ana <email (hidden)>", "boss": "mariana@x.org", "other": "ana@x.org.br"}
    assert SALES.show(journey(consent={"email": False})).identifiers == journey().identifiers
    assert MARKETING.show(journey(consent={"email": True})).identifiers == journey().identifiers


def test_journey_ids_made_of_hidden_identifiers_are_hidden_but_for_journeys() -> None:
    key = str(uuid.UUID(bytes=identifier_key("email", "ana@x.org")))
    window = Window("w", withdrawn=frozenset({("email", "email")}))
    body = Person(
        journey_id="x", also_found_by=[key], events=1, identifiers=[], links=[], joined_by_ruling=[], split_by_ruling=[]
    )
    assert window.veil(body, [("email", "ana@x.org")], []).also_found_by == ["email (hidden)"]
    assert window.veil(body, [("email", "ana@x.org")], [key]).also_found_by == [key]


def test_short_values_are_hidden_where_they_stand_alone() -> None:
    window = Window("w", withdrawn=frozenset({("ads", "user_id")}))
    traits = {"note": "7", "other": "user_id:7, of 2027", "count": 7}
    shown = window.show(journey(consent={"ads": False}, traits=traits))
    assert shown.traits == {"note": "user_id (hidden)", "other": "user_id (hidden), of 2027", "count": 7}
    assert shown.journey_id == journey().journey_id


def test_what_all_see_and_what_somebody_with_two_roles_sees() -> None:
    assert shared([MARKETING, SALES]).hidden == {
        *("milestones.note", "handoffs.note", "handoff.note"),
        "touchpoints.cost",
    }
    assert shared([MARKETING, SALES]).withdrawn == MARKETING.withdrawn
    assert widest([MARKETING, SALES])[1:] == EVERYTHING[1:]
    assert widest([SALES]) is SALES


_NAMES = st.sets(st.sampled_from(sorted(HIDEABLE)))


@settings(max_examples=200)
@given(_NAMES, _NAMES)
@example({"touchpoints"}, {"touchpoints.cost"})
@example({"account"}, {"value"})
def test_two_roles_see_nothing_that_neither_sees(one: set[str], other: set[str]) -> None:
    windows = [
        Window(name, frozenset(field for shown in names for field in HIDEABLE[shown]))
        for name, names in (("a", one), ("b", other))
    ]
    seen = [set(_paths(msgspec.to_builtins(window.show(journey())))) for window in (*windows, widest(windows))]
    assert seen[2] == seen[0] | seen[1]


def _paths(node: Any, path: str = "") -> Iterator[str]:
    """The fields of an answer that are there, but for the list of those that are not."""
    for name, value in node.items() if isinstance(node, dict) else enumerate(node if isinstance(node, list) else ()):
        if name != "hidden":
            yield f"{path}.{name}"
            yield from _paths(value, f"{path}.{name}")


def test_a_window_that_names_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match=r"touchpoints\.costs"):
        Window("w", frozenset({"touchpoints.costs"})).show(journey())


def test_masks_are_what_the_contracts_declare() -> None:
    """Each field that is declared `Hideable` is in a mask, and no mask has another; persons are known as such."""
    declared = {
        (name, field)
        for name, schema in answer_schemas().items()
        for field, about in schema["properties"].items()
        if about.get("x-hideable")
    }
    masked = {
        (type_.__name__, field.name)
        for fields in MASKS.values()
        for field in fields
        for type_ in all_types()
        if issubclass(type_, field.type)
    }
    assert masked == declared
    persons = {type_ for type_ in all_types() if {"identifiers", "consent"} <= set(type_.__struct_fields__)}
    assert {type_ for type_ in all_types() if issubclass(type_, PERSONS)} == persons
    for types in ANSWERS.values():
        for type_ in types:
            assert issubclass(type_, WindowedAnswer) or not _has_a_mask(type_) or type_ in (ChangePage, WhatIfResult)


def _has_a_mask(type_: type[Answer]) -> bool:
    mask = mask_of(type_, "", frozenset(name for names in HIDEABLE.values() for name in names))
    return bool(mask.dropped or mask.inside)


_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  #: shrinking a journey takes minutes
_SECRET = st.just("secret-5309")
_MAIL = "ana@x.org"
_SHOWN = [
    type_
    for type_ in (*ROOTS, WhatIf, ChangeDetail, FeedJourney)
    if isinstance(type_, type) and issubclass(type_, WindowedAnswer)
]


def _hidden_fields(names: set[str]) -> set[Field]:
    return {field for name in names for field in MASKS[name]}


def _survivors(node: Any, fields: set[Field], found: set[str]) -> set[str]:
    """The fields of an answer, however deep, that ought not to be there."""
    if isinstance(node, Answer):
        for field in fields:
            if isinstance(node, field.type) and getattr(node, field.name) is not UNSET:
                found.add(f"{type(node).__name__}.{field.name}")
        for name in node.__struct_fields__:
            _survivors(getattr(node, name), fields, found)
    elif isinstance(node, list | tuple):
        for one in node:
            _survivors(one, fields, found)
    elif isinstance(node, dict):
        _survivors(list(node.values()), fields, found)
    return found


@pytest.mark.parametrize("type_", _SHOWN, ids=lambda type_: type_.__name__)
@given(st.data(), st.sets(st.sampled_from(sorted(MASKS)), min_size=1, max_size=3))
@settings(max_examples=20, phases=_PHASES)
def test_no_hidden_field_survives_at_any_depth(
    type_: type[WindowedAnswer], data: st.DataObject, names: set[str]
) -> None:
    fields = _hidden_fields(names)

    def fill(owner: type[Answer], name: str) -> "st.SearchStrategy[str] | None":
        return _SECRET if any(issubclass(owner, one.type) and one.name == name for one in fields) else None

    answer = data.draw(answers(type_, fill))
    assert isinstance(answer, WindowedAnswer)
    hidden = frozenset(path for name in names for path in HIDEABLE[name])
    shown = Window("w", hidden).show(answer)
    assert _survivors(shown, fields, set()) == set()
    assert b"secret" not in msgspec.json.encode(shown)
    assert (shown is answer) == (shown.hidden is UNSET)
    if shown.hidden is not UNSET:
        assert set(shown.hidden) <= hidden
    assert _without(msgspec.to_builtins(answer), msgspec.to_builtins(shown)) == []


def _without(before: Any, now: Any, path: str = "") -> list[str]:
    """What is not as it was, but for fields that are gone."""
    if isinstance(before, dict):
        return [
            one for name in now if name != "hidden" for one in _without(before.get(name), now[name], f"{path}.{name}")
        ]
    if isinstance(before, list):
        inner = [one for pair in zip(before, now, strict=True) for one in _without(*pair, path)]
        return inner if len(before) == len(now) else [path]
    return [] if before == now else [path]


@pytest.mark.parametrize("type_", _SHOWN, ids=lambda type_: type_.__name__)
@given(st.data())
@settings(max_examples=20, phases=_PHASES)
def test_no_identifier_survives_the_withdrawal_of_consent(type_: type[WindowedAnswer], data: st.DataObject) -> None:
    """Of every person in an answer who withdrew; and, with a veil, of everybody it names."""

    def fill(_: type[Answer], name: str) -> "st.SearchStrategy[str] | None":
        return st.just(f"write to {_MAIL.upper()}, please") if name in ("because", "note", "warnings") else None

    answer = data.draw(answers(type_, fill))
    mail = Identifier(type="email", value=_MAIL)
    seen = {
        Identifier: mail,
        SeenIdentifier: SeenIdentifier(type="email", value=_MAIL, first_seen=_T),
        PersonIdentifier: PersonIdentifier(type="email", value=_MAIL, first_seen=_T, last_seen=_T, quarantined=False),
    }

    def withdrew(node: Any) -> Any:
        if isinstance(node, Identifier):
            return seen[type(node)]
        if isinstance(node, Answer):
            changes = {name: withdrew(getattr(node, name)) for name in node.__struct_fields__}
            return replace(node, **changes | ({"consent": {"email": False}} if "consent" in changes else {}))
        if isinstance(node, dict):
            return {name: withdrew(one) for name, one in node.items()}
        return [withdrew(one) for one in node] if isinstance(node, list) else node

    window = Window("w", withdrawn=frozenset({("email", "email")}))
    told = withdrew(answer)
    veiled = msgspec.json.encode(window.veil(told, [("email", _MAIL)], [])).decode().lower()
    assert _MAIL not in veiled
    if issubclass(type_, PERSONS) and told.identifiers:
        shown = window.show(told)
        assert _MAIL not in msgspec.json.encode(shown).decode().lower()
        assert "identifiers.email" in shown.hidden
