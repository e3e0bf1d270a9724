"""What all answers share: the base classes, and the types of times, ids, amounts and references to events."""

from typing import Annotated, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

T = TypeVar("T")


def doc(text: str) -> Meta:
    """A field's description, for `Annotated`: it goes into OpenAPI and into the SDK."""
    return Meta(description=text)


class Answer(Struct, frozen=True):
    """A JSON object of an answer, or a part of one."""


class WindowedAnswer(Answer, frozen=True, kw_only=True):
    """An answer that is shown through the reader's window: fields may be left out, and `hidden` says which."""

    hidden: Annotated[list[str], doc("Names of the fields that the reader's window hides; absent where none is")] | (
        UnsetType
    ) = UNSET


#: A field that a window may hide; then it is absent, which is not the same as null.
Hideable = Annotated[T, Meta(extra_json_schema={"x-hideable": True})] | UnsetType

Time = Annotated[
    str, Meta(description="RFC 3339, in UTC, with microseconds", extra_json_schema={"format": "date-time"})
]
Id = Annotated[str, Meta(description="UUID", extra_json_schema={"format": "uuid"})]
Amounts = Annotated[dict[str, int], Meta(description="Minor units (cents) by ISO 4217 currency")]
NextCursor = Annotated[str | None, doc("Ask for the next page with it; null on the last page")]
#: Why a link is taken: how much the one who states it is believed.
Authority = Literal["ruling", "crm-merge", "crm", "login", "form"]


class EventRef(Answer, frozen=True, kw_only=True):
    """An event, by its id and its source."""

    id: Id
    source: str


class LogPlace(Answer, frozen=True, kw_only=True):
    """Where an event lies in the log."""

    topic: str
    partition: int
    offset: int
    recorded_at: Annotated[Time, doc("When the broker recorded it")]
