# Made from schemas/answers by sdk/generate_answers.py: do not edit.
"""The API's answers. Times are RFC 3339 text in UTC, amounts minor units (cents) by ISO 4217 currency.

A field that the reader's rights hide, or that is not there, is UNSET, which is false; None is a value that is null.
Fields that a newer Tandem adds are left out.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tandem.identifiers import Identifier


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object of an answer, or a part of one."""


class Accepted(Answer, frozen=True, kw_only=True, tag_field="status", tag="accepted"):
    """The broker has acknowledged the event: it is in the log, at this place."""

    id: str
    topic: str
    partition: int
    offset: int


class Account(Answer, frozen=True, kw_only=True):
    """An account. Stages and score are of those who belong to it now; the value is what was booked meanwhile."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    account: str | UnsetType = UNSET
    #: People who belong to it now
    journeys: int
    #: People who belonged to it before
    former: int
    #: Journeys by stage
    stages: dict[str, int]
    score: int | UnsetType = UNSET
    #: Booked while people belonged to it, in minor units by currency
    value: dict[str, int] | UnsetType = UNSET
    last_seen: str


class AccountStay(Answer, frozen=True, kw_only=True):
    """A time during which the person belonged to an account."""

    account: str
    since: str
    #: Null: to this day
    until: str | None
    #: Whether an event names the account, or only an address. One of email domain, event
    known_by: str
    #: Booked during the stay, in minor units by currency
    value: dict[str, int] | UnsetType = UNSET


class Attribution(Answer, frozen=True, kw_only=True):
    """Credit for what was booked, by channel or campaign."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    model: str
    #: One of campaign, channel
    by: str
    groups: tuple[AttributionGroup, ...]
    unattributed: Unattributed
    total: AttributionTotal


class AttributionGroup(Answer, frozen=True, kw_only=True):
    """One channel or campaign."""

    #: Only where credit is given by channel
    channel: str | UnsetType | None = UNSET
    #: Only where credit is given by campaign
    campaign: str | UnsetType | None = UNSET
    #: Minor units by ISO 4217 currency
    credit: dict[str, int]
    #: By currency: the share of what was booked, 0 to 1
    share: dict[str, float | None]
    bookings: int
    touchpoints: TouchpointTotal | UnsetType = UNSET


class AttributionTotal(Answer, frozen=True, kw_only=True):
    """All that was booked: the groups and what is unattributed add up to it."""

    #: Minor units by ISO 4217 currency
    credit: dict[str, int]
    #: By currency: the share of what was booked, 0 to 1
    share: dict[str, float | None]
    bookings: int
    touchpoints: TouchpointTotal | UnsetType = UNSET


class AudienceList(Answer, frozen=True, kw_only=True):
    """The playbook's audiences."""

    items: tuple[AudienceSize, ...]


class AudienceSize(Answer, frozen=True, kw_only=True):
    """How many are in an audience."""

    audience: str
    members: int
    #: The stages that it takes people from; none stands for all
    stages: tuple[str, ...]


class ChangeDetail(Answer, frozen=True, kw_only=True):
    """What a change of the kinds handoff, entered, left and credit is about; each kind has its own fields."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    handoff: str | UnsetType = UNSET
    #: handoff: its kind
    kind: str | UnsetType = UNSET
    #: handoff: the team that receives it
    team: str | UnsetType = UNSET
    #: handoff: what happened; ends in -retracted for what is so no more
    what: str | UnsetType = UNSET
    #: handoff: when, in microseconds since 1970 UTC
    happened_at: int | UnsetType | None = UNSET
    #: entered, left: which one
    audience: str | UnsetType = UNSET
    #: credit: what is to be added to it
    lines: tuple[CreditLine, ...] | UnsetType = UNSET


class ChannelMove(Answer, frozen=True, kw_only=True):
    """A channel's credit under both."""

    channel: str | None
    #: Minor units (cents) by ISO 4217 currency
    now: dict[str, int]
    #: Minor units (cents) by ISO 4217 currency
    then: dict[str, int]


