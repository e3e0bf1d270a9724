"""Events about the playbook: who proposed, approved, rejected or commented."""

from typing import Any, NamedTuple

from schemas.event import Event, Order

PROPOSED, APPROVED = "playbook_proposed", "playbook_approved"
REJECTED, COMMENTED = "playbook_rejected", "playbook_commented"
#: Joint events that are about the playbook.
ABOUT_PLAYBOOK = frozenset({PROPOSED, APPROVED, REJECTED, COMMENTED})


class PlaybookEvent(NamedTuple):
    """What one event says about a playbook."""

    order: Order
    type: str
    department: str | None
    by: str
    proposal: bytes  #: id of the event that proposed; an event that proposes gives its own
    digest: str | None
    text: str  #: of a proposal, the playbook; of a rejection, the reason; of others, the comment
    effective_at: str | None  #: of a proposal: RFC 3339
    comment: str | None  #: of a proposal


def playbook_event_of(event: Event) -> PlaybookEvent:
    """What an event says about a playbook."""
    data: Any = event.data
    proposes = event.type == PROPOSED
    about = None if proposes else getattr(data, "proposal", None)
    text = data.playbook if proposes else getattr(data, "reason", None) or getattr(data, "comment", None)
    return PlaybookEvent(
        order=event.order,
        type=event.type,
        department=data.department,
        by=data.by,
        proposal=event.id if proposes else bytes.fromhex((about or "").replace("-", "")),
        digest=getattr(data, "digest", None),
        text=text or "",
        effective_at=getattr(data, "effective_at", None),
        comment=data.comment if proposes else None,
    )
