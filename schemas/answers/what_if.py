"""What if: what a playbook would do to all journeys. The answer is lines of JSON, one of these each."""

from typing import Annotated

from msgspec import UNSET

from schemas.answers.parts import Amounts, Answer, Hideable, Time, WindowedAnswer, doc


class StageMove(Answer, frozen=True, kw_only=True):
    """Journeys that would be in another stage."""

    stage_from: str
    stage_to: str
    journeys: int
    examples: Annotated[list[str], doc("Journey ids: five at most")]


class HandoffMove(Answer, frozen=True, kw_only=True):
    """Hand-offs, or missed deadlines, that would appear or vanish."""

    kind: str
    what: Annotated[str, doc("offered, or the deadline that was missed: first-touch, resolution")]
    appear: int
    vanish: int


class StageCount(Answer, frozen=True, kw_only=True):
    """One stage of the main line."""

    stage: str
    reached: int
    now: int


class StageCounts(Answer, frozen=True, kw_only=True):
    """The funnel under one of the two playbooks."""

    stages: list[StageCount]
    beside: Annotated[dict[str, int], doc("Journeys that are in stages beside the main line")]


class FunnelMove(Answer, frozen=True, kw_only=True):
    """The funnel under both."""

    now: StageCounts
    then: StageCounts


class ModelMove(Answer, frozen=True, kw_only=True):
    """The models of attribution under both."""

    now: str
    then: str


class ChannelMove(Answer, frozen=True, kw_only=True):
    """A channel's credit under both."""

    channel: str | None
    now: Amounts
    then: Amounts


class CreditMove(Answer, frozen=True, kw_only=True):
    """Credit under both."""

    model: ModelMove
    channels: list[ChannelMove]


class WhatIf(WindowedAnswer, frozen=True, kw_only=True):
    """What would be different."""

    since: Annotated[Time, doc("From when on the playbook would hold")]
    at: Annotated[Time, doc("The time that is looked at")]
    journeys: int
    changed: Annotated[int, doc("Journeys that would be in another stage")]
    moves: list[StageMove]
    handoffs: list[HandoffMove]
    funnel: FunnelMove
    credit: Hideable[Annotated[CreditMove | None, doc("Null where both give credit in the same way")]] = UNSET


class WhatIfProgress(Answer, frozen=True, kw_only=True):
    """A line: how far it is."""

    done: Annotated[int, doc("Journeys")]
    total: Annotated[int, doc("Journeys")]


class WhatIfResult(Answer, frozen=True, kw_only=True):
    """The last line: the result."""

    result: WhatIf


class WhatIfError(Answer, frozen=True, kw_only=True):
    """The last line, where it failed."""

    error: str