class Conflict(Answer, frozen=True, kw_only=True):
    """A link that was refused."""

    #: The two, as type:value
    identifiers: tuple[str, ...]
    #: The journey of each
    journeys: tuple[str, ...]
    #: One of crm, crm-merge, form, login, ruling
    authority: str
    at: str
    event: EventRef
    holds: bool
    #: Null where it holds; else contested, claim, split, breaker, or the type whose limit it breaks
    reason: str | None


class Contact(Answer, frozen=True, kw_only=True):
    """The person behind something: what systems find their own records by."""

    journey_id: str
    identifiers: tuple[Identifier, ...]
    #: By purpose: whether the person consented, as was said last
    consent: dict[str, bool]


class CreditLine(Answer, frozen=True, kw_only=True):
    """What is to be added to the credit of a channel and campaign."""

    channel: str | None
    campaign: str | None
    currency: str
    #: Minor units, with their sign
    amount: int


class CreditMove(Answer, frozen=True, kw_only=True):
    """Credit under both."""

    model: ModelMove
    channels: tuple[ChannelMove, ...]


class DeadLetter(Answer, frozen=True, kw_only=True):
    """A record that could not be applied, and why."""

    topic: str
    partition: int
    offset: int
    #: Such as not_json or missing_field: docs/events.md lists them
    reason: str
    #: Dotted path; empty for the record as a whole
    field: str
    #: What is wrong, and what to do about it
    message: str
    #: Its length; null for a tombstone
    bytes: int | None
    recorded_at: str


class Diff(Answer, frozen=True, kw_only=True):
    """What changed in a journey between two times, and which events did it."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    #: What was true then, or what Tandem knew then. One of known, true
    axis: str
    from_: str = msgspec.field(name="from")
    to: str
    differences: tuple[Difference, ...]
    events: tuple[RecordedEvent, ...]


class Difference(Answer, frozen=True, kw_only=True):
    """One field of the journey: of a list what was removed and added, of anything else what it was and is."""

    #: A field of the journey
    field: str
    removed: tuple[Any, ...] | UnsetType = UNSET
    added: tuple[Any, ...] | UnsetType = UNSET
    before: Any | UnsetType = UNSET
    after: Any | UnsetType = UNSET


class EventRef(Answer, frozen=True, kw_only=True):
    """An event, by its id and its source."""

    id: str
    source: str


class FeedJourney(Answer, frozen=True, kw_only=True):
    """A journey in short, and who it is: as the change feed and audiences show it."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    journey_id: str
    #: How many events it is made of
    version: int
    stage: str
    stage_since: str
    first_seen: str
    last_seen: str
    #: Of the first touchpoint
    channel: str | UnsetType | None = UNSET
    #: Of the first touchpoint
    campaign: str | UnsetType | None = UNSET
    #: The person who owns the lead
    owner: str | UnsetType | None = UNSET
    #: The account that the person belongs to
    account: str | UnsetType | None = UNSET
    score: int | UnsetType = UNSET
    #: Booked, in minor units by currency
    value: dict[str, int] | UnsetType = UNSET
    identifiers: tuple[Identifier, ...]
    #: By purpose: whether the person consented, as was said last
    consent: dict[str, bool]


