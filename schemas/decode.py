"""Bytes from Kafka to an event: fast for valid events, exact about errors.

The fast path guesses the type from the first bytes that look like one, and decodes the whole event with the compiled
contract of that type's current version. Where the guess was wrong, it decodes the envelope first and then the data.
Events that this does not accept, and events with suspicious bytes, go to schemas/diagnosis.py, which names the reason.
"""

from typing import Any, Literal, NoReturn

import msgspec

from schemas.catalogue import CATALOGUE, CURRENT, EVENT_TYPES
from schemas.compiled import struct_of
from schemas.diagnosis import check_text, diagnose_data, diagnose_envelope
from schemas.envelope import MAX_BYTES, MAX_DEPTH, Envelope
from schemas.event import Event
from schemas.rejection import Rejection
from schemas.times import parse_time

_envelope_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(struct_of(Envelope, data=msgspec.Raw))
_custom_decoder = msgspec.json.Decoder(dict[str, Any])
_structs = {key: struct_of(event_type.data) for key, event_type in CATALOGUE.items()}
_data_decoders: dict[tuple[str, int], msgspec.json.Decoder[Any]] = {
    key: msgspec.json.Decoder(struct) for key, struct in _structs.items()
}


def _whole(key: tuple[str, int]) -> "msgspec.json.Decoder[Any]":
    """Decodes events of this type and version in one pass, and refuses all others."""
    type_, version = key
    fields = struct_of(Envelope, type=Literal[type_], version=Literal[version], data=_structs[key])
    return msgspec.json.Decoder(fields)


#: department -> name of a type that it writes -> decoder
_whole_decoders: dict[str, dict[bytes, msgspec.json.Decoder[Any]]] = {one.department: {} for one in EVENT_TYPES}
for _type in EVENT_TYPES:
    _whole_decoders[_type.department][_type.name.encode()] = _whole((_type.name, CURRENT[_type.name]))
_departments = {one.name: one.department for one in EVENT_TYPES}
_impersonal = frozenset(one.name for one in EVENT_TYPES if not one.personal)


def decode(value: bytes | None, department: str) -> Event:
    """The event in a record of a department's topic. Raises Rejection with the reason and the field."""
    if value is None:
        raise Rejection("tombstone", "", "a record without a value deletes nothing here: send an event")
    if len(value) > MAX_BYTES:
        raise Rejection("too_large", "", f"the event has {len(value)} bytes, the limit is {MAX_BYTES}")
    if (b"\\" in value and b"\\u" in value) or value.count(b"{") + value.count(b"[") > MAX_DEPTH:
        check_text(value)
    whole = _whole_decoders[department].get(_first_type(value))
    if whole is not None:
        try:
            envelope = whole.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            pass
        else:
            return _event(envelope)
    return _decode_in_steps(value, department)


def decode_again(value: bytes) -> Event:
    """An event from any topic, decoded as if it came from the one that may carry its type.

    Raises what `decode` raises.
    """
    try:
        type_ = _envelope_decoder.decode(value).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        type_ = ""  # `decode` says what is wrong
    return decode(value, _departments.get(type_, "joint"))  # any topic may carry a custom type


def _first_type(value: bytes) -> bytes:
    """The text after the first thing that looks like the key "type"; it may be anything."""
    start = value.find(b'"', value.find(b'"type":') + 7) + 1
    return value[start : value.find(b'"', start)]


def _decode_in_steps(value: bytes, department: str) -> Event:
    """For custom types, earlier versions, unusual encodings and errors."""
    try:
        envelope = _envelope_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        diagnose_envelope(value, error)
    return _event(envelope, department)


def _event(envelope: Any, department: str | None = None) -> Event:
    """The event in a decoded envelope. With a department, its data is still raw. Raises Rejection."""
    identities = tuple(
        [
            (i.type, i.value if type(i.value) is str else str(i.value))
            for i in envelope.identities
            if i.value is not None
        ]
    )
    type_ = envelope.type
    if not identities and type_ not in _impersonal:
        raise Rejection("missing_identity", "identities", "the event names nobody: give at least one identity")
    return Event(
        _uuid(envelope.id),
        envelope.source,
        type_,
        envelope.version,
        parse_time(envelope.occurred_at, "occurred_at"),
        identities,
        envelope.consent,
        envelope.data if department is None else _data(type_, envelope.version, envelope.data, department),
    )


def _data(type_: str, version: int, raw: msgspec.Raw, department: str) -> object:
    """The data, checked by its contract and brought to the current version."""
    rightful = _departments.get(type_)
    if rightful is None:
        return _decoded(_custom_decoder, raw, type_, version)
    if rightful != department:
        raise Rejection(
            "wrong_owner", "type", f"only {rightful} may write {type_}, not {department}: use the topic of {rightful}"
        )
    decoder = _data_decoders.get((type_, version))
    if decoder is None:
        raise Rejection(
            "unknown_version",
            "version",
            f"{type_} is known up to version {CURRENT[type_]}: update Tandem, or send that one",
        )
    data = _decoded(decoder, raw, type_, version)
    while (upcast := CATALOGUE[type_, version].upcast) is not None:
        version += 1
        data = msgspec.convert(upcast(msgspec.structs.asdict(data)), _structs[type_, version])
    return data


def _decoded(decoder: "msgspec.json.Decoder[Any]", raw: msgspec.Raw, type_: str, version: int) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        diagnose_data(bytes(raw), type_, version, error)


def _uuid(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        _invalid_id()
    if len(raw) != 16 or text[8:24:5] != "----":
        _invalid_id()
    return raw


def _invalid_id() -> NoReturn:
    raise Rejection(
        "invalid_id", "id", "an id is a UUID in hexadecimal groups of 8-4-4-4-12: make one from your own id with UUIDv5"
    )
