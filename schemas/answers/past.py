"""The past: what changed in a journey between two times, and why it is in its stages."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, UnsetType, field

from schemas.answers.parts import Answer, Id, Time, WindowedAnswer, doc


class Difference(Answer, frozen=True, kw_only=True):
    """One field of the journey: of a list what was removed and added, of anything else what it was and is."""

    field: Annotated[str, doc("A field of the journey")]
    removed: list[Any] | UnsetType = UNSET
    added: list[Any] | UnsetType = UNSET
    before: Any = UNSET
    after: Any = UNSET


class RecordedEvent(Answer, frozen=True, kw_only=True):
    """An event and where it lies in the log, without what is in it."""

    id: Id
    source: str
    type: str
    occurred_at: Time
    committed_at: Annotated[Time, doc("When Tandem had applied it")]
    topic: str
    partition: int
    offset: int
    added: Annotated[bool, doc("Whether it is there at the later time and was not at the earlier one")]


class Diff(WindowedAnswer, frozen=True, kw_only=True):
    """What changed in a journey between two times, and which events did it."""

    axis: Annotated[Literal["true", "known"], doc("What was true then, or what Tandem knew then")]
    from_: Time = field(name="from")
    to: Time
    differences: list[Difference]
    events: list[RecordedEvent]


class ReasonEvent(Answer, frozen=True, kw_only=True):
    """The event behind a stage; its place is null where it is not in the archive yet."""

    id: Id
    source: str | None
    type: str | None
    topic: str | None
    partition: int | None
    offset: int | None


class ReasonPlaybook(Answer, frozen=True, kw_only=True):
    """The playbook that was in force."""

    digest: str
    proposal: Annotated[Id | None, doc("Null for the one that the projection began with")]
    in_force_since: Annotated[Time | None, doc("Null for the one that the projection began with")]


class StageReason(Answer, frozen=True, kw_only=True):
    """Why a stage was entered."""

    stage: str
    at: Time
    because: Annotated[str, doc("The rule, in words")]
    event: Annotated[ReasonEvent | None, doc("Null where silence was the cause")]
    playbook: ReasonPlaybook


class JourneyExplanation(Answer, frozen=True, kw_only=True):
    """Why a journey is in its stages."""

    journey_id: Id
    stages: list[StageReason]
