"""The task that the peers do: whose journey an event belongs to, and what it scores."""

from typing import Any

#: Points by event type, as in the default playbook, but for every event and not once a day.
POINTS = {
    "page_viewed": 1,
    "campaign_touched": 2,
    "email_opened": 2,
    "email_clicked": 5,
    "content_downloaded": 10,
    "form_submitted": 15,
    "event_attended": 20,
}


def journey_of(event: dict[str, Any]) -> str:
    """The key of an event's journey: the user's, else the first identity's."""
    identities = event["identities"]
    chosen = next((identity for identity in identities if identity["type"] == "user_id"), identities[0])
    return f"{chosen['type']}:{chosen['value']}"
