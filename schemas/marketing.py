"""Marketing's event types."""

from schemas.fields import Contract, Name, Text, Touch, Traits


class PageViewed(Touch):
    """Someone looked at a page."""

    url: Text
    title: Text | None = None
    referrer: Text | None = None


class CampaignTouched(Touch):
    """Someone saw or clicked an advertisement, or another contact of a campaign."""


class EmailSent(Touch):
    """A mail left."""

    subject: Text | None = None


class EmailOpened(Touch):
    """A mail was opened."""

    subject: Text | None = None


class EmailClicked(Touch):
    """A link in a mail was followed."""

    subject: Text | None = None
    url: Text | None = None


class EmailUnsubscribed(Touch):
    """Someone wants no more mail."""

    reason: Text | None = None


class FormSubmitted(Touch):
    """A form was sent in."""

    form: Name
    traits: Traits = {}


class ContentDownloaded(Touch):
    """A paper, a price list or the like was fetched."""

    content: Name


class EventAttended(Touch):
    """Someone came to a fair, a webinar or the like."""

    event_name: Name


class Identified(Contract):
    """A login or sign-up said who someone is, and perhaps more about them."""

    traits: Traits = {}


class ConsentChanged(Contract):
    """Someone gave or withdrew consent: what the envelope's `consent` says holds from now on."""


class LeadCaptured(Touch):
    """A lead came about."""

    traits: Traits = {}


class LeadQualified(Touch):
    """Marketing holds the lead ready for sales (MQL)."""

    traits: Traits = {}
