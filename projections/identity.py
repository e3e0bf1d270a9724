"""Identity: which identifiers are one person. A pure function of the set of links.

Two identifiers are in one *component* if any chain of links connects them, refused links included. Within a component
the links are judged in the order (authority, occurred_at, event id); each one joins the two sides unless the person
would then break a limit of the playbook (one user_id, one crm_contact, ...): such a link is kept as refused, with the
type whose limit it broke. Sorted input makes the result independent of arrival. Where the whole component is within
the limits no link can be refused, so nothing needs sorting: that is the common case.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from projections.identifiers import ACCOUNT, RANK, Identifier, normalise
from projections.journey import Known, Link
from projections.playbook import Rules

RULING, CRM, LOGIN, FORM = range(4)

#: Component of identifiers, as keys.
Person = frozenset[bytes]


class Subject(NamedTuple):
    """Whom an event is about, in normal form."""

    #: each once, strongest first: the first is the event's anchor
    persons: tuple[Identifier, ...]
    account: Identifier | None
    #: how much the event's word on identity weighs; smaller is stronger
    authority: int


@lru_cache(maxsize=32_768)
def identify(identities: tuple[tuple[str, str], ...], region: str | None, ruling: bool) -> Subject:
    """The usable identifiers among an event's (type, value) pairs; `region` is where its phone numbers are from.

    Events of one session name the same identifiers again and again, so answers are kept.
    """
    found = [normalise(type_, value, region if type_ == "phone" else None) for type_, value in identities]
    usable = sorted({identifier for identifier in found if identifier is not None})
    persons = tuple([identifier for identifier in usable if identifier.type != ACCOUNT])
    account = usable[len(persons)] if len(persons) < len(usable) else None  # accounts sort last
    return Subject(persons, account, RULING if ruling else _authority(persons))


def _authority(persons: tuple[Identifier, ...]) -> int:
    types = [person.type for person in persons]
    if "crm_contact" in types or "crm_lead" in types:
        return CRM
    return LOGIN if "user_id" in types else FORM


def within_limits(identifiers: Iterable[Known | Identifier], rules: Rules) -> bool:
    """Whether all of them could be one person."""
    room = rules.limits.copy()
    for known in identifiers:
        left = room.get(known.type)
        if left is not None:
            if left == 0:
                return False
            room[known.type] = left - 1
    return True


def resolve(identifiers: Mapping[bytes, Known], links: Iterable[Link], rules: Rules) -> tuple[list[Person], list[Link]]:
    """The persons of one component, and its links, each with its verdict."""
    if within_limits(identifiers.values(), rules):
        return [frozenset(identifiers)], [_judged(link, None) for link in links]
    members: dict[bytes, set[bytes]] = {key: {key} for key in identifiers}
    counts: dict[bytes, Counter[str]] = {key: Counter([known.type]) for key, known in identifiers.items()}
    root = {key: key for key in identifiers}
    verdicts: list[Link] = []
    for link in sorted(links, key=lambda link: (*link.strength, RANK[identifiers[link.b].type], link.b)):
        a, b = root[link.a], root[link.b]
        broken = _broken_limit(counts[a] + counts[b], rules) if a != b else None
        verdicts.append(_judged(link, broken))
        if a == b or broken:
            continue
        small, large = sorted((a, b), key=lambda key: len(members[key]))
        for key in members[small]:
            root[key] = large
        members[large] |= members.pop(small)
        counts[large] += counts.pop(small)
    return [frozenset(group) for group in members.values()], verdicts


def _broken_limit(counts: Counter[str], rules: Rules) -> str | None:
    broken = [type_ for type_, count in counts.items() if count > rules.limits.get(type_, count)]
    return min(broken, key=RANK.__getitem__, default=None)


def _judged(link: Link, refused: str | None) -> Link:
    return link if link.refused == refused else msgspec.structs.replace(link, refused=refused)
