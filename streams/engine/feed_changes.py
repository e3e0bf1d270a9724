"""Feed changes: what a batch says in the change feed of the journeys that it changed. Pure."""

from collections.abc import Container

from projections.attribution.corrections import Credit, corrections
from projections.identity.workspace import Gone
from projections.journey.journey import Journey
from projections.journey.row import JourneyRow
from projections.views.feed import DETAILED
from store.changes import (
    CHANGED,
    CREATED,
    CREDIT,
    EVENT,
    IDENTITY,
    MERGED,
    PLAYBOOK,
    SPLIT,
    VANISHED,
    Change,
    audience_changes,
)


def changes_of(journey: Journey, row: JourneyRow, credit: Credit, living: Container[bytes]) -> list[Change]:
    """What the feed says of a journey: of its stage, its audiences and the credit for what it booked.

    `row` and `credit` are new, the journey still knows what is stored of it. `living`: ids of the journeys there are.
    """
    stored, change = journey.stored, _stage_change(journey, row, living)
    audiences_before = stored.audiences if stored else ()
    audiences = audience_changes(row.journey_id, row.stage, audiences_before, row.audiences, change.cause)
    corrected = _corrections(row.journey_id, row.stage, stored.credit if stored else {}, credit, change.cause)
    return [change, *audiences, *corrected]


def _stage_change(journey: Journey, row: JourneyRow, living: Container[bytes]) -> Change:
    """That there is news, or that what the journey has now was in another one before."""
    before, origin = None if journey.stored is None else journey.stored.stage, journey.inherited
    cause = EVENT if origin is None else IDENTITY
    if before is not None:
        return Change(
            journey_id=row.journey_id, kind=CHANGED, stage_from=before, stage_to=row.stage, related=origin, cause=cause
        )
    # an origin that is gone is told as merged into this journey
    split = origin is not None and origin in living
    return Change(
        journey_id=row.journey_id,
        kind=SPLIT if split else CREATED,
        stage_from=None,
        stage_to=row.stage,
        related=origin if split else None,
        cause=cause,
    )


def changes_of_gone(gone: Gone) -> list[Change]:
    """What the feed says of a journey that is gone."""
    kind = VANISHED if gone.successor is None else MERGED
    if gone.stored is None:
        return [
            Change(
                journey_id=gone.journey_id,
                kind=kind,
                stage_from=None,
                stage_to=None,
                related=gone.successor,
                cause=IDENTITY,
            )
        ]
    return [
        Change(
            journey_id=gone.journey_id,
            kind=kind,
            stage_from=gone.stored.stage,
            stage_to=None,
            related=gone.successor,
            cause=IDENTITY,
        ),
        *audience_changes(gone.journey_id, None, gone.stored.audiences, (), IDENTITY),
        *_corrections(gone.journey_id, None, gone.stored.credit, {}, IDENTITY),
    ]


def _corrections(journey_id: bytes, stage: int | None, before: Credit, now: Credit, cause: int) -> list[Change]:
    lines = corrections(before, now)
    return (
        [
            Change(
                journey_id=journey_id,
                kind=CREDIT,
                stage_from=stage,
                stage_to=stage,
                related=None,
                cause=cause,
                detail={"lines": lines},
            )
        ]
        if lines
        else []
    )


def changes_of_sweep(changes: list[Change], told_by_time: Container[bytes]) -> list[Change]:
    """Of the changes that other terms make, those that readers of the feed can see.

    `told_by_time`: ids of the journeys of which the feed has told what silence did.
    """
    return [
        change._replace(cause=PLAYBOOK)
        for change in changes
        if change.kind in DETAILED or change.stage_from != change.stage_to or change.journey_id in told_by_time
    ]