class Funnel(Answer, frozen=True, kw_only=True):
    """How many journeys reached each stage."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    total: FunnelGroup
    #: One of campaign, channel
    by: str | None
    groups: tuple[FunnelGroup, ...]


class FunnelGroup(Answer, frozen=True, kw_only=True):
    """The funnel of all journeys, or of those with one channel or campaign."""

    #: Of the first touchpoint; only where the funnel is split by it
    channel: str | UnsetType | None = UNSET
    #: Of the first touchpoint; only where the funnel is split by it
    campaign: str | UnsetType | None = UNSET
    journeys: int
    stages: tuple[FunnelStage, ...]
    #: Journeys that are in stages beside the main line
    beside: dict[str, int]
    #: Booked, in minor units by currency
    value: dict[str, int] | UnsetType = UNSET


class FunnelMove(Answer, frozen=True, kw_only=True):
    """The funnel under both."""

    now: StageCounts
    then: StageCounts


class FunnelStage(Answer, frozen=True, kw_only=True):
    """One stage of the main line."""

    stage: str
    #: Journeys that met its criterion, or a later stage's
    reached: int
    #: Journeys that are in it
    now: int
    #: Share of those that reached the stage before, 0 to 1
    conversion: float | None
    #: From the stage before, over journeys that met both criteria in order
    median_seconds: float | None


class Handoff(Answer, frozen=True, kw_only=True):
    """A hand-off as it is at a time: who offers what to whom, and by when."""

    id: str
    #: Use `id`: gone in the next release
    handoff: str | UnsetType = UNSET
    #: As the playbook names it
    kind: str
    #: The department that offers. One of marketing, sales
    from_: str = msgspec.field(name="from")
    #: The department that receives. One of marketing, sales
    to: str
    #: The team that receives
    team: str
    #: The tier of deadlines that was promised; null where nothing is
    tier: str | None
    #: One of accepted, expired, offered, rejected, resolved, superseded, withdrawn
    state: str
    since: str
    #: The person who has accepted it
    owner: str | UnsetType | None = UNSET
    #: Somebody else who has accepted it, too: the two should talk
    rival: str | UnsetType | None = UNSET
    #: The reason of a rejection or withdrawal
    note: str | UnsetType | None = UNSET
    #: The hand-off that took its place
    superseded_by: str | None
    offered_at: str
    #: When the receiving side first did something about it
    touched_at: str | None
    remind_at: str | None
    #: Deadline of the first touch
    touch_due: str | None
    #: Deadline of the resolution
    resolution_due: str | None
    expires_at: str | None
    #: The deadline that it waits for; null where it waits for none
    due_at: str | None
    overdue: bool
    #: Deadlines that were missed
    breaches: tuple[str, ...]
    #: The event that offered it; null where silence did
    event: EventRef | None


class HandoffDecided(Answer, frozen=True, kw_only=True):
    """A decision that was published."""

    event: Accepted
    handoff: str


class HandoffDetails(Answer, frozen=True, kw_only=True):
    """One hand-off with all that has happened to it, in order."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    handoff: Handoff
    journey: Contact
    history: tuple[Happening, ...]


class HandoffItem(Answer, frozen=True, kw_only=True):
    """A hand-off and whom it is about."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    handoff: Handoff
    journey: Contact


class HandoffMove(Answer, frozen=True, kw_only=True):
    """Hand-offs, or missed deadlines, that would appear or vanish."""

    kind: str
    #: offered, or the deadline that was missed: first-touch, resolution
    what: str
    appear: int
    vanish: int


class HandoffReport(Answer, frozen=True, kw_only=True):
    """How hand-offs went, by kind and tier."""

    items: tuple[HandoffReportLine, ...]


class HandoffReportLine(Answer, frozen=True, kw_only=True):
    """How the hand-offs of one kind and tier went. Superseded ones do not count."""

    kind: str
    team: str
    tier: str | None
    offered: int
    open: int
    accepted: int
    rejected: int
    resolved: int
    expired: int
    #: First touches in time
    touch_met: int
    touch_missed: int
    #: Resolutions in time
    resolution_met: int
    resolution_missed: int


class Happening(Answer, frozen=True, kw_only=True):
    """Something that happened to a hand-off."""

    at: str
    #: Such as offered, reminded, touched, touch-breached, accepted
    what: str
    #: The clock brought it about, not an event
    by_time: bool


class IdentityExplanation(Answer, frozen=True, kw_only=True):
    """Why two identifiers are one person, or why not."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    #: The two, as they were asked for
    identifiers: tuple[str, ...]
    #: Their journeys; null for one that no event has named
    journeys: tuple[str | None, ...]
    one_person: bool
    #: In words
    because: str
    #: The ruling on the two themselves
    ruling: Ruling | None
    #: The shortest chain of links between the two
    path: tuple[PathStep, ...]


