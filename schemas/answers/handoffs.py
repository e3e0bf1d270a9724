"""Hand-offs: the queue, one with its history, the report, and what became of a decision."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, field

from schemas.answers.contacts import Contact
from schemas.answers.events import Accepted
from schemas.answers.parts import Answer, EventRef, Hideable, Id, NextCursor, Time, WindowedAnswer, doc
from schemas.departments import Department

State = Literal["offered", "accepted", "rejected", "withdrawn", "expired", "resolved", "superseded"]
Deadline = Literal["first-touch", "resolution"]


class Handoff(Answer, frozen=True, kw_only=True):
    """A hand-off as it is at a time: who offers what to whom, and by when."""

    id: Id
    handoff: Annotated[
        Id, Meta(description="Use `id`: gone in the next release", extra_json_schema={"deprecated": True})
    ]
    kind: Annotated[str, doc("As the playbook names it")]
    from_: Annotated[Department, doc("The department that offers")] = field(name="from")
    to: Annotated[Department, doc("The department that receives")]
    team: Annotated[str, doc("The team that receives")]
    tier: Annotated[str | None, doc("The tier of deadlines that was promised; null where nothing is")]
    state: State
    since: Annotated[Time, doc("When it came into that state")]
    owner: Hideable[Annotated[str | None, doc("The person who has accepted it")]] = UNSET
    rival: Hideable[Annotated[str | None, doc("Somebody else who has accepted it, too: the two should talk")]] = UNSET
    note: Hideable[Annotated[str | None, doc("The reason of a rejection or withdrawal")]] = UNSET
    superseded_by: Annotated[Id | None, doc("The hand-off that took its place")]
    offered_at: Time
    touched_at: Annotated[Time | None, doc("When the receiving side first did something about it")]
    remind_at: Time | None
    touch_due: Annotated[Time | None, doc("Deadline of the first touch")]
    resolution_due: Annotated[Time | None, doc("Deadline of the resolution")]
    expires_at: Time | None
    due_at: Annotated[Time | None, doc("The deadline that it waits for; null where it waits for none")]
    overdue: bool
    breaches: Annotated[list[Deadline], doc("Deadlines that were missed")]
    event: Annotated[EventRef | None, doc("The event that offered it; null where silence did")]


class IgnoredDecision(Answer, frozen=True, kw_only=True):
    """A decision about a hand-off that does not count, and why."""

    at: Time
    type: Annotated[str, doc("The event's type")]
    handoff: Annotated[str | None, doc("The hand-off, or the kind of one, as the event names it")]
    by: str | None
    because: str
    event: EventRef


class HandoffItem(WindowedAnswer, frozen=True, kw_only=True):
    """A hand-off and whom it is about."""

    handoff: Handoff
    journey: Contact


class HandoffPage(WindowedAnswer, frozen=True, kw_only=True):
    """A page of the queue: the most overdue first."""

    items: list[HandoffItem]
    next_cursor: NextCursor


class Happening(Answer, frozen=True, kw_only=True):
    """Something that happened to a hand-off."""

    at: Time
    what: Annotated[str, doc("Such as offered, reminded, touched, touch-breached, accepted")]
    by_time: Annotated[bool, doc("The clock brought it about, not an event")]


class HandoffDetails(HandoffItem, frozen=True, kw_only=True):
    """One hand-off with all that has happened to it, in order."""

    history: list[Happening]


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
    touch_met: Annotated[int, doc("First touches in time")]
    touch_missed: int
    resolution_met: Annotated[int, doc("Resolutions in time")]
    resolution_missed: int


class HandoffReport(Answer, frozen=True, kw_only=True):
    """How hand-offs went, by kind and tier."""

    items: list[HandoffReportLine]


class HandoffDecided(Answer, frozen=True, kw_only=True):
    """A decision that was published."""

    event: Accepted
    handoff: Annotated[Id, doc("The hand-off that it is about")]
