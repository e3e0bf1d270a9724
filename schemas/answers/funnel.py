"""The funnel: how many journeys reached each stage."""

from typing import Annotated, Literal

from msgspec import UNSET

from schemas.answers.parts import Amounts, Answer, Hideable, WindowedAnswer, doc


class FunnelStage(Answer, frozen=True, kw_only=True):
    """One stage of the main line."""

    stage: str
    reached: Annotated[int, doc("Journeys that met its criterion, or a later stage's")]
    now: Annotated[int, doc("Journeys that are in it")]
    conversion: Annotated[float | None, doc("Share of those that reached the stage before, 0 to 1")]
    median_seconds: Annotated[float | None, doc("From the stage before, over journeys that met both criteria in order")]


class FunnelGroup(Answer, frozen=True, kw_only=True):
    """The funnel of all journeys, or of those with one channel or campaign."""

    channel: Hideable[Annotated[str | None, doc("Of the first touchpoint; only where the funnel is split by it")]] = (
        UNSET
    )
    campaign: Hideable[Annotated[str | None, doc("Of the first touchpoint; only where the funnel is split by it")]] = (
        UNSET
    )
    journeys: int
    stages: list[FunnelStage]
    beside: Annotated[dict[str, int], doc("Journeys that are in stages beside the main line")]
    value: Hideable[Annotated[Amounts, doc("Booked, in minor units by currency")]] = UNSET


class Funnel(WindowedAnswer, frozen=True, kw_only=True):
    """How many journeys reached each stage."""

    total: FunnelGroup
    by: Literal["channel", "campaign"] | None
    groups: list[FunnelGroup]
