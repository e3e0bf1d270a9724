"""What a subscriber of the change feed wants to be told of."""

from typing import NamedTuple
from uuid import UUID

from projections.views.feed import FeedChange, FeedJourney


class Interest(NamedTuple):
    """Filters; all that are given must fit. None does not restrict."""

    stages: frozenset[int] | None = None  #: entered, left or kept: of one stage, or of all that concern a department
    journey: UUID | None = None
    account: str | None = None  #: that the journey belongs to or once did
    kind: int | None = None

    def wants(self, change: FeedChange) -> bool:
        """Whether a change fits.

        Of a journey that is no more nobody knows the account: its end is told to the subscribers of all accounts.
        """
        return (
            (self.kind is None or change.kind == self.kind)
            and (self.journey is None or self.journey in (change.journey_id, change.related))
            and (self.stages is None or change.stage_from in self.stages or change.stage_to in self.stages)
            and (self.account is None or change.journey is None or self.account in change.journey.accounts)
        )

    def holds(self, journey: FeedJourney, stage: int) -> bool:
        """Whether a journey that is now in `stage` belongs into the snapshot of this subscriber."""
        return (
            (self.journey is None or self.journey == journey.summary.journey_id)
            and (self.stages is None or stage in self.stages)
            and (self.account is None or self.account in journey.accounts)
        )

    @property
    def topics(self) -> tuple[object, ...]:
        """Under what this subscriber is found: each change that it wants has one of them among its own topics."""
        if self.journey is not None:
            return (self.journey,)
        if self.account is not None:
            return (self.account,)
        if self.stages is not None:
            return tuple(self.stages)
        return (None,) if self.kind is None else (("kind", self.kind),)


def topics_of(change: FeedChange) -> set[object]:
    """Under what to look for subscribers that may want a change whose journey still is."""
    topics: set[object] = {None, ("kind", change.kind), change.journey_id, change.stage_from, change.stage_to}
    if change.related is not None:
        topics.add(change.related)
    if change.journey is not None:
        topics.update(change.journey.accounts)
    return topics
