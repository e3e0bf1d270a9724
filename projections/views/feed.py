"""The change feed as subscribers read it: over HTTP, in the SDK and in Kafka alike."""

from datetime import UTC, datetime
from typing import NamedTuple, get_args
from uuid import UUID

from msgspec import UNSET

from projections.playbook.model import Rules
from projections.views import summary
from projections.views.summary import Summary
from schemas.answers import journeys
from schemas.answers.changes import Change, ChangeCause, ChangeDetail, ChangeKind

#: By number, as they are stored.
KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
#: Of those, what tells of something else than stages: `detail` says of what; both stages are the journey's folded one.
DETAILED = frozenset({5, 6, 7, 8})
CREDIT = 8
CAUSES: tuple[ChangeCause, ...] = get_args(ChangeCause)


class FeedJourney(NamedTuple):
    """A journey as it is when it is read, which may be later than the change that is read with it."""

    summary: Summary
    accounts: list[str]  #: all it ever belonged to
    state: bytes


class FeedChange(NamedTuple):
    """One row of the feed. Stages are playbook indices."""

    seq: int
    committed_at: datetime
    journey_id: UUID
    kind: int
    cause: int
    related: UUID | None  #: of a merge: where the journey went; of a split: where it came from
    stage_from: int | None
    stage_to: int | None
    journey: FeedJourney | None  #: None where it no longer exists
    detail: ChangeDetail | None = None  #: of a hand-off, an audience or credit


def feed_journey_view(journey: FeedJourney, rules: Rules, at: int) -> journeys.FeedJourney:
    """The summary at `at` (microseconds since 1970 UTC), with identifiers and consent."""
    return summary.feed_journey_view(journey.summary, journey.state, rules, at)


def change_view(change: FeedChange, journey: journeys.FeedJourney | None, rules: Rules) -> Change:
    """A change; `journey` is what `feed_journey_view` made of the change's journey."""
    return Change(
        seq=change.seq,
        at=change.committed_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        kind=KINDS[change.kind],
        cause=CAUSES[change.cause],
        journey_id=str(change.journey_id),
        related=None if change.related is None else str(change.related),
        stage_from=None if change.stage_from is None else rules.names[change.stage_from],
        stage_to=None if change.stage_to is None else rules.names[change.stage_to],
        detail=UNSET if change.detail is None else change.detail,
        journey=journey,
    )
