"""Identity: who is who and why, who is in quarantine, and what a ruling would move."""

from typing import Annotated, Literal

from msgspec import UNSET, field

from schemas.answers.contacts import SeenIdentifier
from schemas.answers.events import Accepted
from schemas.answers.parts import (
    Amounts,
    Answer,
    Authority,
    EventRef,
    Hideable,
    Id,
    LogPlace,
    NextCursor,
    Time,
    WindowedAnswer,
    doc,
)

Reason = Annotated[
    str | None, doc("Null where it holds; else contested, claim, split, breaker, or the type whose limit it breaks")
]


class PersonIdentifier(SeenIdentifier, frozen=True, kw_only=True):
    """An identifier of a person, and from when to when it was seen."""

    last_seen: Time
    quarantined: bool


class LinkedPair(Answer, frozen=True, kw_only=True):
    """A link between two identifiers."""

    identifiers: Annotated[list[str], doc("The two, as type:value")]
    authority: Authority
    at: Time
    event: EventRef
    holds: bool
    reason: Reason


class Person(WindowedAnswer, frozen=True, kw_only=True):
    """Who an identifier is: all identifiers of the person, and what ties them."""

    journey_id: Id
    also_found_by: Annotated[list[str], doc("Other journey ids that find the same journey")]
    events: int
    identifiers: list[PersonIdentifier]
    links: list[LinkedPair]
    joined_by_ruling: Annotated[list[list[str]], doc("Pairs, as type:value")]
    split_by_ruling: Annotated[list[list[str]], doc("Pairs, as type:value")]


class Ruling(Answer, frozen=True, kw_only=True):
    """The ruling on two identifiers, with what was said for it."""

    ruling: Literal["join", "split"]
    at: Time
    reason: str | None
    by: str | None
    event: EventRef
    place: Annotated[LogPlace | None, doc("Null where the event is not in the archive yet")]


class PathStep(Answer, frozen=True, kw_only=True):
    """One link of the chain between two identifiers."""

    from_: Annotated[str, doc("type:value")] = field(name="from")
    to: Annotated[str, doc("type:value")]
    authority: Authority
    at: Time
    event: EventRef
    holds: bool
    reason: Reason
    place: Annotated[LogPlace | None, doc("Null where the event is not in the archive yet")]


class IdentityExplanation(WindowedAnswer, frozen=True, kw_only=True):
    """Why two identifiers are one person, or why not."""

    identifiers: Annotated[list[str], doc("The two, as they were asked for")]
    journeys: Annotated[list[Id | None], doc("Their journeys; null for one that no event has named")]
    one_person: bool
    because: Annotated[str, doc("In words")]
    ruling: Annotated[Ruling | None, doc("The ruling on the two themselves")]
    path: Annotated[list[PathStep], doc("The shortest chain of links between the two")]


class Conflict(Answer, frozen=True, kw_only=True):
    """A link that was refused."""

    identifiers: Annotated[list[str], doc("The two, as type:value")]
    journeys: Annotated[list[Id], doc("The journey of each")]
    authority: Authority
    at: Time
    event: EventRef
    holds: bool
    reason: Reason


class ConflictPage(WindowedAnswer, frozen=True, kw_only=True):
    """A page of links that were refused, in the order of journeys."""

    items: list[Conflict]
    next_cursor: NextCursor


class QuarantinedIdentifier(Answer, frozen=True, kw_only=True):
    """An identifier that too many others are linked to."""

    identifier: Annotated[str, doc("type:value")]
    victims: Annotated[int, doc("How many identifiers events linked to it")]
    since: Time | None
    released_at: Annotated[Time | None, doc("When a release ended it")]


class QuarantinePage(Answer, frozen=True, kw_only=True):
    """A page of identifiers in quarantine."""

    items: list[QuarantinedIdentifier]
    next_cursor: NextCursor


class Victim(Answer, frozen=True, kw_only=True):
    """A journey that events linked to an identifier in quarantine."""

    journey_id: Id
    at: Annotated[Time, doc("When the link was first stated")]


class VictimPage(Answer, frozen=True, kw_only=True):
    """A page of journeys that events linked to an identifier in quarantine."""

    items: list[Victim]
    next_cursor: NextCursor


class PreviewedJourney(Answer, frozen=True, kw_only=True):
    """A journey before or after a ruling."""

    journey_id: Id
    identifiers: Annotated[list[str], doc("type:value")]
    events: int
    stage: str
    value: Hideable[Annotated[Amounts, doc("Booked, in minor units by currency")]] = UNSET


class RulingPreview(WindowedAnswer, frozen=True, kw_only=True):
    """What a ruling would move. Journeys that stay as they are, are not listed."""

    before: list[PreviewedJourney]
    after: list[PreviewedJourney]
    events_moved: int
    needs_confirmation: Annotated[bool, doc("It moves more than the playbook lets a ruling move unasked")]
    warnings: Annotated[list[str], doc("Why the ruling, or a part of it, would have no effect")]


class RulingPublished(RulingPreview, frozen=True, kw_only=True):
    """A ruling that was published, and what it moves."""

    event: Accepted


class UnconfirmedRuling(RulingPreview, frozen=True, kw_only=True):
    """A problem (RFC 9457) with the preview: the ruling moves much, and nobody confirmed it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
