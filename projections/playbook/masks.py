"""Masks: which fields of which answers a playbook's windows may hide, checked against the answers' types.

`HIDEABLE` has the names that a playbook may write. Whoever adds a field to an answer that says what one of them says
adds it here; a test fails where a field that is declared `Hideable` is in no mask.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, get_args, get_type_hints

from msgspec import UNSET, UnsetType

from schemas.answers.accounts import Account
from schemas.answers.attribution import AttributionGroup, AttributionTotal, TouchpointTotal
from schemas.answers.changes import ChangeDetail
from schemas.answers.contacts import Contact
from schemas.answers.funnel import FunnelGroup
from schemas.answers.handoffs import Handoff
from schemas.answers.identity import PreviewedJourney
from schemas.answers.journeys import AccountStay, FeedJourney, Journey, JourneySummary, Milestone, Touchpoint
from schemas.answers.operations import ANSWERS
from schemas.answers.parts import Answer
from schemas.answers.what_if import WhatIf

_Type = type[Answer]


class Field(NamedTuple):
    """A field of an answer that can be hidden."""

    type: _Type  #: and what inherits from it
    name: str
    #: what `hidden` calls it; without, its own name, behind the name of the field that holds the part of a journey
    called: str | None = None


def _fields(name: str, *types: _Type, called: str | None = None) -> tuple[Field, ...]:
    for type_ in types:
        assert name in type_.__struct_fields__, f"{type_.__name__} has no field {name}"
    return tuple(Field(type_, name, called) for type_ in types)


#: What a window may hide, by the name that the playbook has for it. What says the same is hidden with it.
MASKS: dict[str, tuple[Field, ...]] = {
    "channel": (
        *_fields("channel", JourneySummary, Touchpoint, FunnelGroup, AttributionGroup),
        *_fields("lines", ChangeDetail, called="channel"),
        *_fields("credit", WhatIf, called="channel"),
    ),
    "campaign": (
        *_fields("campaign", JourneySummary, Touchpoint, FunnelGroup, AttributionGroup),
        *_fields("lines", ChangeDetail, called="campaign"),
    ),
    "owner": (*_fields("owner", Journey, JourneySummary, Handoff), *_fields("rival", Handoff)),
    "account": (*_fields("account", Journey, JourneySummary, Account), *_fields("accounts", Journey)),
    "score": _fields("score", Journey, JourneySummary, Account),
    "value": (
        *_fields("value", Journey, JourneySummary, Account, AccountStay, FunnelGroup, PreviewedJourney),
        *_fields("amount", Milestone),
        *_fields("currency", Milestone),
        *_fields("lines", ChangeDetail, called="value"),
        *_fields("credit", WhatIf, called="value"),
    ),
    "traits": (*_fields("traits", Journey), *_fields("trait_sources", Journey)),
    "activity": _fields("activity", Journey),
    "touchpoints": _fields("touchpoints", Journey, AttributionGroup, AttributionTotal),
    "touchpoints.cost": _fields("cost", Touchpoint, TouchpointTotal),
    "touchpoints.count": _fields("count", Touchpoint, TouchpointTotal),
    "milestones": _fields("milestones", Journey),
    "milestones.note": _fields("note", Milestone, Handoff),
}

#: Parts of a journey: their fields are named after the field that holds the part, as in `touchpoints.cost`.
_PARTS = (Touchpoint, TouchpointTotal, Milestone, AccountStay, Handoff)
#: Who can withdraw consent, and whose identifiers are then hidden: they have `journey_id`, `identifiers`, `consent`.
PERSONS = (Journey, FeedJourney, Contact)


class Mask(NamedTuple):
    """What a window hides of the objects of one type, where one field holds them."""

    dropped: Mapping[str, UnsetType]  #: fields that are left out, as `replace` takes them
    named: tuple[tuple[str, frozenset[str]], ...]  #: (field, names to give in `hidden` where the answer has the field)
    inside: tuple[str, ...]  #: the other fields in whose values something may have to be hidden
    is_person: bool


@lru_cache(maxsize=4096)
def mask_of(type_: _Type, held_in: str, hidden: frozenset[str]) -> Mask:
    """The mask of a type's objects that the field `held_in` holds. `hidden`: names as `hidden` gives them.

    Raises ValueError for a name that no field has.
    """
    unknown = hidden - _all_names()
    if unknown:
        raise ValueError(f"no field of an answer is called {', '.join(sorted(unknown))}")
    dropped, named, inside = list[str](), list[tuple[str, frozenset[str]]](), list[str]()
    for field, types in parts_of(type_).items():
        own = _names(type_, held_in, field) & hidden
        of_parts = frozenset[str]().union(*(_names_of_part(one, field) for one in types)) & hidden
        if own or of_parts:
            named.append((field, own | of_parts))
        if own:
            dropped.append(field)
        elif any(_is_of_interest(one, field, hidden) for one in types):
            inside.append(field)
    return Mask(dict.fromkeys(dropped, UNSET), tuple(named), tuple(inside), issubclass(type_, PERSONS))


def _is_of_interest(type_: _Type, held_in: str, hidden: frozenset[str]) -> bool:
    """Whether something may have to be hidden in an object."""
    mask = mask_of(type_, held_in, hidden)
    return mask.is_person or bool(mask.dropped or mask.inside)


def _names_of_part(type_: _Type, held_in: str) -> frozenset[str]:
    """What the fields of a part of a journey are called; none of a type that is no such part."""
    if type_ not in _PARTS:
        return frozenset()
    return frozenset[str]().union(*(_names(type_, held_in, field) for field in type_.__struct_fields__))


def _names(type_: _Type, held_in: str, field: str) -> frozenset[str]:
    """What a field is called in `hidden`: none where it cannot be hidden; several where several reasons hide it."""
    own = f"{held_in}.{field}" if type_ in _PARTS else field
    found = (one for fields in MASKS.values() for one in fields if one.name == field and issubclass(type_, one.type))
    return frozenset(one.called or own for one in found)


@lru_cache(maxsize=512)
def parts_of(type_: _Type) -> dict[str, tuple[_Type, ...]]:
    """By field: the types of the answers' parts that its value may hold, those that inherit from them too."""
    hints = get_type_hints(type_)
    return {field: tuple(dict.fromkeys(_types_in(hints[field]))) for field in type_.__struct_fields__}


