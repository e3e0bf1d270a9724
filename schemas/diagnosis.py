"""The slow path: why a record is not an event, and where it is wrong."""

import json
import re
from typing import Any, NoReturn

from pydantic import ValidationError

from schemas.catalogue import CATALOGUE
from schemas.envelope import MAX_DEPTH, Envelope
from schemas.fields import Contract
from schemas.rejection import Rejection

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class _NotANumber(ValueError):
    pass


def check_text(value: bytes) -> Any:
    """The parsed JSON. Raises Rejection unless it is UTF-8, not too deep, and without NUL and lone surrogates."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise Rejection("not_utf8", "", f"byte {error.start} is not UTF-8: encode events in UTF-8") from error
    if "\0" in text:
        raise Rejection("nul_byte", "", "the record holds a NUL byte: remove it at the source")
    if _depth(value) > MAX_DEPTH:
        raise Rejection("too_deep", "", f"objects and arrays are nested more than {MAX_DEPTH} deep")
    try:
        parsed = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_integer)
    except _NotANumber as error:
        raise Rejection("not_a_number", "", f"{error} is not a JSON number: send null or omit the field") from error
    except ValueError as error:
        raise Rejection("not_json", "", f"not JSON: {error}") from error
    _check_strings(parsed, "")
    return parsed


def diagnose_envelope(value: bytes, error: Exception) -> NoReturn:
    """Raise the Rejection that says why the compiled envelope refused a record with `error`."""
    parsed = check_text(value)
    if not isinstance(parsed, dict):
        raise Rejection("not_an_object", "", "an event is a JSON object: send each event in a record of its own")
    _diagnose(Envelope, parsed, "", error)


def diagnose_data(raw: bytes, type_: str, version: int, error: Exception) -> NoReturn:
    """Raise the Rejection that says why the compiled contract refused an event's data with `error`."""
    parsed = check_text(raw)
    event_type = CATALOGUE.get((type_, version))
    if event_type is None or not isinstance(parsed, dict):
        raise Rejection("wrong_type", "data", "data is a JSON object")
    _diagnose(event_type.data, parsed, "data", error)


def _diagnose(model: type[Contract], parsed: Any, prefix: str, error: Exception) -> NoReturn:
    try:
        model.model_validate_json(json.dumps(parsed))
    except ValidationError as invalid:
        first = invalid.errors()[0]
        field = ".".join(str(part) for part in (*([prefix] if prefix else []), *first["loc"]))
        raise Rejection(_reason(first["type"], field), field, first["msg"]) from error
    raise Rejection("invalid_value", prefix, str(error)) from error


def _reason(kind: str, field: str) -> str:
    if kind == "missing":
        return "missing_field"
    if field == "id" and kind in ("string_too_short", "string_too_long"):
        return "invalid_id"
    if field == "identities" and kind == "too_long":
        return "too_many_identities"
    return "wrong_type" if kind.endswith("_type") or kind == "int_from_float" else "invalid_value"


def _depth(value: bytes) -> int:
    """How deep brackets outside strings are nested; without recursion, for any depth."""
    depth = deepest = 0
    for bracket in _BRACKETS.finditer(_STRING.sub(b"", value)):
        depth += 1 if bracket[0] in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse(constant: str) -> NoReturn:
    raise _NotANumber(constant)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _NotANumber(text[:40])
    return number


def _integer(text: str) -> int:
    if len(text) > 400:
        raise _NotANumber(f"{text[:40]}... with {len(text)} digits")
    return int(text)


def _check_strings(parsed: Any, path: str) -> None:
    """Raises Rejection for NUL characters and lone surrogates in any key or value."""
    if isinstance(parsed, str):
        if "\0" in parsed:
            raise Rejection("nul_byte", path, "the text holds a NUL character: remove it at the source")
        if any("\ud800" <= char <= "\udfff" for char in parsed):
            raise Rejection(
                "lone_surrogate",
                path,
                "the text holds half of a surrogate pair: the text was cut inside a character",
            )
    elif isinstance(parsed, dict):
        for key, value in parsed.items():
            _check_strings(key, f"{path}.(key)".lstrip("."))
            _check_strings(value, f"{path}.{key}".lstrip("."))
    elif isinstance(parsed, list):
        for index, value in enumerate(parsed):
            _check_strings(value, f"{path}.{index}".lstrip("."))
