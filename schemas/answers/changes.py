"""The change feed."""

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from schemas.answers.journeys import FeedJourney
from schemas.answers.parts import Answer, Hideable, Id, Time, WindowedAnswer, doc

ChangeKind = Literal["changed", "created", "merged", "vanished", "split", "handoff", "entered", "left", "credit"]
ChangeCause = Literal["event", "identity", "time", "playbook"]
ResetReason = Literal["too_old", "other_epoch", "ahead"]


class CreditLine(Answer, frozen=True, kw_only=True):
    """What is to be added to the credit of a channel and campaign."""

    channel: str | None
    campaign: str | None
    currency: str
    amount: Annotated[int, doc("Minor units, with their sign")]


class ChangeDetail(WindowedAnswer, frozen=True, kw_only=True):
    """What a change of the kinds handoff, entered, left and credit is about; each kind has its own fields."""

    handoff: Annotated[Id, doc("handoff: which one")] | UnsetType = UNSET
    kind: Annotated[str, doc("handoff: its kind")] | UnsetType = UNSET
    team: Annotated[str, doc("handoff: the team that receives it")] | UnsetType = UNSET
    what: Annotated[str, doc("handoff: what happened; ends in -retracted for what is so no more")] | UnsetType = UNSET
    happened_at: Annotated[int | None, doc("handoff: when, in microseconds since 1970 UTC")] | UnsetType = UNSET
    audience: Annotated[str, doc("entered, left: which one")] | UnsetType = UNSET
    lines: Hideable[Annotated[list[CreditLine], doc("credit: what is to be added to it")]] = UNSET


class Change(Answer, frozen=True, kw_only=True):
    """One change of one journey."""

    seq: Annotated[int, doc("Counts up without gaps")]
    at: Annotated[Time, doc("When it was committed")]
    kind: ChangeKind
    cause: ChangeCause
    journey_id: Id
    related: Annotated[Id | None, doc("merged: where the journey went; split: where it came from")]
    stage_from: str | None
    stage_to: str | None
    detail: ChangeDetail | UnsetType = UNSET
    journey: Annotated[FeedJourney | None, doc("As it is when it is told; null where it no longer exists")]


class ChangePage(Answer, frozen=True, kw_only=True):
    """What the feed has behind a cursor."""

    journeys: Annotated[list[FeedJourney], doc("Of a snapshot")]
    changes: list[Change]
    cursor: Annotated[str, doc("Go on from here")]
    live: Annotated[bool, doc("False while a snapshot is not complete")]


class Reset(Answer, frozen=True, kw_only=True):
    """The last event of a stream whose cursor leads nowhere: start over with a snapshot."""

    reason: ResetReason
