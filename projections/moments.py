"""Moments: what a journey remembers of its events.

A milestone (a lead changing hands, an opportunity, a contract) is a moment of its own. Everything that repeats (page
views, mails, calls, custom events) is one moment per day, type, channel, campaign and anchor, with a count: the day's
first event stands for it. So a journey grows with its days, not with its clicks, and moments of the same group
merge by minimum and sum: in whatever order events come, the result is the same.
"""

from typing import Any

import msgspec

from projections.playbook import DAY
from schemas.event import Event

#: Types of which each event counts by itself. All others, custom ones too, are grouped by day.
MILESTONES = frozenset(
    {
        *("lead_captured", "lead_qualified", "lead_accepted", "lead_rejected", "lead_recycled"),
        *("meeting_booked", "meeting_held", "satisfaction_answered"),
        *("opportunity_opened", "opportunity_stage_changed", "opportunity_won", "opportunity_lost"),
        *("contract_renewed", "contract_cancelled"),
        *("handoff_offered", "handoff_accepted", "handoff_rejected", "handoff_withdrawn"),
        *("identity_joined", "identity_split", "subject_erased"),
    }
)


class Moment(msgspec.Struct, array_like=True, gc=False):
    """One milestone, or one day's events of a group. Times are microseconds since 1970 UTC.

    The fold changes moments in place; nothing else does.
    """

    #: (at, id, source) of the first event: the place in the journey's order
    at: int
    id: bytes
    source: str
    #: key of the event's strongest identifier: who the moment goes with when identities change
    anchor: bytes
    #: whether the anchor names a person (any type but anonymous_id)
    named: bool
    type: str
    channel: str | None
    campaign: str | None
    #: time of the group's last event
    last: int
    count: int = 1
    #: what the touch cost, in minor units by currency
    cost: dict[str, int] | None = None
    #: opportunity_won: amount in minor units, and its currency
    amount: int | None = None
    currency: str | None = None
    #: a rejection's or loss's reason, or an opportunity's stage
    note: str | None = None
    #: satisfaction_answered: 0 to 10
    satisfaction: int | None = None

    @property
    def order(self) -> tuple[int, bytes, str]:
        """Law 2's order: occurred_at, then event id, then source."""
        return (self.at, self.id, self.source)

    @property
    def group(self) -> "GroupKey | None":
        """What the moment is grouped by; None for a milestone."""
        if self.type in MILESTONES:
            return None
        return (self.anchor, self.at // DAY, self.type, self.channel, self.campaign)


GroupKey = tuple[bytes, int, str, str | None, str | None]


def moment_of(event: Event, anchor: bytes, named: bool) -> Moment:
    """The moment that an event makes by itself."""
    data: Any = event.data
    if isinstance(data, dict):
        return Moment(
            event.occurred_at,
            event.id,
            event.source,
            anchor,
            named,
            event.type,
            None,
            None,
            event.occurred_at,
        )
    moment = Moment(
        event.occurred_at,
        event.id,
        event.source,
        anchor,
        named,
        event.type,
        getattr(data, "channel", None),
        getattr(data, "campaign", None),
        event.occurred_at,
    )
    cost = getattr(data, "cost", None)
    if cost is not None:
        moment.cost = {cost.currency: cost.amount}
    if event.type in MILESTONES:
        _milestone_detail(moment, data)
    return moment


def _milestone_detail(moment: Moment, data: Any) -> None:
    moment.amount = getattr(data, "amount", None)
    moment.currency = getattr(data, "currency", None)
    moment.note = getattr(data, "reason", None) or getattr(data, "stage", None)
    moment.satisfaction = getattr(data, "score", None)


def absorb(moment: Moment, other: Moment) -> None:
    """Add another moment of the same group: the earliest stands for both, counts and costs add up."""
    if other.at <= moment.at and other.order < moment.order:
        moment.at, moment.id, moment.source = other.order
    moment.last = max(moment.last, other.last)
    moment.count += other.count
    if other.cost:
        costs = dict(moment.cost or {})
        for currency, amount in other.cost.items():
            costs[currency] = costs.get(currency, 0) + amount
        moment.cost = costs
