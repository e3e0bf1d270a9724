"""Identifiers: which values name a person, their normal form, and their keys.

The rules are cases 6, 8, 9 and 10 of docs/explanation/identity.md.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, NamedTuple, get_args

import idna
import phonenumbers

from schemas.times import NEVER

#: Identifier types of persons, strongest first. The strongest one of an event is its anchor.
PersonType = Literal["user_id", "crm_contact", "crm_lead", "email", "phone", "anonymous_id"]
PERSON_TYPES: tuple[str, ...] = get_args(PersonType)
ACCOUNT = "account"
ANONYMOUS = "anonymous_id"

#: Values that programs send where they have no id; in lower case.
BLOCKED_VALUES = frozenset(
    {
        *("", "null", "none", "nil", "undefined", "nan", "n/a", "na", "-", "0", "-1"),
        *("anonymous", "unknown", "guest", "test", "true", "false", "[object object]"),
    }
)
_ALL_ZERO = re.compile(r"[0-]*0[0-]*")  # zero UUIDs and zero advertising ids, with or without dashes

#: Smaller is stronger.
RANK = {name: rank for rank, name in enumerate((*PERSON_TYPES, ACCOUNT))}


class Identifier(NamedTuple):
    """One normalised identifier. Sorts strongest type first, then by value."""

    rank: int
    type: str
    value: str
    #: 16 bytes: the id of a journey that starts with this identifier
    key: bytes


def identifier_key(type_: str, value: str) -> bytes:
    """The 16-byte key of a normalised identifier: a UUID of version 8 made from BLAKE2b (RFC 9562, 5.8)."""
    return _key(f"{type_}:{value}")


def later_key(key: bytes, released_at: int) -> bytes:
    """The key of an identifier after a release, when it means somebody else. Times are microseconds since 1970."""
    return _key(f"{key.hex()}@{released_at}")


def key_at(key: bytes, at: int, releases: Mapping[bytes, list[int]]) -> bytes:
    """The key that an identifier has at a time: each release gives it a new one."""
    times = releases.get(key)
    if times is None:
        return key
    last = max((time for time in times if time <= at), default=None)
    return key if last is None else later_key(key, last)


def newest_key(key: bytes, releases: Mapping[bytes, list[int]]) -> bytes:
    """The key of whom an identifier means after all its releases."""
    return key_at(key, NEVER, releases)


def _key(text: str) -> bytes:
    digest = bytearray(blake2b(text.encode(), digest_size=16, person=b"tandem.identity").digest())
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


@lru_cache(maxsize=131_072)  # about 50 MB: as many identifiers as the projector keeps journeys for
def normalise(type_: str, value: str, region: str | None = None) -> Identifier | None:
    """The identifier that (type, value) means; None where the value names nobody.

    Blocked values, e-mail addresses without a domain and unreadable phone numbers name nobody. `region` is the ISO
    3166 code by which a phone number without country code is read.
    """
    text = (value if value.isascii() else unicodedata.normalize("NFC", value)).strip()
    if text.lower() in BLOCKED_VALUES or (text[0] in "0-" and _ALL_ZERO.fullmatch(text)):
        return None
    if type_ == "email":
        normal = _email(text)
    elif type_ == "phone":
        normal = _phone(text, region)
    else:
        normal = text
    if normal is None:
        return None
    return Identifier(RANK[type_], type_, normal, identifier_key(type_, normal))


def _email(text: str) -> str | None:
    """All in lower case, the domain as IDNA A-labels. Tags and dots stay: with others it may be another person."""
    local, at, domain = text.rpartition("@")
    if not (local and at and domain) or any(c.isspace() for c in text):
        return None
    domain = domain.lower()
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            return None
    return f"{local.lower()}@{domain}"


def _phone(text: str, region: str | None) -> str | None:
    """E.164; None where the text cannot be a number."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    # without an area code it could be anybody's
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def domain_of(email: str) -> str:
    """The domain of an e-mail address."""
    return email.rpartition("@")[2]


def company_of(email: str, free_mail: frozenset[str]) -> str | None:
    """The domain of a company address; None where anybody can get an address of that domain."""
    domain = domain_of(email)
    return None if domain in free_mail else domain
