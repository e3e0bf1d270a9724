"""The event types, made from the released contracts by sdk/generate.py: do not edit."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

Traits = dict[str, str | int | float | bool | None]


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """The data of one event type; TYPE, VERSION and DEPARTMENT (who may write it) belong to the type."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]
    DEPARTMENT: ClassVar[str]


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount in minor units (cents) of an ISO 4217 currency; XXX where there is none."""

    amount: Annotated[int, Meta(ge=0, le=100_000_000_000_000)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3)]


class CallLogged(EventData, frozen=True, kw_only=True):
    """A call was made or taken."""

    TYPE: ClassVar[str] = "call_logged"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    outcome: Annotated[str, Meta(max_length=2048)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class CampaignTouched(EventData, frozen=True, kw_only=True):
    """Someone saw or clicked an advertisement, or another contact of a campaign."""

    TYPE: ClassVar[str] = "campaign_touched"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None


class ConsentChanged(EventData, frozen=True, kw_only=True):
    """Someone gave or withdrew consent: what the envelope's `consent` says holds from now on."""

    TYPE: ClassVar[str] = "consent_changed"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"


class ContactsMerged(EventData, frozen=True, kw_only=True):
    """The CRM merged records of one person: the event names those that stay and those that went."""

    TYPE: ClassVar[str] = "contacts_merged"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class ContentDownloaded(EventData, frozen=True, kw_only=True):
    """A paper, a price list or the like was fetched."""

    TYPE: ClassVar[str] = "content_downloaded"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    content: Annotated[str, Meta(min_length=1, max_length=256)]
    cost: Money | None = None


class ContractCancelled(EventData, frozen=True, kw_only=True):
    """A customer goes."""

    TYPE: ClassVar[str] = "contract_cancelled"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    reason: Annotated[str, Meta(max_length=2048)] | None = None


class ContractRenewed(EventData, frozen=True, kw_only=True):
    """A customer stays."""

    TYPE: ClassVar[str] = "contract_renewed"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    amount: Annotated[int, Meta(ge=0, le=100_000_000_000_000)] | None = None
    currency: Annotated[str, Meta(max_length=3, pattern="^[A-Z]{3}$")] | None = None
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class EmailClicked(EventData, frozen=True, kw_only=True):
    """A link in a mail was followed."""

    TYPE: ClassVar[str] = "email_clicked"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None
    subject: Annotated[str, Meta(max_length=2048)] | None = None
    url: Annotated[str, Meta(max_length=2048)] | None = None


class EmailOpened(EventData, frozen=True, kw_only=True):
    """A mail was opened."""

    TYPE: ClassVar[str] = "email_opened"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None
    subject: Annotated[str, Meta(max_length=2048)] | None = None


class EmailSent(EventData, frozen=True, kw_only=True):
    """A mail left."""

    TYPE: ClassVar[str] = "email_sent"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None
    subject: Annotated[str, Meta(max_length=2048)] | None = None


class EmailUnsubscribed(EventData, frozen=True, kw_only=True):
    """Someone wants no more mail."""

    TYPE: ClassVar[str] = "email_unsubscribed"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None
    reason: Annotated[str, Meta(max_length=2048)] | None = None


class EventAttended(EventData, frozen=True, kw_only=True):
    """Someone came to a fair, a webinar or the like."""

    TYPE: ClassVar[str] = "event_attended"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None
    event_name: Annotated[str, Meta(min_length=1, max_length=256)]


class FormSubmitted(EventData, frozen=True, kw_only=True):
    """A form was sent in."""

    TYPE: ClassVar[str] = "form_submitted"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None
    form: Annotated[str, Meta(min_length=1, max_length=256)]
    traits: Traits = {}