class IgnoredDecision(Answer, frozen=True, kw_only=True):
    """A decision about a hand-off that does not count, and why."""

    at: str
    #: The event's type
    type: str
    #: The hand-off, or the kind of one, as the event names it
    handoff: str | None
    by: str | None
    because: str
    event: EventRef


class Journey(Answer, frozen=True, kw_only=True):
    """One person's journey, as it is at `as_of`."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    journey_id: str
    #: How many events it is made of
    version: int
    stage: str
    stage_since: str
    #: All stages entered, in order
    history: tuple[StageEntry, ...]
    #: By stage: when its criterion was first met
    reached: dict[str, str]
    #: What is odd: a later stage's criterion was met before an earlier one's
    flags: tuple[str, ...]
    identifiers: tuple[SeenIdentifier, ...]
    refused_links: tuple[RefusedLink, ...]
    touchpoints: tuple[Touchpoint, ...] | UnsetType = UNSET
    milestones: tuple[Milestone, ...] | UnsetType = UNSET
    #: Events by type
    activity: dict[str, int] | UnsetType = UNSET
    #: In the order in which they were offered
    handoffs: tuple[Handoff, ...]
    ignored_decisions: tuple[IgnoredDecision, ...]
    #: The playbook's audiences that the person is in
    audiences: tuple[str, ...]
    #: By name: the value that holds
    traits: dict[str, str | int | float | bool | None] | UnsetType = UNSET
    #: By name: what each source said
    trait_sources: dict[str, tuple[TraitSource, ...]] | UnsetType = UNSET
    #: By purpose: whether the person consented, as was said last
    consent: dict[str, bool]
    #: The account that the person belongs to
    account: str | UnsetType | None = UNSET
    #: All accounts, in order of time
    accounts: tuple[AccountStay, ...] | UnsetType = UNSET
    #: The person who owns the lead
    owner: str | UnsetType | None = UNSET
    score: int | UnsetType = UNSET
    #: Booked, in minor units by currency
    value: dict[str, int] | UnsetType = UNSET
    first_seen: str
    last_seen: str
    as_of: str
    #: Of a journey of the past: what Tandem knew by then; null for all it knows
    known_at: str | UnsetType | None = UNSET


class JourneyExplanation(Answer, frozen=True, kw_only=True):
    """Why a journey is in its stages."""

    journey_id: str
    stages: tuple[StageReason, ...]


class JourneySummary(Answer, frozen=True, kw_only=True):
    """A journey in short."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    journey_id: str
    #: How many events it is made of
    version: int
    stage: str
    stage_since: str
    first_seen: str
    last_seen: str
    #: Of the first touchpoint
    channel: str | UnsetType | None = UNSET
    #: Of the first touchpoint
    campaign: str | UnsetType | None = UNSET
    #: The person who owns the lead
    owner: str | UnsetType | None = UNSET
    #: The account that the person belongs to
    account: str | UnsetType | None = UNSET
    score: int | UnsetType = UNSET
    #: Booked, in minor units by currency
    value: dict[str, int] | UnsetType = UNSET


class LinkedPair(Answer, frozen=True, kw_only=True):
    """A link between two identifiers."""

    #: The two, as type:value
    identifiers: tuple[str, ...]
    #: One of crm, crm-merge, form, login, ruling
    authority: str
    at: str
    event: EventRef
    holds: bool
    #: Null where it holds; else contested, claim, split, breaker, or the type whose limit it breaks
    reason: str | None


