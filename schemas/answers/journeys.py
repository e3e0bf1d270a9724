"""Journeys: one with all that is known of it, and many in short."""

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from schemas.answers.contacts import Consent, Identifier, SeenIdentifier
from schemas.answers.handoffs import Handoff, IgnoredDecision
from schemas.answers.parts import (
    Amounts,
    Answer,
    Authority,
    EventRef,
    Hideable,
    Id,
    NextCursor,
    Time,
    WindowedAnswer,
    doc,
)

Traits = dict[str, str | int | float | bool | None]


class StageEntry(Answer, frozen=True, kw_only=True):
    """A stage that was entered, and what led to it."""

    stage: str
    at: Time
    cause: Literal["event", "silence"]
    event: Annotated[EventRef | None, doc("Null where silence was the cause")]


class RefusedLink(Answer, frozen=True, kw_only=True):
    """A link to another person that was refused, and kept."""

    identifiers: Annotated[list[str], doc("Those of this journey that it names, as type:value")]
    journeys: Annotated[list[Id], doc("The two ends, each as the journey id that its identifier gives")]
    reason: Annotated[
        str | None, doc("Why: contested, claim, split, breaker, or the identifier type whose limit it breaks")
    ]
    authority: Authority
    at: Time
    event: EventRef


class Touchpoint(Answer, frozen=True, kw_only=True):
    """A touch of marketing, or all equal ones of a day."""

    at: Time
    type: Annotated[str, doc("The event's type")]
    channel: Hideable[str] = UNSET
    campaign: Hideable[str | None] = UNSET
    count: Hideable[Annotated[int, doc("How many events of the day are in it")]] = UNSET
    cost: Hideable[Amounts | None] = UNSET
    event: Annotated[EventRef, doc("The first event")]


class Milestone(Answer, frozen=True, kw_only=True):
    """An event that counts by itself."""

    at: Time
    type: Annotated[str, doc("The event's type")]
    amount: Hideable[Annotated[int | None, doc("Minor units, of a sale")]] = UNSET
    currency: Hideable[Annotated[str | None, doc("ISO 4217, of the amount")]] = UNSET
    note: Hideable[Annotated[str | None, doc("Why a lead was rejected or a sale lost; an opportunity's stage")]] = UNSET
    event: EventRef


class AccountStay(Answer, frozen=True, kw_only=True):
    """A time during which the person belonged to an account."""

    account: str
    since: Time
    until: Annotated[Time | None, doc("Null: to this day")]
    known_by: Annotated[Literal["event", "email domain"], doc("Whether an event names the account, or only an address")]
    value: Hideable[Annotated[Amounts, doc("Booked during the stay, in minor units by currency")]] = UNSET


class TraitSource(Answer, frozen=True, kw_only=True):
    """What one source said of a trait."""

    value: str | int | float | bool | None
    at: Time
    event: EventRef
    holds: Annotated[bool, doc("Whether the trait has this value")]


class Journey(WindowedAnswer, frozen=True, kw_only=True):
    """One person's journey, as it is at `as_of`."""

    journey_id: Id
    version: Annotated[int, doc("How many events it is made of")]
    stage: str
    stage_since: Time
    history: Annotated[list[StageEntry], doc("All stages entered, in order")]
    reached: Annotated[dict[str, Time], doc("By stage: when its criterion was first met")]
    flags: Annotated[list[str], doc("What is odd: a later stage's criterion was met before an earlier one's")]
    identifiers: list[SeenIdentifier]
    refused_links: list[RefusedLink]
    touchpoints: Hideable[list[Touchpoint]] = UNSET
    milestones: Hideable[list[Milestone]] = UNSET
    activity: Hideable[Annotated[dict[str, int], doc("Events by type")]] = UNSET
    handoffs: Annotated[list[Handoff], doc("In the order in which they were offered")]
    ignored_decisions: list[IgnoredDecision]
    audiences: Annotated[list[str], doc("The playbook's audiences that the person is in")]
    traits: Hideable[Annotated[Traits, doc("By name: the value that holds")]] = UNSET
    trait_sources: Hideable[Annotated[dict[str, list[TraitSource]], doc("By name: what each source said")]] = UNSET
    consent: Consent
    account: Hideable[Annotated[str | None, doc("The account that the person belongs to")]] = UNSET
    accounts: Hideable[Annotated[list[AccountStay], doc("All accounts, in order of time")]] = UNSET
    owner: Hideable[Annotated[str | None, doc("The person who owns the lead")]] = UNSET
    score: Hideable[int] = UNSET
    value: Hideable[Annotated[Amounts, doc("Booked, in minor units by currency")]] = UNSET
    first_seen: Time
    last_seen: Time
    as_of: Annotated[Time, doc("The time that it is seen at")]
    known_at: Annotated[
        Time | None, doc("Of a journey of the past: what Tandem knew by then; null for all it knows")
    ] | (UnsetType) = UNSET


class JourneySummary(WindowedAnswer, frozen=True, kw_only=True):
    """A journey in short."""

    journey_id: Id
    version: Annotated[int, doc("How many events it is made of")]
    stage: str
    stage_since: Time
    first_seen: Time
    last_seen: Time
    channel: Hideable[Annotated[str | None, doc("Of the first touchpoint")]] = UNSET
    campaign: Hideable[Annotated[str | None, doc("Of the first touchpoint")]] = UNSET
    owner: Hideable[Annotated[str | None, doc("The person who owns the lead")]] = UNSET
    account: Hideable[Annotated[str | None, doc("The account that the person belongs to")]] = UNSET
    score: Hideable[int] = UNSET
    value: Hideable[Annotated[Amounts, doc("Booked, in minor units by currency")]] = UNSET


class JourneyPage(WindowedAnswer, frozen=True, kw_only=True):
    """A page of journeys, in the order of their ids."""

    items: list[JourneySummary]
    next_cursor: NextCursor


class FeedJourney(JourneySummary, frozen=True, kw_only=True):
    """A journey in short, and who it is: as the change feed and audiences show it."""

    identifiers: list[Identifier]
    consent: Consent
