"""Moments: what a journey remembers of its events.

A milestone (a lead changing hands, an opportunity, a contract) is a moment of its own. Everything that repeats (page
views, mails, custom events) is one moment per day, type, channel, campaign, account and identifiers, with a count: the
first event stands for it. So a journey grows with its days, not with its clicks. Moments of one group merge by minimum
and sum, so events may arrive in any order. Events on devices are grouped by half hours instead: two events within one
half hour belong to one session, so sessions follow from the moments alone.
"""

from typing import Any

import msgspec

from projections.journey.sessions import SESSION_GAP
from projections.milestones import MILESTONES
from projections.subjects import Subject
from schemas.event import Event, Order
from schemas.times import DAY


class Moment(msgspec.Struct, array_like=True, gc=False):
    """One milestone, or the events of one group. Times are microseconds since 1970 UTC.

    The fold changes moments in place; nothing else does.
    """

    #: (at, id, source) of the first event: the moment's place in the journey
    at: int
    id: bytes
    source: str
    #: key of the identifier whose person the moment counts for
    anchor: bytes
    #: key of the device that it happened on, if an event named one
    device: bytes | None
    #: key of the person's identifier that the event named though it counts for the device
    claimed: bytes | None
    #: whether the event names more than devices
    named: bool
    type: str
    channel: str | None = None
    campaign: str | None = None
    account: str | None = None
    #: time of the group's last event
    last: int = 0
    count: int = 1
    #: what the touchpoint cost, in minor units by currency
    cost: dict[str, int] | None = None
    #: opportunity_won: amount in minor units, and its currency
    amount: int | None = None
    currency: str | None = None
    #: a rejection's or loss's reason, or an opportunity's stage
    note: str | None = None
    #: satisfaction_answered: 0 to 10
    satisfaction: int | None = None
    #: usage_reported: the sum of all reports of the group
    quantity: int | None = None
    #: joint events about hand-offs: the hand-off's id, or the kind
    about: str | None = None
    #: milestones: who did it, or decided
    by: str | None = None
    #: joint events: in whose name they decide
    department: str | None = None

    @property
    def order(self) -> Order:
        """The order of the first event."""
        return (self.at, self.id, self.source)

    @property
    def group(self) -> "GroupKey | None":
        """What the moment is grouped by; None for a milestone."""
        type_, device, at = self.type, self.device, self.at
        if type_ in MILESTONES:
            return None
        slot = at // DAY if device is None else at // SESSION_GAP
        return (self.anchor, device, self.claimed, slot, type_, self.channel, self.campaign, self.account)

    @property
    def group_since(self) -> int:
        """The earliest time that a moment of the same group can have; for a milestone, its own time."""
        if self.type in MILESTONES:
            return self.at
        return self.at - self.at % (DAY if self.device is None else SESSION_GAP)

    def set_subject(self, subject: Subject) -> None:
        """Replace the subject by the same one after releases."""
        self.anchor = subject.anchor.key
        self.device = None if subject.device is None else subject.device.key
        self.claimed = None if subject.claimed is None else subject.claimed.key

    def without(self, quarantined: set[bytes]) -> "Moment | None":
        """The moment as if the event had not named identifiers in quarantine; None where nobody is left.

        The order in which identifiers are quarantined does not matter.
        """
        if self.anchor not in quarantined:
            return self
        if self.anchor == self.device:
            if self.claimed is None or self.claimed in quarantined:
                return None
            return msgspec.structs.replace(self, anchor=self.claimed, device=None, claimed=None)
        if self.device is None or self.device in quarantined:
            return None
        return msgspec.structs.replace(self, anchor=self.device, claimed=self.anchor)


GroupKey = tuple[bytes, bytes | None, bytes | None, int, str, str | None, str | None, str | None]


def moment_of(event: Event, subject: Subject) -> Moment:
    """The moment that one event makes."""
    data: Any = event.data
    device, claimed, account = subject.device, subject.claimed, subject.account
    custom = isinstance(data, dict)
    moment = Moment(
        at=event.occurred_at,
        id=event.id,
        source=event.source,
        anchor=subject.anchor.key,
        device=None if device is None else device.key,
        claimed=None if claimed is None else claimed.key,
        named=subject.named,
        type=event.type,
        channel=None if custom else getattr(data, "channel", None),
        campaign=None if custom else getattr(data, "campaign", None),
        account=None if account is None else account.value,
        last=event.occurred_at,
    )
    if custom:
        return moment
    cost = getattr(data, "cost", None)
    if cost is not None:
        moment.cost = {cost.currency: cost.amount}
    if event.type in MILESTONES:
        _milestone_detail(moment, data)
    elif event.type == "usage_reported":
        moment.quantity = data.quantity
    return moment


def _milestone_detail(moment: Moment, data: Any) -> None:
    moment.amount = getattr(data, "amount", None)
    moment.currency = getattr(data, "currency", None)
    moment.note = getattr(data, "reason", None) or getattr(data, "stage", None)
    moment.satisfaction = getattr(data, "score", None)
    moment.about = getattr(data, "handoff", None)
    moment.by = getattr(data, "owner", None) or getattr(data, "by", None)
    moment.department = getattr(data, "department", None)


def absorb(moment: Moment, other: Moment) -> None:
    """Merge another moment of the same group into this one: the earliest stands for both, counts and costs add up."""
    if other.at <= moment.at and other.order < moment.order:
        moment.at, moment.id, moment.source = other.order
    moment.last = max(moment.last, other.last)
    moment.count += other.count
    if other.quantity is not None:
        moment.quantity = (moment.quantity or 0) + other.quantity
    if other.cost:
        costs = dict(moment.cost or {})
        for currency, amount in other.cost.items():
            costs[currency] = costs.get(currency, 0) + amount
        moment.cost = costs