class LogPlace(Answer, frozen=True, kw_only=True):
    """Where an event lies in the log."""

    topic: str
    partition: int
    offset: int
    recorded_at: str


class Milestone(Answer, frozen=True, kw_only=True):
    """An event that counts by itself."""

    at: str
    #: The event's type
    type: str
    #: Minor units, of a sale
    amount: int | UnsetType | None = UNSET
    #: ISO 4217, of the amount
    currency: str | UnsetType | None = UNSET
    #: Why a lead was rejected or a sale lost; an opportunity's stage
    note: str | UnsetType | None = UNSET
    event: EventRef


class ModelMove(Answer, frozen=True, kw_only=True):
    """The models of attribution under both."""

    now: str
    then: str


class NextPlaybook(Answer, frozen=True, kw_only=True):
    """A playbook that is agreed to follow."""

    proposal: str
    name: str
    in_force_since: str


class PathStep(Answer, frozen=True, kw_only=True):
    """One link of the chain between two identifiers."""

    #: type:value
    from_: str = msgspec.field(name="from")
    #: type:value
    to: str
    #: One of crm, crm-merge, form, login, ruling
    authority: str
    at: str
    event: EventRef
    holds: bool
    #: Null where it holds; else contested, claim, split, breaker, or the type whose limit it breaks
    reason: str | None
    #: Null where the event is not in the archive yet
    place: LogPlace | None