class HandoffAccepted(EventData, frozen=True, kw_only=True):
    """A hand-off between the departments; the four types say what became of it.

    `handoff`: of an offer, its kind, as the playbook names it; of all others, the hand-off's id."""

    TYPE: ClassVar[str] = "handoff_accepted"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    department: Annotated[str, Meta(max_length=9, pattern="^(marketing|sales)$")] | None = None
    handoff: Annotated[str, Meta(min_length=1, max_length=256)]
    reason: Annotated[str, Meta(max_length=2048)] | None = None


class HandoffOffered(EventData, frozen=True, kw_only=True):
    """A hand-off between the departments; the four types say what became of it.

    `handoff`: of an offer, its kind, as the playbook names it; of all others, the hand-off's id."""

    TYPE: ClassVar[str] = "handoff_offered"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    department: Annotated[str, Meta(max_length=9, pattern="^(marketing|sales)$")] | None = None
    handoff: Annotated[str, Meta(min_length=1, max_length=256)]
    reason: Annotated[str, Meta(max_length=2048)] | None = None


class HandoffRejected(EventData, frozen=True, kw_only=True):
    """A hand-off between the departments; the four types say what became of it.

    `handoff`: of an offer, its kind, as the playbook names it; of all others, the hand-off's id."""

    TYPE: ClassVar[str] = "handoff_rejected"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    department: Annotated[str, Meta(max_length=9, pattern="^(marketing|sales)$")] | None = None
    handoff: Annotated[str, Meta(min_length=1, max_length=256)]
    reason: Annotated[str, Meta(max_length=2048)] | None = None


class HandoffWithdrawn(EventData, frozen=True, kw_only=True):
    """A hand-off between the departments; the four types say what became of it.

    `handoff`: of an offer, its kind, as the playbook names it; of all others, the hand-off's id."""

    TYPE: ClassVar[str] = "handoff_withdrawn"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    department: Annotated[str, Meta(max_length=9, pattern="^(marketing|sales)$")] | None = None
    handoff: Annotated[str, Meta(min_length=1, max_length=256)]
    reason: Annotated[str, Meta(max_length=2048)] | None = None


class Identified(EventData, frozen=True, kw_only=True):
    """A login or sign-up said who someone is, and perhaps more about them."""

    TYPE: ClassVar[str] = "identified"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    traits: Traits = {}


class IdentifierReleased(EventData, frozen=True, kw_only=True):
    """A ruling: from this event's time on, the identifiers it names are new ones and belong to nobody yet.

    For a user id or a phone number that was given to somebody else, and to let go of one in quarantine."""

    TYPE: ClassVar[str] = "identifier_released"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    reason: Annotated[str, Meta(max_length=2048)] | None = None


class IdentityJoined(EventData, frozen=True, kw_only=True):
    """A ruling: the event's identities are one person."""

    TYPE: ClassVar[str] = "identity_joined"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    reason: Annotated[str, Meta(max_length=2048)] | None = None


class IdentitySplit(EventData, frozen=True, kw_only=True):
    """A ruling: the event's identities are not one person."""

    TYPE: ClassVar[str] = "identity_split"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    reason: Annotated[str, Meta(max_length=2048)] | None = None


class LeadAccepted(EventData, frozen=True, kw_only=True):
    """Sales takes the lead (SQL)."""

    TYPE: ClassVar[str] = "lead_accepted"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class LeadCaptured(EventData, frozen=True, kw_only=True):
    """A lead came about."""

    TYPE: ClassVar[str] = "lead_captured"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None
    traits: Traits = {}


class LeadConverted(EventData, frozen=True, kw_only=True):
    """The CRM made a contact of a lead: the event names both, and the account."""

    TYPE: ClassVar[str] = "lead_converted"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class LeadQualified(EventData, frozen=True, kw_only=True):
    """Marketing holds the lead ready for sales (MQL)."""

    TYPE: ClassVar[str] = "lead_qualified"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None
    traits: Traits = {}


class LeadRecycled(EventData, frozen=True, kw_only=True):
    """Sales gives the lead back to marketing, and says why."""

    TYPE: ClassVar[str] = "lead_recycled"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=256)]