def _types_in(hint: Any) -> Iterator[_Type]:
    if isinstance(hint, type) and issubclass(hint, Answer):
        yield hint
        for child in hint.__subclasses__():
            yield from _types_in(child)
    for argument in get_args(hint):
        yield from _types_in(argument)


@lru_cache(maxsize=1)
def _places() -> dict[_Type, frozenset[str]]:
    """Every type that an answer may hold, with the fields that hold it; the answers themselves are held by none."""
    found: dict[_Type, set[str]] = {}
    todo: list[tuple[_Type, str]] = [(type_, "") for types in ANSWERS.values() for type_ in types]
    while todo:
        type_, held_in = todo.pop()
        seen = found.setdefault(type_, set())
        if held_in in seen:
            continue
        seen.add(held_in)
        todo += [(part, field) for field, types in parts_of(type_).items() for part in types]
    return {type_: frozenset(places) for type_, places in found.items()}


def all_types() -> frozenset[_Type]:
    """Every type that an answer may hold."""
    return frozenset(_places())


def _called(field: Field) -> Iterator[str]:
    """The names that a field has in the answers."""
    for type_, places in _places().items():
        if issubclass(type_, field.type):
            own = (f"{held_in}.{field.name}" for held_in in places) if type_ in _PARTS else (field.name,)
            yield from (field.called,) if field.called else own


#: What a window may hide, by the name that the playbook has for it: the names that `hidden` gives.
HIDEABLE: dict[str, tuple[str, ...]] = {
    name: tuple(sorted({called for field in fields for called in _called(field)})) for name, fields in MASKS.items()
}


@lru_cache(maxsize=1)
def _all_names() -> frozenset[str]:
    return frozenset[str]().union(*HIDEABLE.values())
