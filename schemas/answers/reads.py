"""The record of who has read personal data."""

from typing import Annotated, Any

from schemas.answers.parts import Answer, Id, NextCursor, Time, doc


class Read(Answer, frozen=True, kw_only=True):
    """One answer with personal data."""

    at: Time
    reader: Annotated[str, doc("The token's subject, or the API key's id")]
    role: Annotated[str, doc("All roles of the reader, with commas")]
    endpoint: str
    asked: Annotated[dict[str, Any], doc("The request's parameters")]
    journeys: Annotated[list[Id], doc("Whose data was in the answer")]


class ReadPage(Answer, frozen=True, kw_only=True):
    """A page of reads, the newest first."""

    items: list[Read]
    next_cursor: NextCursor