class LeadRejected(EventData, frozen=True, kw_only=True):
    """Sales does not take the lead, and says why."""

    TYPE: ClassVar[str] = "lead_rejected"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=256)]


class MeetingBooked(EventData, frozen=True, kw_only=True):
    """A meeting has a date."""

    TYPE: ClassVar[str] = "meeting_booked"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class MeetingHeld(EventData, frozen=True, kw_only=True):
    """A meeting took place."""

    TYPE: ClassVar[str] = "meeting_held"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class OpportunityLost(EventData, frozen=True, kw_only=True):
    """No sale, and why."""

    TYPE: ClassVar[str] = "opportunity_lost"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=256)]


class OpportunityOpened(EventData, frozen=True, kw_only=True):
    """There is something to sell."""

    TYPE: ClassVar[str] = "opportunity_opened"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class OpportunityStageChanged(EventData, frozen=True, kw_only=True):
    """An opportunity moved in the sales process."""

    TYPE: ClassVar[str] = "opportunity_stage_changed"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    stage: Annotated[str, Meta(min_length=1, max_length=256)]


class OpportunityWon(EventData, frozen=True, kw_only=True):
    """A sale, its amount in minor units."""

    TYPE: ClassVar[str] = "opportunity_won"
    VERSION: ClassVar[int] = 2
    DEPARTMENT: ClassVar[str] = "sales"
    amount: Annotated[int, Meta(ge=0, le=100_000_000_000_000)]
    currency: Annotated[str, Meta(max_length=3, pattern="^[A-Z]{3}$")]
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    traits: Traits = {}


class PageViewed(EventData, frozen=True, kw_only=True):
    """Someone looked at a page."""

    TYPE: ClassVar[str] = "page_viewed"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "marketing"
    campaign: Annotated[str, Meta(max_length=256)] | None = None
    channel: Annotated[str, Meta(max_length=128)] | None = None
    cost: Money | None = None
    referrer: Annotated[str, Meta(max_length=2048)] | None = None
    title: Annotated[str, Meta(max_length=2048)] | None = None
    url: Annotated[str, Meta(max_length=2048)]


class PlaybookApproved(EventData, frozen=True, kw_only=True):
    """One department approves a proposed playbook: the text that has this digest."""

    TYPE: ClassVar[str] = "playbook_approved"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)]
    department: Annotated[str, Meta(max_length=9, pattern="^(marketing|sales)$")] | None = None
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    proposal: Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] | None = None


class PlaybookCommented(EventData, frozen=True, kw_only=True):
    """Somebody comments on a proposed playbook."""

    TYPE: ClassVar[str] = "playbook_commented"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)]
    comment: Annotated[str, Meta(max_length=2048)]
    department: Annotated[str, Meta(max_length=9, pattern="^(marketing|sales)$")]
    proposal: Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class PlaybookProposed(EventData, frozen=True, kw_only=True):
    """One department proposes a playbook. The event's id is the proposal's.

    It comes into force at `effective_at` (RFC 3339), or once both departments have approved it, whichever is later."""

    TYPE: ClassVar[str] = "playbook_proposed"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)]
    comment: Annotated[str, Meta(max_length=2048)] | None = None
    department: Annotated[str, Meta(max_length=9, pattern="^(marketing|sales)$")] | None = None
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    effective_at: Annotated[str, Meta(max_length=40)] | None = None
    playbook: Annotated[str, Meta(max_length=262_144)]


class PlaybookRejected(EventData, frozen=True, kw_only=True):
    """One department rejects a proposed playbook, and says why."""

    TYPE: ClassVar[str] = "playbook_rejected"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)]
    department: Annotated[str, Meta(max_length=9, pattern="^(marketing|sales)$")]
    proposal: Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    reason: Annotated[str, Meta(max_length=2048)]


