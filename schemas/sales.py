"""Sales' event types."""

from typing import Annotated

from pydantic import Field

from schemas.fields import Amount, Currency, Int64, Name, SalesFact, Text, Traits


class LeadAccepted(SalesFact):
    """Sales takes the lead (SQL)."""


class LeadRejected(SalesFact):
    """Sales does not take the lead, and says why."""

    reason: Name


class LeadRecycled(SalesFact):
    """Sales gives the lead back to marketing, and says why."""

    reason: Name


class LeadConverted(SalesFact):
    """The CRM made a contact of a lead: the event names both, and the account."""


class ContactsMerged(SalesFact):
    """The CRM merged records of one person: the event names those that stay and those that went."""


class CallLogged(SalesFact):
    """A call was made or taken."""

    outcome: Text | None = None


class MeetingBooked(SalesFact):
    """A meeting has a date."""


class MeetingHeld(SalesFact):
    """A meeting took place."""


class OpportunityOpened(SalesFact):
    """There is something to sell."""


class OpportunityStageChanged(SalesFact):
    """An opportunity moved in the sales process."""

    stage: Name


class OpportunityWonV1(SalesFact):
    """A sale, its amount as decimal text in major units: version 1, upcast to version 2."""

    amount: Annotated[str, Field(pattern=r"^[0-9]{1,12}([.][0-9]{1,4})?$")]
    currency: Currency


class OpportunityWon(SalesFact):
    """A sale, its amount in minor units."""

    amount: Amount
    currency: Currency
    traits: Traits = {}


class OpportunityLost(SalesFact):
    """No sale, and why."""

    reason: Name


class ContractRenewed(SalesFact):
    """A customer stays."""

    amount: Amount | None = None
    currency: Currency | None = None


class ContractCancelled(SalesFact):
    """A customer goes."""

    reason: Text | None = None


class UsageReported(SalesFact):
    """How much a customer has used."""

    quantity: Int64 | None = None
    unit: Text | None = None


class SupportTicketOpened(SalesFact):
    """A customer asks for help."""

    subject: Text | None = None


class SatisfactionAnswered(SalesFact):
    """A customer answered how satisfied they are."""

    score: Annotated[int, Field(ge=0, le=10)]
