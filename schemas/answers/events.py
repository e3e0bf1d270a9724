"""Publishing events: one result for each event, in order."""

from typing import Annotated

from schemas.answers.parts import Answer, Id, doc


class Accepted(Answer, frozen=True, kw_only=True, tag_field="status", tag="accepted"):
    """The broker has acknowledged the event: it is in the log, at this place."""

    id: Annotated[Id, doc("The event's id")]
    topic: str
    partition: int
    offset: int


class Rejected(Answer, frozen=True, kw_only=True, tag_field="status", tag="rejected"):
    """The event breaks its contract, or the caller may not publish it: nothing is in the log."""

    reason: Annotated[str, doc("Such as missing_field or not_allowed: docs/events.md lists them")]
    field: Annotated[str, doc("Dotted path; empty for the event as a whole")]
    message: Annotated[str, doc("What is wrong, and what to do about it")]


class Published(Answer, frozen=True, kw_only=True):
    """One result for each event of the request, in order."""

    results: list[Accepted | Rejected]
