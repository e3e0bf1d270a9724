"""How Tandem names a person: a typed identifier, the same in events, in questions and in answers."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast
from urllib.parse import quote

import msgspec

from tandem.deprecation import warn

_INSTEAD = 'will end with release 0.3: write Identifier("email", "ada@example.com")'

#: The types that every Tandem knows; `journey` names a journey by its id, in questions only.
KnownType = Literal["user_id", "crm_contact", "crm_lead", "email", "phone", "anonymous_id", "account", "journey"]

#: The types that events may name, strongest first.
IDENTITY_TYPES = ("user_id", "crm_contact", "crm_lead", "email", "phone", "anonymous_id", "account")


class CustomType(str):
    """An identity type that the SDK does not know, said on purpose: a type of your own, or one that comes from data."""

    __slots__ = ()


if TYPE_CHECKING:
    IdentityType: TypeAlias = KnownType | CustomType
else:
    IdentityType = str  # msgspec decodes answers into it: a newer Tandem may know more types


class Identifier(msgspec.Struct, frozen=True):
    """One name of a person or an account: `Identifier("email", "ada@example.com")`.

    `type` is one of KnownType; any other is written `CustomType("loyalty_card")`, so that a type checker finds typos.
    """

    type: IdentityType
    value: str | int

    @staticmethod
    def parse(text: str) -> "Identifier":
        """The identifier of text in the form `type:value`, as some answers have it. Raises ValueError."""
        type_, colon, value = text.partition(":")
        if not colon:
            raise ValueError(f"{text!r} is no identifier: write type:value, such as email:ada@example.com")
        return Identifier(cast("IdentityType", type_), value)

    def __str__(self) -> str:
        """The form `type:value`, as the API writes it."""
        return f"{self.type}:{self.value}"


def text_of(identifier: Identifier) -> str:
    """The form `type:value`. Text of this form, as releases before 0.2 took it, still works and warns."""
    if isinstance(identifier, str):
        warn(f"'type:value' text as an identifier {_INSTEAD}")
    return str(identifier)


def path_of(identifier: Identifier) -> str:
    """The same as a part of a URL's path."""
    return quote(text_of(identifier), safe=":@")


def identifiers_of(identities: Iterable[Identifier]) -> list[Identifier]:
    """What an event names. A mapping or pairs, as releases before 0.2 took them, still work and warn."""
    named: list[Any] = list(identities.items() if isinstance(identities, Mapping) else identities)
    if not all(isinstance(one, Identifier) for one in named):
        warn(f"a mapping or pairs as identities {_INSTEAD}")
    return [one if isinstance(one, Identifier) else Identifier(*one) for one in named]
