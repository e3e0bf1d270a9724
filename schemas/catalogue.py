"""The catalogue: every known event type and version, who may write it, and how old versions are upcast."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas import joint, marketing, sales
from schemas.departments import TopicDepartment
from schemas.fields import Contract
from schemas.upcasters import opportunity_won_v2, subject_erased_v2


@dataclass(frozen=True, slots=True)
class EventType:
    """One version of an event type."""

    name: str
    version: int
    department: TopicDepartment  #: only its topic may carry the type: law 6 of docs/explanation/laws.md
    data: type[Contract]
    #: turns data of this version into the next; None for the current version
    upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    #: whether it is about a person; events about the playbook are not
    personal: bool = True


_MARKETING: dict[str, type[Contract]] = {
    "page_viewed": marketing.PageViewed,
    "campaign_touched": marketing.CampaignTouched,
    "email_sent": marketing.EmailSent,
    "email_opened": marketing.EmailOpened,
    "email_clicked": marketing.EmailClicked,
    "email_unsubscribed": marketing.EmailUnsubscribed,
    "form_submitted": marketing.FormSubmitted,
    "content_downloaded": marketing.ContentDownloaded,
    "event_attended": marketing.EventAttended,
    "identified": marketing.Identified,
    "consent_changed": marketing.ConsentChanged,
    "lead_captured": marketing.LeadCaptured,
    "lead_qualified": marketing.LeadQualified,
}

_SALES: dict[str, type[Contract]] = {
    "lead_accepted": sales.LeadAccepted,
    "lead_rejected": sales.LeadRejected,
    "lead_recycled": sales.LeadRecycled,
    "lead_converted": sales.LeadConverted,
    "contacts_merged": sales.ContactsMerged,
    "call_logged": sales.CallLogged,
    "meeting_booked": sales.MeetingBooked,
    "meeting_held": sales.MeetingHeld,
    "opportunity_opened": sales.OpportunityOpened,
    "opportunity_stage_changed": sales.OpportunityStageChanged,
    "opportunity_lost": sales.OpportunityLost,
    "contract_renewed": sales.ContractRenewed,
    "contract_cancelled": sales.ContractCancelled,
    "usage_reported": sales.UsageReported,
    "support_ticket_opened": sales.SupportTicketOpened,
    "satisfaction_answered": sales.SatisfactionAnswered,
}

_JOINT: dict[str, type[Contract]] = {
    "identity_joined": joint.IdentityJoined,
    "identity_split": joint.IdentitySplit,
    "identifier_released": joint.IdentifierReleased,
    "handoff_offered": joint.Handoff,
    "handoff_accepted": joint.Handoff,
    "handoff_rejected": joint.Handoff,
    "handoff_withdrawn": joint.Handoff,
}

EVENT_TYPES: tuple[EventType, ...] = (
    *(EventType(name, 1, "marketing", data) for name, data in _MARKETING.items()),
    *(EventType(name, 1, "sales", data) for name, data in _SALES.items()),
    EventType("opportunity_won", 1, "sales", sales.OpportunityWonV1, opportunity_won_v2),
    EventType("opportunity_won", 2, "sales", sales.OpportunityWon),
    EventType("playbook_proposed", 1, "joint", joint.PlaybookProposed, personal=False),
    EventType("playbook_approved", 1, "joint", joint.PlaybookApproved, personal=False),
    EventType("playbook_rejected", 1, "joint", joint.PlaybookRejected, personal=False),
    EventType("playbook_commented", 1, "joint", joint.PlaybookCommented, personal=False),
    EventType("subject_erased", 1, "joint", joint.SubjectErasedV1, subject_erased_v2),
    EventType("subject_erased", 2, "joint", joint.SubjectErased, personal=False),
    *(EventType(name, 1, "joint", data) for name, data in _JOINT.items()),
)

CATALOGUE: dict[tuple[str, int], EventType] = {(one.name, one.version): one for one in EVENT_TYPES}

#: By type: the version that the fold sees.
CURRENT: dict[str, int] = {}
for _type in EVENT_TYPES:
    CURRENT[_type.name] = max(_type.version, CURRENT.get(_type.name, 0))