class Person(Answer, frozen=True, kw_only=True):
    """Who an identifier is: all identifiers of the person, and what ties them."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    journey_id: str
    #: Other journey ids that find the same journey
    also_found_by: tuple[str, ...]
    events: int
    identifiers: tuple[PersonIdentifier, ...]
    links: tuple[LinkedPair, ...]
    #: Pairs, as type:value
    joined_by_ruling: tuple[tuple[str, ...], ...]
    #: Pairs, as type:value
    split_by_ruling: tuple[tuple[str, ...], ...]


class PersonIdentifier(Identifier, frozen=True, kw_only=True):
    """An identifier of a person, and from when to when it was seen."""

    first_seen: str
    last_seen: str
    quarantined: bool


class PlaybookInForce(Answer, frozen=True, kw_only=True):
    """The playbook in force at a time, with its text."""

    name: str
    #: Null for the one that the projection began with
    in_force_since: str | None
    #: Null for the one that the projection began with
    proposal: str | None
    #: SHA-256 of its text, as hex
    digest: str
    next: tuple[NextPlaybook, ...]
    #: Whether stored journeys still follow the last change
    following: bool
    #: YAML
    playbook: str


class PlaybookWord(Answer, frozen=True, kw_only=True):
    """What one department said of a proposal, and whether it counts."""

    #: One of approve, comment, reject
    decision: str
    #: One of marketing, sales
    department: str | None
    by: str
    at: str
    #: The reason or the comment; null of an approval
    text: str | None
    event: EventRef
    counts: bool
    #: Why it does not count; null where it does
    because: str | None


class PreviewedJourney(Answer, frozen=True, kw_only=True):
    """A journey before or after a ruling."""

    journey_id: str
    #: type:value
    identifiers: tuple[str, ...]
    events: int
    stage: str
    #: Booked, in minor units by currency
    value: dict[str, int] | UnsetType = UNSET


class Proposal(Answer, frozen=True, kw_only=True):
    """A proposed playbook, and what became of it."""

    proposal: str
    #: The playbook's name; null where the text is no playbook
    name: str | None
    #: One of agreed, in-force, open, rejected, void
    state: str
    #: Why it is void, or was rejected
    reason: str | None
    #: The department that proposed it. One of marketing, sales
    department: str | None
    by: str
    proposed_at: str
    #: Null: as soon as both departments have approved it
    effective_at: str | None
    #: Null where it is not agreed
    in_force_since: str | None
    #: SHA-256 of its text, as hex: what approvals name
    digest: str | None
    comment: str | None
    #: By department: who approved it
    approved_by: dict[str, str]
    #: All that was said of it, in order of time
    decisions: tuple[PlaybookWord, ...]
    #: YAML; only where one proposal is asked for
    playbook: str | UnsetType = UNSET


class ProposalList(Answer, frozen=True, kw_only=True):
    """All proposals in the order in which they were made: the log of joint planning."""

    items: tuple[Proposal, ...]
    #: Words about proposals that do not exist
    stray: tuple[StrayWord, ...]


class ProposalPublished(Answer, frozen=True, kw_only=True):
    """A proposal, or a decision about one, that was published."""

    event: Accepted
    proposal: str


class Published(Answer, frozen=True, kw_only=True):
    """One result for each event of the request, in order."""

    results: tuple[Accepted | Rejected, ...]


class QuarantinedIdentifier(Answer, frozen=True, kw_only=True):
    """An identifier that too many others are linked to."""

    #: type:value
    identifier: str
    #: How many identifiers events linked to it
    victims: int
    since: str | None
    #: When a release ended it
    released_at: str | None


class Read(Answer, frozen=True, kw_only=True):
    """One answer with personal data."""

    at: str
    #: The token's subject, or the API key's id
    reader: str
    #: All roles of the reader, with commas
    role: str
    endpoint: str
    #: The request's parameters
    asked: dict[str, Any]
    #: Whose data was in the answer
    journeys: tuple[str, ...]


class ReasonEvent(Answer, frozen=True, kw_only=True):
    """The event behind a stage; its place is null where it is not in the archive yet."""

    id: str
    source: str | None
    type: str | None
    topic: str | None
    partition: int | None
    offset: int | None


class ReasonPlaybook(Answer, frozen=True, kw_only=True):
    """The playbook that was in force."""

    digest: str
    #: Null for the one that the projection began with
    proposal: str | None
    #: Null for the one that the projection began with
    in_force_since: str | None


class RecordedEvent(Answer, frozen=True, kw_only=True):
    """An event and where it lies in the log, without what is in it."""

    id: str
    source: str
    type: str
    occurred_at: str
    committed_at: str
    topic: str
    partition: int
    offset: int
    #: Whether it is there at the later time and was not at the earlier one
    added: bool


class RefusedLink(Answer, frozen=True, kw_only=True):
    """A link to another person that was refused, and kept."""

    #: Those of this journey that it names, as type:value
    identifiers: tuple[str, ...]
    #: The two ends, each as the journey id that its identifier gives
    journeys: tuple[str, ...]
    #: Why: contested, claim, split, breaker, or the identifier type whose limit it breaks
    reason: str | None
    #: One of crm, crm-merge, form, login, ruling
    authority: str
    at: str
    event: EventRef


class Rejected(Answer, frozen=True, kw_only=True, tag_field="status", tag="rejected"):
    """The event breaks its contract, or the caller may not publish it: nothing is in the log."""

    #: Such as missing_field or not_allowed: docs/events.md lists them
    reason: str
    #: Dotted path; empty for the event as a whole
    field: str
    #: What is wrong, and what to do about it
    message: str


class Ruling(Answer, frozen=True, kw_only=True):
    """The ruling on two identifiers, with what was said for it."""

    #: One of join, split
    ruling: str
    at: str
    reason: str | None
    by: str | None
    event: EventRef
    #: Null where the event is not in the archive yet
    place: LogPlace | None


class RulingPreview(Answer, frozen=True, kw_only=True):
    """What a ruling would move. Journeys that stay as they are, are not listed."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    before: tuple[PreviewedJourney, ...]
    after: tuple[PreviewedJourney, ...]
    events_moved: int
    #: It moves more than the playbook lets a ruling move unasked
    needs_confirmation: bool
    #: Why the ruling, or a part of it, would have no effect
    warnings: tuple[str, ...]


