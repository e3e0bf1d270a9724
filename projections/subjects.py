"""Subjects: whom one event names, with how much authority, and whom it counts for."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from projections.identifiers import ACCOUNT, ANONYMOUS, Identifier, key_at, normalise

#: How much authority an event has about identity; smaller is stronger. Rulings outrank all: identity/register.py.
MERGE, CRM, LOGIN, FORM = 1, 2, 3, 4

#: Events of CRM systems about which of their own records are one person: they may break limits.
MERGES = frozenset({"contacts_merged"})
#: Events that only the owner of an address can cause, although they name no user.
_VERIFIED = frozenset({"email_clicked"})


class Subject(NamedTuple):
    """Whom an event is about; identifiers are in normal form."""

    #: each once, strongest first; the first is linked to each of the others
    persons: tuple[Identifier, ...]
    #: whom the event counts for: the strongest; for a form, which anybody may have filled in, the device
    anchor: Identifier
    #: the first device
    device: Identifier | None
    #: the strongest identifier, where the event counts for the device
    claimed: Identifier | None
    account: Identifier | None
    authority: int
    #: whether it names more than devices
    named: bool


def identify(identities: tuple[tuple[str, str], ...], region: str | None, type_: str) -> Subject | None:
    """The subject of an event's (type, value) pairs; None where they name no person.

    `region`: where the event's phone numbers are from. `type_`: the event's type.
    """
    weight = MERGE if type_ in MERGES else LOGIN if type_ in _VERIFIED else FORM
    return _identify(identities, region, weight)


@lru_cache(maxsize=32_768)
def _identify(identities: tuple[tuple[str, str], ...], region: str | None, weight: int) -> Subject | None:
    """Cached: events of one session name the same identifiers again and again."""
    normal = [normalise(type_, value, region if type_ == "phone" else None) for type_, value in identities]
    usable = sorted({identifier for identifier in normal if identifier is not None})
    persons = tuple([identifier for identifier in usable if identifier.type != ACCOUNT])
    if not persons:
        return None
    account = usable[len(persons)] if len(persons) < len(usable) else None  # accounts sort last
    first = persons[0]
    device = next((person for person in persons if person.type == ANONYMOUS), None)
    authority = _authority(persons, weight)
    named = first is not device
    if named and device is not None and authority == FORM:
        anchor, claimed = device, first
    else:
        anchor, claimed = first, None
    return Subject(
        persons=persons,
        anchor=anchor,
        device=device,
        claimed=claimed,
        account=account,
        authority=authority,
        named=named,
    )


def _authority(persons: tuple[Identifier, ...], weight: int) -> int:
    if weight == MERGE:
        return MERGE
    types = {person.type for person in persons}
    if "crm_contact" in types or "crm_lead" in types:
        return CRM
    return LOGIN if "user_id" in types else weight


def subject_at(subject: Subject, at: int, releases: Mapping[bytes, list[int]]) -> Subject:
    """The subject as of a time: an identifier that was released before then is another one since."""
    if all(person.key not in releases for person in subject.persons):
        return subject
    later = {person.key: person._replace(key=key_at(person.key, at, releases)) for person in subject.persons}
    return subject._replace(
        persons=tuple(later.values()),
        anchor=later[subject.anchor.key],
        device=None if subject.device is None else later[subject.device.key],
        claimed=None if subject.claimed is None else later[subject.claimed.key],
    )
