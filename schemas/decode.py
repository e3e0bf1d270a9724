"""Bytes from Kafka to an event: fast for what is right, exact about what is wrong.

The fast path reads the envelope and then the type's data with compiled contracts. Whatever it does not take, and
whatever holds bytes that need a closer look, goes to schemas/diagnosis.py, which names the reason.
"""

from typing import Any, NoReturn

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
_owners = {found.name: found.owner for found in EVENT_TYPES}
_impersonal = frozenset(found.name for found in EVENT_TYPES if not found.personal)


def decode(value: bytes | None, owner: str) -> Event:
    """The event in a record of the topic that `owner` writes. Raises Rejection with the reason and the field."""
    if value is None:
        raise Rejection("tombstone", "", "a record without a value deletes nothing here: facts stay; send an event")
    if len(value) > MAX_BYTES:
        raise Rejection("too_large", "", f"the event has {len(value)} bytes, at most {MAX_BYTES} are taken")
    if b"\\u" in value or value.count(b"{") + value.count(b"[") > MAX_DEPTH:
        check_text(value)
    try:
        envelope = _envelope_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        diagnose_envelope(value, error)
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
        _data(type_, envelope.version, envelope.data, owner),
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
    if len(found) != 16 or not text[8] == text[13] == text[18] == text[23] == "-":
        _invalid_id()
    return found


def _invalid_id() -> NoReturn:
    raise Rejection(
        "invalid_id", "id", "an id is a UUID in hexadecimal groups of 8-4-4-4-12; for an id of your own use UUIDv5"
    )
