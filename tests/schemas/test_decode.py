"""Every reason for a rejection, and that nothing but an event or a rejection comes out."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decode import decode
from schemas.event import Event
from schemas.rejection import REASONS, Rejection

VALID: dict[str, Any] = {
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "type": "form_submitted",
    "version": 1,
    "source": "web",
    "occurred_at": "2026-01-02T03:04:05.678901Z",
    "identities": [{"type": "email", "value": "a@b.c"}, {"type": "user_id", "value": 42}],
    "data": {"form": "f"},
}


def changed(**more: Any) -> bytes:
    return json.dumps(VALID | more).encode()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in VALID.items() if name != field}).encode()


def raw(text: str) -> bytes:
    """VALID with a raw JSON text as an unknown field."""
    return changed()[:-1] + b',"x":' + text.encode("utf-8", "surrogatepass") + b"}"


REJECTED: list[tuple[str, str, bytes | None]] = [
    ("tombstone", "", None),
    ("too_large", "", changed(data={"form": "f", "x": "y" * (10 * 1024 * 1024)})),
    ("not_utf8", "", b"\xff\xfe" + changed()),
    ("nul_byte", "", changed() + b"\0"),
    ("nul_byte", "data.form", changed(data={"form": "a\0b"})),
    ("lone_surrogate", "data.form", changed(data={"form": "\ud83d"})),
    ("not_a_number", "", raw("NaN")),
    ("not_a_number", "", raw("-Infinity")),
    ("too_deep", "", raw("[" * 65 + "]" * 65)),
    ("too_deep", "", b"[" * 1_000_000),
    ("not_json", "", b"hello"),
    ("not_json", "", b""),
    ("not_json", "", changed() + b"{}"),
    ("not_json", "", b"\xef\xbb\xbf" + changed()),
    ("not_an_object", "", b"[" + changed() + b"]"),
    ("missing_field", "id", without("id")),
    ("missing_field", "occurred_at", without("occurred_at")),
    ("missing_field", "data.form", changed(data={})),
    ("missing_field", "data.form", without("data")),
    ("wrong_type", "source", changed(source=7)),
    ("wrong_type", "data", changed(data=[])),
    ("wrong_type", "data.form", changed(data={"form": 7})),
    ("wrong_type", "version", changed(version=1.0)),
    ("wrong_type", "consent.email", changed(consent={"email": "yes"})),
    ("invalid_value", "type", changed(type="Form Submitted")),
    ("invalid_value", "source", changed(source="")),
    ("invalid_value", "occurred_at", changed(occurred_at="yesterday")),
    ("invalid_value", "occurred_at", changed(occurred_at="2026-02-30T00:00:00Z")),
    ("invalid_value", "occurred_at", changed(occurred_at="2026-01-01T00:00:00.1234567Z")),
    ("invalid_value", "identities.0.type", changed(identities=[{"type": "shoe_size", "value": "44"}])),
    ("unknown_version", "version", changed(version=9)),
    ("naive_time", "occurred_at", changed(occurred_at="2026-01-02T03:04:05")),
    ("time_out_of_range", "occurred_at", changed(occurred_at="9999-12-31T23:59:59Z")),
    ("time_out_of_range", "occurred_at", changed(occurred_at="1969-12-31T23:59:59Z")),
    ("invalid_id", "id", changed(id="42")),
    ("invalid_id", "id", changed(id="01890a5dxac96x774bxbccexb302099a8057")),
    (
        "too_many_identities",
        "identities",
        changed(identities=[{"type": "email", "value": f"{n}@b.c"} for n in range(100)]),
    ),
    ("missing_identity", "identities", without("identities")),
    ("missing_identity", "identities", changed(identities=[{"type": "email", "value": None}])),
    ("wrong_owner", "type", changed(type="lead_accepted", data={})),
]


@pytest.mark.parametrize(("reason", "field", "value"), REJECTED, ids=lambda part: str(part)[:24])
def test_reason_and_field(reason: str, field: str, value: bytes | None) -> None:
    with pytest.raises(Rejection) as rejected:
        decode(value, "marketing")
    assert (rejected.value.reason, rejected.value.field) == (reason, field), rejected.value
    assert rejected.value.reason in REASONS
    assert rejected.value.message


def test_every_reason_that_decoding_can_give_is_tested() -> None:
    assert {reason for reason, _, _ in REJECTED} == REASONS - {"conflict", "erased", "unknown_secret"}


def test_a_valid_event() -> None:
    event = decode(changed(consent={"email": False}, unknown="kept in the log"), "marketing")
    assert event.id == uuid.UUID(VALID["id"]).bytes
    assert event.occurred_at == 1_767_323_045_678_901
    assert event.identities == (("email", "a@b.c"), ("user_id", "42"))
    assert event.consent == {"email": False}


def test_case_10_a_number_and_its_decimal_text_are_one_id() -> None:
    number = decode(changed(identities=[{"type": "user_id", "value": 42}]), "marketing")
    text = decode(changed(identities=[{"type": "user_id", "value": "42"}]), "marketing")
    assert number.identities == text.identities


def test_offsets_are_brought_to_utc() -> None:
    plain = decode(changed(occurred_at="2026-01-02T03:04:05Z"), "marketing")
    offset = decode(changed(occurred_at="2026-01-02T00:04:05-03:00"), "marketing")
    assert plain.occurred_at == offset.occurred_at


def test_a_surrogate_pair_is_fine() -> None:
    assert b"\\ud83d\\ude00" in changed(data={"form": "\N{GRINNING FACE}"})
    decode(changed(data={"form": "\N{GRINNING FACE}"}), "marketing")


def test_a_custom_type_is_taken_from_every_department() -> None:
    for owner in ("marketing", "sales", "joint"):
        assert decode(changed(type="badge_scanned", version=7, data={"any": [1]}), owner).data == {"any": [1]}


def test_version_1_of_opportunity_won_is_upcast() -> None:
    old = changed(type="opportunity_won", data={"amount": "1234.50", "currency": "EUR", "owner": "rosa"})
    new = changed(type="opportunity_won", version=2, data={"amount": 123450, "currency": "EUR", "owner": "rosa"})
    assert decode(old, "sales").data == decode(new, "sales").data
    assert decode(old, "sales").version == 1


@pytest.mark.parametrize(
    ("amount", "currency", "minor"), [("5", "JPY", 5), ("1.234", "KWD", 1234), ("0.10", "EUR", 10), ("7", "XXX", 7)]
)
def test_upcast_knows_minor_units(amount: str, currency: str, minor: int) -> None:
    data: Any = decode(changed(type="opportunity_won", data={"amount": amount, "currency": currency}), "sales").data
    assert data.amount == minor


def test_upcast_loses_no_digits() -> None:
    with pytest.raises(Rejection, match="decimal places"):
        decode(changed(type="opportunity_won", data={"amount": "1.5", "currency": "JPY"}), "sales")


@settings(max_examples=500)
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_an_event_or_a_rejection(value: bytes) -> None:
    _event_or_rejection(value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=1_500)
@given(st.dictionaries(st.sampled_from(sorted(VALID)) | st.text(max_size=6), _JSON, max_size=4))
def test_any_changed_event_gives_an_event_or_a_rejection(changes: dict[str, Any]) -> None:
    _event_or_rejection(json.dumps(VALID | changes).encode())


def _event_or_rejection(value: bytes) -> None:
    try:
        assert isinstance(decode(value, "marketing"), Event)
    except Rejection as rejection:
        found = rejection
    else:
        return
    assert found.reason in REASONS
    assert found.message