class SatisfactionAnswered(EventData, frozen=True, kw_only=True):
    """A customer answered how satisfied they are."""

    TYPE: ClassVar[str] = "satisfaction_answered"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    score: Annotated[int, Meta(ge=0, le=10)]


class SubjectErased(EventData, frozen=True, kw_only=True):
    """A person is erased: all events up to this one's time that name one of the hidden identifiers."""

    TYPE: ClassVar[str] = "subject_erased"
    VERSION: ClassVar[int] = 2
    DEPARTMENT: ClassVar[str] = "joint"
    by: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    events: tuple[str, ...] = ()
    reason: Annotated[str, Meta(max_length=2048)] | None = None
    secret: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    shared: tuple[str, ...] = ()
    subjects: tuple[str, ...]


class SupportTicketOpened(EventData, frozen=True, kw_only=True):
    """A customer asks for help."""

    TYPE: ClassVar[str] = "support_ticket_opened"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    subject: Annotated[str, Meta(max_length=2048)] | None = None


class UsageReported(EventData, frozen=True, kw_only=True):
    """How much a customer has used."""

    TYPE: ClassVar[str] = "usage_reported"
    VERSION: ClassVar[int] = 1
    DEPARTMENT: ClassVar[str] = "sales"
    opportunity: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    quantity: Annotated[int, Meta(ge=-9_223_372_036_854_775_808, le=9_223_372_036_854_775_807)] | None = None
    unit: Annotated[str, Meta(max_length=2048)] | None = None


#: Every known type in its current version.
EVENT_TYPES: dict[str, type[EventData]] = {
    CallLogged.TYPE: CallLogged,
    CampaignTouched.TYPE: CampaignTouched,
    ConsentChanged.TYPE: ConsentChanged,
    ContactsMerged.TYPE: ContactsMerged,
    ContentDownloaded.TYPE: ContentDownloaded,
    ContractCancelled.TYPE: ContractCancelled,
    ContractRenewed.TYPE: ContractRenewed,
    EmailClicked.TYPE: EmailClicked,
    EmailOpened.TYPE: EmailOpened,
    EmailSent.TYPE: EmailSent,
    EmailUnsubscribed.TYPE: EmailUnsubscribed,
    EventAttended.TYPE: EventAttended,
    FormSubmitted.TYPE: FormSubmitted,
    HandoffAccepted.TYPE: HandoffAccepted,
    HandoffOffered.TYPE: HandoffOffered,
    HandoffRejected.TYPE: HandoffRejected,
    HandoffWithdrawn.TYPE: HandoffWithdrawn,
    Identified.TYPE: Identified,
    IdentifierReleased.TYPE: IdentifierReleased,
    IdentityJoined.TYPE: IdentityJoined,
    IdentitySplit.TYPE: IdentitySplit,
    LeadAccepted.TYPE: LeadAccepted,
    LeadCaptured.TYPE: LeadCaptured,
    LeadConverted.TYPE: LeadConverted,
    LeadQualified.TYPE: LeadQualified,
    LeadRecycled.TYPE: LeadRecycled,
    LeadRejected.TYPE: LeadRejected,
    MeetingBooked.TYPE: MeetingBooked,
    MeetingHeld.TYPE: MeetingHeld,
    OpportunityLost.TYPE: OpportunityLost,
    OpportunityOpened.TYPE: OpportunityOpened,
    OpportunityStageChanged.TYPE: OpportunityStageChanged,
    OpportunityWon.TYPE: OpportunityWon,
    PageViewed.TYPE: PageViewed,
    PlaybookApproved.TYPE: PlaybookApproved,
    PlaybookCommented.TYPE: PlaybookCommented,
    PlaybookProposed.TYPE: PlaybookProposed,
    PlaybookRejected.TYPE: PlaybookRejected,
    SatisfactionAnswered.TYPE: SatisfactionAnswered,
    SubjectErased.TYPE: SubjectErased,
    SupportTicketOpened.TYPE: SupportTicketOpened,
    UsageReported.TYPE: UsageReported,
}
