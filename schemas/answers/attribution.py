"""Attribution: which channels and campaigns have credit for what was booked."""

from typing import Annotated, Literal

from msgspec import UNSET

from schemas.answers.parts import Amounts, Answer, Hideable, WindowedAnswer, doc

Credit = Annotated[dict[str, int], doc("Minor units by ISO 4217 currency")]
Share = Annotated[dict[str, float | None], doc("By currency: the share of what was booked, 0 to 1")]


class TouchpointTotal(Answer, frozen=True, kw_only=True):
    """How many touchpoints there were, and what they cost."""

    count: Hideable[int] = UNSET
    cost: Hideable[Amounts] = UNSET


class AttributionGroup(Answer, frozen=True, kw_only=True):
    """One channel or campaign."""

    channel: Hideable[Annotated[str | None, doc("Only where credit is given by channel")]] = UNSET
    campaign: Hideable[Annotated[str | None, doc("Only where credit is given by campaign")]] = UNSET
    credit: Credit
    share: Share
    bookings: int
    touchpoints: Hideable[TouchpointTotal] = UNSET


class Unattributed(Answer, frozen=True, kw_only=True):
    """What was booked without a touchpoint before it."""

    credit: Credit
    share: Share
    bookings: int


class AttributionTotal(Answer, frozen=True, kw_only=True):
    """All that was booked: the groups and what is unattributed add up to it."""

    credit: Credit
    share: Share
    bookings: int
    touchpoints: Hideable[TouchpointTotal] = UNSET


class Attribution(WindowedAnswer, frozen=True, kw_only=True):
    """Credit for what was booked, by channel or campaign."""

    model: str
    by: Literal["channel", "campaign"]
    groups: list[AttributionGroup]
    unattributed: Unattributed
    total: AttributionTotal
