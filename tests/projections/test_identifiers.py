"""Normalisation of identifiers: cases 6, 8, 9, 10 and 34's neighbours of docs/explanation/identity.md."""

import pytest

from projections.identifiers import BLOCKED_VALUES, identifier_key, normalise


def value_of(type_: str, value: str, region: str | None = None) -> str | None:
    found = normalise(type_, value, region)
    return found.value if found else None


@pytest.mark.parametrize(
    "value", [*sorted(BLOCKED_VALUES), "NULL", " Anonymous ", "0000", "00000000-0000-0000-0000-000000000000"]
)
def test_case_6_blocked_values_name_nobody(value: str) -> None:
    assert value_of("user_id", value) is None
    assert value_of("anonymous_id", value) is None


@pytest.mark.parametrize("value", ["00a", "10", "-10", "nullable", "tester"])
def test_case_6_values_that_only_look_blocked_stay(value: str) -> None:
    assert value_of("user_id", value) == value


def test_case_8_email_is_trimmed_lower_case_and_nfc() -> None:
    assert value_of("email", "  Ana.Silva@Example.COM ") == "ana.silva@example.com"
    assert value_of("email", "Jose\u0301@x.org") == value_of("email", "jos\u00e9@x.org")


def test_case_8_tags_and_dots_stay() -> None:
    assert value_of("email", "a.b+news@gmail.com") == "a.b+news@gmail.com"
    assert value_of("email", "ab@gmail.com") == "ab@gmail.com"


def test_case_8_international_domain_becomes_ascii() -> None:
    assert value_of("email", "info@Bücher.example") == "info@xn--bcher-kva.example"
    assert value_of("email", "info@xn--bcher-kva.example") == "info@xn--bcher-kva.example"


@pytest.mark.parametrize("value", ["ana", "@x.org", "ana@", "a b@x.org", "ana@\u200d.org"])
def test_case_8_what_is_no_address_names_nobody(value: str) -> None:
    assert value_of("email", value) is None


def test_case_9_phone_becomes_e164_by_the_source_region() -> None:
    assert value_of("phone", "(11) 98765-4321", "BR") == "+5511987654321"
    assert value_of("phone", "+55 11 98765 4321") == "+5511987654321"
    assert value_of("phone", "0055 11 98765 4321", "DE") == "+5511987654321"


@pytest.mark.parametrize("value", ["98765-4321", "call me", "+1"])
def test_case_9_unreadable_phone_names_nobody(value: str) -> None:
    assert value_of("phone", value) is None


def test_case_10_ids_that_differ_in_text_are_different() -> None:
    keys = {identifier_key("user_id", value) for value in ("42", "42.0", "042")}
    assert len(keys) == 3


def test_key_is_a_version_8_uuid_and_depends_on_the_type() -> None:
    key = identifier_key("email", "a@b.c")
    assert len(key) == 16
    assert key[6] >> 4 == 8
    assert key[8] >> 6 == 2
    assert key != identifier_key("user_id", "a@b.c")
