"""Events checked and encoded before they leave, so that mistakes show where they are made."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from tandem.errors import InvalidEvent
from tandem.events import EVENT_TYPES, EventData
from tandem.identifiers import IDENTITY_TYPES, CustomType, Identifier, identifiers_of

MAX_BYTES = 1_048_576
MAX_IDENTITIES = 32


class Encoded(msgspec.Struct, frozen=True):
    """An event on its way."""

    id: str
    key: bytes | None
    value: bytes


def encode_event(
    event: "str | EventData",
    *,
    department: str,
    source: str,
    id_: UUID,
    occurred_at: datetime,
    identities: Iterable[Identifier],
    data: Mapping[str, Any] | None = None,
    version: int | None = None,
    consent: Mapping[str, bool] | None = None,
) -> Encoded:
    """The event as it goes on the wire. Raises InvalidEvent naming the field."""
    type_, body = _checked_data(event, data, department, version)
    named = _checked_identities(type_, identities)
    content: dict[str, Any] = {
        "id": str(id_),
        "type": type_,
        "version": version or getattr(EVENT_TYPES.get(type_), "VERSION", 1),
        "source": source,
        "occurred_at": _checked_time(occurred_at),
        "identities": [{"type": str(one.type), "value": one.value} for one in named],
    }
    if consent:
        content["consent"] = dict(consent)
    content["data"] = body
    _check_text(content, "")
    value = msgspec.json.encode(content)
    if len(value) > MAX_BYTES:
        raise InvalidEvent("data", f"the event has {len(value)} bytes: at most {MAX_BYTES} are allowed")
    strongest = min(named, key=_rank, default=None)
    return Encoded(str(id_), str(strongest).encode() if strongest else None, value)


def _rank(identifier: Identifier) -> int:
    return IDENTITY_TYPES.index(identifier.type) if identifier.type in IDENTITY_TYPES else len(IDENTITY_TYPES)


def _checked_data(
    event: "str | EventData", data: Mapping[str, Any] | None, department: str, version: int | None
) -> tuple[str, dict[str, Any]]:
    if isinstance(event, EventData):
        type_, content = event.TYPE, msgspec.to_builtins(event)
    else:
        type_, content = event, dict(data or {})
    known = EVENT_TYPES.get(type_)
    if known is None:
        return type_, content
    if department != known.DEPARTMENT:
        raise InvalidEvent(
            "type", f"{type_} is {known.DEPARTMENT}'s to write: this producer has department={department!r}"
        )
    if version in (None, known.VERSION):
        try:
            msgspec.convert(content, known, strict=True)
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$")
            missing = message.split("`")[1] if "required field" in message else ""
            field = ".".join(part for part in (place.strip("`."), missing) if part)
            raise InvalidEvent(f"data.{field}" if field else "data", message) from error
    return type_, {name: value for name, value in content.items() if value is not None}


def _checked_identities(type_: str, identities: Iterable[Identifier]) -> list[Identifier]:
    named = identifiers_of(identities)
    if not named and not type_.startswith("playbook_"):
        raise InvalidEvent("identities", "the event names nobody: give at least one identifier")
    if len(named) > MAX_IDENTITIES:
        raise InvalidEvent("identities", f"{len(named)} identifiers: give at most {MAX_IDENTITIES}")
    for one in named:
        if one.type not in IDENTITY_TYPES and not isinstance(one.type, CustomType):
            known = ", ".join(IDENTITY_TYPES)
            raise InvalidEvent("identities", f"unknown identity type {one.type!r}: use one of {known}")
        if isinstance(one.value, bool) or not isinstance(one.value, str | int) or len(str(one.value)) > 512:
            raise InvalidEvent(f"identities.{one.type}", "a value is text of at most 512 characters or an integer")
    return named


def _checked_time(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise InvalidEvent("occurred_at", "the time is naive: give it a time zone, such as datetime.now(UTC)")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _check_text(value: Any, path: str) -> None:
    """NaN, NUL and halves of surrogate pairs are legal in Python and poison further on."""
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidEvent(path, "the text holds a NUL character")
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise InvalidEvent(path, "the text holds half of a surrogate pair")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidEvent(path, f"{value} is no JSON number")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                raise InvalidEvent(path, "names of fields are text")
            _check_text(name, path)
            _check_text(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_text(item, f"{path}.{index}")