class RulingPublished(Answer, frozen=True, kw_only=True):
    """A ruling that was published, and what it moves."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    before: tuple[PreviewedJourney, ...]
    after: tuple[PreviewedJourney, ...]
    events_moved: int
    #: It moves more than the playbook lets a ruling move unasked
    needs_confirmation: bool
    #: Why the ruling, or a part of it, would have no effect
    warnings: tuple[str, ...]
    event: Accepted


class SeenIdentifier(Identifier, frozen=True, kw_only=True):
    """An identifier, and when it was first seen."""

    first_seen: str


class StageCount(Answer, frozen=True, kw_only=True):
    """One stage of the main line."""

    stage: str
    reached: int
    now: int


class StageCounts(Answer, frozen=True, kw_only=True):
    """The funnel under one of the two playbooks."""

    stages: tuple[StageCount, ...]
    #: Journeys that are in stages beside the main line
    beside: dict[str, int]


class StageEntry(Answer, frozen=True, kw_only=True):
    """A stage that was entered, and what led to it."""

    stage: str
    at: str
    #: One of event, silence
    cause: str
    #: Null where silence was the cause
    event: EventRef | None


class StageMove(Answer, frozen=True, kw_only=True):
    """Journeys that would be in another stage."""

    stage_from: str
    stage_to: str
    journeys: int
    #: Journey ids: five at most
    examples: tuple[str, ...]


class StageReason(Answer, frozen=True, kw_only=True):
    """Why a stage was entered."""

    stage: str
    at: str
    #: The rule, in words
    because: str
    #: Null where silence was the cause
    event: ReasonEvent | None
    playbook: ReasonPlaybook


class StrayWord(Answer, frozen=True, kw_only=True):
    """What was said of a proposal that does not exist."""

    #: One of approve, comment, reject
    decision: str
    #: One of marketing, sales
    department: str | None
    by: str
    at: str
    #: The reason or the comment; null of an approval
    text: str | None
    event: EventRef
    counts: bool
    #: Why it does not count; null where it does
    because: str | None
    #: As it was named; null where none was
    proposal: str | None


class Touchpoint(Answer, frozen=True, kw_only=True):
    """A touch of marketing, or all equal ones of a day."""

    at: str
    #: The event's type
    type: str
    channel: str | UnsetType = UNSET
    campaign: str | UnsetType | None = UNSET
    #: How many events of the day are in it
    count: int | UnsetType = UNSET
    cost: dict[str, int] | UnsetType | None = UNSET
    #: The first event
    event: EventRef


class TouchpointTotal(Answer, frozen=True, kw_only=True):
    """How many touchpoints there were, and what they cost."""

    count: int | UnsetType = UNSET
    #: Minor units (cents) by ISO 4217 currency
    cost: dict[str, int] | UnsetType = UNSET


class TraitSource(Answer, frozen=True, kw_only=True):
    """What one source said of a trait."""

    value: str | int | float | bool | None
    at: str
    event: EventRef
    #: Whether the trait has this value
    holds: bool


class Unattributed(Answer, frozen=True, kw_only=True):
    """What was booked without a touchpoint before it."""

    #: Minor units by ISO 4217 currency
    credit: dict[str, int]
    #: By currency: the share of what was booked, 0 to 1
    share: dict[str, float | None]
    bookings: int


class Victim(Answer, frozen=True, kw_only=True):
    """A journey that events linked to an identifier in quarantine."""

    journey_id: str
    at: str


class WhatIf(Answer, frozen=True, kw_only=True):
    """What would be different."""

    #: Names of the fields that the reader's window hides; absent where none is
    hidden: tuple[str, ...] | UnsetType = UNSET
    since: str
    at: str
    journeys: int
    #: Journeys that would be in another stage
    changed: int
    moves: tuple[StageMove, ...]
    handoffs: tuple[HandoffMove, ...]
    funnel: FunnelMove
    #: Null where both give credit in the same way
    credit: CreditMove | UnsetType | None = UNSET
