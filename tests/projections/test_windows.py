"""Windows: what is hidden is nowhere in what is shown, and what is not hidden stays."""

import json
import uuid
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from projections.identifiers import identifier_key
from projections.playbook.model import DEFAULT_PLAYBOOK, InvalidPlaybook, Playbook, load_playbook
from projections.playbook.rules import compile_windows
from projections.playbook.windows import EVERYTHING, HIDEABLE, Window, shared, widest

#: Of the default playbook before it had windows: databases are bound to it.
DIGEST = "b9c70f932d10b1b634ca168c9137e69034aa986dbc83d7fa84aa1933422535fb"

MARKETING, SALES = compile_windows(load_playbook()).values()


def journey(**more: Any) -> dict[str, Any]:
    return {
        "journey_id": "9fd7aa1e-7d15-8b5c-9d0f-64a7b4e8c901",
        "stage": "engaged",
        "identifiers": [
            {"type": "email", "value": "ana@x.org", "first_seen": "2026-01-01T00:00:00.000000Z"},
            {"type": "user_id", "value": "7", "first_seen": "2026-01-01T00:00:00.000000Z"},
        ],
        "refused_links": [{"identifiers": ["email:ana@x.org"], "journeys": ["a", "b"]}],
        "touchpoints": [{"at": "2026-01-01T00:00:00.000000Z", "channel": "ads", "cost": {"EUR": 181}}],
        "milestones": [{"type": "lead_rejected", "note": "too small", "amount": None}],
        "traits": {"contact": "Ana <Ana@X.org>", "boss": "mariana@x.org", "other": "ana@x.org.br"},
        "consent": {},
        "value": {"EUR": 9},
    } | more


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
    assert shown["hidden"] == ["touchpoints.cost"]
    assert shown["touchpoints"] == [{"at": "2026-01-01T00:00:00.000000Z", "channel": "ads"}]
    assert shown["milestones"][0]["note"] == "too small"
    assert MARKETING.show(journey())["hidden"] == ["milestones.note"]


def test_lists_and_nested_journeys_are_looked_into() -> None:
    for answer in (
        {"items": [journey(), journey()], "next_cursor": None},
        {"journey": journey()},
        {"items": [{"journey": journey()}]},
        {"before": [journey()], "after": []},
    ):
        shown = SALES.show(answer)
        assert "181" not in json.dumps(shown)
        assert shown["hidden"] == ["touchpoints.cost"]


def test_where_nothing_is_hidden_the_answer_is_the_same_object() -> None:
    answer = {"items": [{"journey_id": "x", "stage": "known"}], "journey": None}
    assert EVERYTHING.show(answer) is answer
    assert "hidden" not in SALES.show(answer)


def test_consent_that_was_withdrawn_hides_identifiers() -> None:
    shown = MARKETING.show(journey(consent={"email": False, "phone": True}))
    assert shown["hidden"] == ["identifiers.email", "milestones.note"]
    assert [one["type"] for one in shown["identifiers"]] == ["user_id"]
    assert shown["refused_links"][0]["identifiers"] == ["email (hidden)"]
    assert shown["traits"] == {"contact": "Ana <email (hidden)>", "boss": "mariana@x.org", "other": "ana@x.org.br"}
    assert SALES.show(journey(consent={"email": False}))["identifiers"] == journey()["identifiers"]
    assert MARKETING.show(journey(consent={"email": True}))["identifiers"] == journey()["identifiers"]


def test_journey_ids_made_of_hidden_identifiers_are_hidden_but_for_journeys() -> None:
    key = str(uuid.UUID(bytes=identifier_key("email", "ana@x.org")))
    window = Window("w", withdrawn=frozenset({("email", "email")}))
    body = {"also_found_by": [key], "hint": "x"}
    assert window.veil(body, [("email", "ana@x.org")], [])["also_found_by"] == ["email (hidden)"]
    assert window.veil(body, [("email", "ana@x.org")], [key])["also_found_by"] == [key]


def test_short_values_are_hidden_where_they_stand_alone() -> None:
    window = Window("w", withdrawn=frozenset({("ads", "user_id")}))
    shown = window.show(journey(consent={"ads": False}, note="7", other="user_id:7, of 2027", count=7))
    assert (shown["note"], shown["other"], shown["count"]) == ("user_id (hidden)", "user_id (hidden), of 2027", 7)
    assert shown["journey_id"] == journey()["journey_id"]


def test_what_all_see_and_what_somebody_with_two_roles_sees() -> None:
    assert shared([MARKETING, SALES]).hidden == {
        *("milestones.note", "handoffs.note", "handoff.note"),
        "touchpoints.cost",
    }
    assert shared([MARKETING, SALES]).withdrawn == MARKETING.withdrawn
    assert widest([MARKETING, SALES])[1:] == EVERYTHING[1:]
    assert widest([SALES]) is SALES


_PLAIN = st.none() | st.integers(0, 9) | st.text("xyz", max_size=3)
_SECRET = st.integers(10**8, 10**9 - 1).map(lambda n: f"secret-{n}")
_FIELDS = sorted({path for paths in HIDEABLE.values() for path in paths})


@given(
    st.sets(st.sampled_from(_FIELDS), min_size=1, max_size=4),
    st.lists(_SECRET, min_size=2, max_size=2, unique=True),
    st.dictionaries(st.text("abc", min_size=1, max_size=2), _PLAIN),
    st.sampled_from(["items", "journey", "before", "total", None]),
    st.booleans(),
)
def test_no_hidden_value_is_in_the_text_of_what_is_shown(
    hidden: set[str], secrets: list[str], plain: dict[str, Any], place: str | None, inside_twice: bool
) -> None:
    field_secret, mail = secrets[0], f"{secrets[1]}@x.org"
    found: dict[str, Any] = {**plain}
    for path in hidden:
        field, _, part = path.partition(".")
        if not part:
            found[field] = [{"deep": field_secret}, field_secret]
        elif isinstance(found.get(field), list) and all(isinstance(one, dict) for one in found[field]):
            found[field] = [one | {part: field_secret} for one in found[field]]
        elif field not in found:
            found[field] = [{part: {"EUR": field_secret}, "kept": 1}, {"kept": 2}]
    found |= {
        "journey_id": "9fd7aa1e-7d15-8b5c-9d0f-64a7b4e8c901",
        "consent": {"email": False},
        "identifiers": [{"type": "email", "value": mail}, {"type": "user_id", "value": mail}],
        "refused_links": [{"identifiers": [f"email:{mail}"]}],
        "said": [{"text": f"write to {mail.upper()}, please"}, mail],
    }
    answer = found if place is None else {place: found if place in ("journey", "total") else [found, found]}
    if inside_twice:
        answer = {"items": [answer]}
    text = json.dumps(Window("w", frozenset(hidden), frozenset({("email", "email")})).show(answer)).lower()
    assert field_secret not in text
    assert mail not in text
    for kept in plain:
        assert json.dumps(kept) in text
