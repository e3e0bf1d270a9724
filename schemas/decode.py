"""Bytes from Kafka to an event: fast for what is right, exact about what is wrong.

The fast path guesses the type from the first bytes that look like one and reads the whole event with the compiled
contract of that type's current version. Where the guess was wrong, the envelope is read first and then the type's data.
Whatever that does not take, and whatever holds bytes that need a closer look, goes to schemas/diagnosis.py, which names
the reason.
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
_structs = {key: struct_of(found.data) for key, found in CATALOGUE.items()}
_data_decoders: dict[tuple[str, int], msgspec.json.Decoder[Any]] = {
    key: msgspec.json.Decoder(struct) for key, struct in _structs.items()
}


def _whole(key: tuple[str, int]) -> "msgspec.json.Decoder[Any]":
    """Takes events of this type and version, envelope and data in one pass, and refuses all others."""
    type_, version = key
    fields = struct_of(Envelope, type=Literal[type_], version=Literal[version], data=_structs[key])
    return msgspec.json.Decoder(fields)


#: department -> name of a type that it writes -> decoder
_whole_decoders: dict[str, dict[bytes, msgspec.json.Decoder[Any]]] = {found.owner: {} for found in EVENT_TYPES}
for _found in EVENT_TYPES:
    _whole_decoders[_found.owner][_found.name.encode()] = _whole((_found.name, CURRENT[_found.name]))
_owners = {found.name: found.owner for found in EVENT_TYPES}
_impersonal = frozenset(found.name for found in EVENT_TYPES if not found.personal)


def decode(value: bytes | None, owner: str) -> Event:
    """The event in a record of the topic that `owner` writes. Raises Rejection with the reason and the field."""
    if value is None:
        raise Rejection("tombstone", "", "a record without a value deletes nothing here: facts stay; send an event")
    if len(value) > MAX_BYTES:
        raise Rejection("too_large", "", f"the event has {len(value)} bytes, at most {MAX_BYTES} are taken")
    if (b"\\" in value and b"\\u" in value) or value.count(b"{") + value.count(b"[") > MAX_DEPTH:
        check_text(value)
    whole = _whole_decoders[owner].get(_first_type(value))
    if whole is not None:
        try:
            found = whole.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            pass
        else:
            return _event(found)
    return _decode_in_steps(value, owner)


def decode_again(value: bytes) -> Event:
    """An event, whoever's topic told of it: it is as if it came from that of the department that may write its type.

    Raises what `decode` raises.
    """
    try:
        type_ = _envelope_decoder.decode(value).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        type_ = ""  # `decode` says what is wrong
    return decode(value, _owners.get(type_, "joint"))  # a type that is not in the catalogue is everybody's


def _first_type(value: bytes) -> bytes:
    """What stands after the first thing that looks like the key "type"; it may be anything."""
    start = value.find(b'"', value.find(b'"type":') + 7) + 1
    return value[start : value.find(b'"', start)]


def _decode_in_steps(value: bytes, owner: str) -> Event:
    """For custom types, earlier versions, unusual spellings and whatever is wrong."""
    try:
        envelope = _envelope_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        diagnose_envelope(value, error)
    return _event(envelope, owner)


def _event(envelope: Any, owner: str | None = None) -> Event:
    """The event in a decoded envelope; with `owner`, its data is still raw. Raises Rejection."""
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
        envelope.data if owner is None else _data(type_, envelope.version, envelope.data, owner),
    )


def _data(type_: str, version: int, raw: msgspec.Raw, owner: str) -> object:
    """The data, checked by its contract and brought to the current version."""
    rightful = _owners.get(type_)
    if rightful is None:
        return _decoded(_custom_decoder, raw, type_, version)
    if rightful != owner:
        raise Rejection("wrong_owner", "type", f"{type_} is {rightful}'s to write, not {owner}'s: use its topic")
    decoder = _data_decoders.get((type_, version))
    if decoder is None:
        raise Rejection(
            "unknown_version", "version", f"{type_} is known up to version {CURRENT[type_]}: update Tandem or send that"
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
        found = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        _invalid_id()
    if len(found) != 16 or text[8:24:5] != "----":
        _invalid_id()
    return found


def _invalid_id() -> NoReturn:
    raise Rejection(
        "invalid_id", "id", "an id is a UUID in hexadecimal groups of 8-4-4-4-12; for an id of your own use UUIDv5"
    )
