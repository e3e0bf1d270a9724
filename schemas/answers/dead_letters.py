"""Dead letters: records that could not be applied."""

from typing import Annotated

from schemas.answers.parts import Answer, NextCursor, Time, doc


class DeadLetter(Answer, frozen=True, kw_only=True):
    """A record that could not be applied, and why."""

    topic: str
    partition: int
    offset: int
    reason: Annotated[str, doc("Such as not_json or missing_field: docs/events.md lists them")]
    field: Annotated[str, doc("Dotted path; empty for the record as a whole")]
    message: Annotated[str, doc("What is wrong, and what to do about it")]
    bytes: Annotated[int | None, doc("Its length; null for a tombstone")]
    recorded_at: Annotated[Time, doc("When the broker recorded it")]


class DeadLetterPage(Answer, frozen=True, kw_only=True):
    """A page of dead letters, in the order of partitions and offsets."""

    items: list[DeadLetter]
    next_cursor: NextCursor
