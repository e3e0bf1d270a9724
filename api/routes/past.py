"""`GET /v1/diff` and `/v1/explain`: what made the difference between two times, and why a journey is in its stages."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Query, Request
from msgspec import UNSET
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.caller import record, window_of
from api.access.redaction import refuse_veiled
from api.context import context_of
from api.http.answers import answer
from api.http.identifiers import key_of
from api.http.strict_parameters import strict_router
from api.http.times import instant
from api.past_scope import as_of, point_of, veil_of_today
from audit.difference import difference
from audit.past import Point, Recorded, distinct
from projections.fold import subject_of
from projections.journey.life import copy_of
from projections.journey.lifecycle import advance
from projections.playbook.rules import Rules
from projections.text import id_text, micros, time_text
from projections.views.reasons import Reason, reasons_of
from schemas.answers.past import Diff, JourneyExplanation, ReasonEvent, ReasonPlaybook, RecordedEvent, StageReason
from store import identity as store

router = strict_router("/v1")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@router.get(
    "/diff/{identifier:path}",
    operation_id="diff_journey",
    summary="Compare a journey at two times, with the events that made the difference",
    responses={404: {"description": "No event names this person by then"}},
)
async def diff(
    request: Request,
    identifier: str,
    start: Annotated[datetime, Query(alias="from")],
    end: Annotated[datetime | None, Query(alias="to")] = None,
    axis: Annotated[Literal["true", "known"], Query()] = "true",
) -> Response:
    """`axis=true`: what was true at both times, by all that is known today; `axis=known`: what Tandem knew then."""
    context = context_of(request)
    key = key_of(identifier, context.rules)
    end = end or _EPOCH + timedelta(microseconds=context.clock())
    if instant(end, "to") < instant(start, "from"):
        raise HTTPException(422, "`to` is before `from`: swap them")
    points = [await point_of(context, *((time, None) if axis == "true" else (None, time))) for time in (start, end)]
    recorded, seen = await as_of(context, key, *points)
    veil = await veil_of_today(request, identifier, key, seen)
    views = [one.view() for one in seen]
    if views == [None, None]:
        raise HTTPException(404, f"no journey found for {identifier} at either time")
    members = {known for one in seen if one.journey is not None for known in one.journey.identifiers}
    before, now = (None if view is None else window_of(request).veil(view, *veil) for view in views)
    await record(request, {view.journey_id for view in views if view is not None})
    return answer(
        Diff(
            axis=axis,
            from_=time_text(micros(instant(start, "from"))),
            to=time_text(micros(instant(end, "to"))),
            differences=difference(before, now),
            events=_made_it(recorded, points, members, context.rules),
            hidden=UNSET if now is None else now.hidden,
        )
    )


def _made_it(
    recorded: Collection[Recorded], points: list[Point], members: set[bytes], rules: Rules
) -> list[RecordedEvent]:
    """The events that one point has and the other has not, of the people concerned."""
    one, other = ({(e.event.id, e.event.source): e for e in distinct(recorded, point)} for point in points)
    found = []
    for key in one.keys() ^ other.keys():
        event = one.get(key) or other[key]
        subject = subject_of(event.event, rules)
        if subject is not None and any(person.key in members for person in subject.persons):
            found.append((event, key in other))
    found.sort(key=lambda entry: (entry[0].event.occurred_at, entry[0].event.id))
    return [_event_view(event, added) for event, added in found]


def _event_view(one: Recorded, added: bool) -> RecordedEvent:
    return RecordedEvent(
        id=id_text(one.event.id),
        source=one.event.source,
        type=one.event.type,
        occurred_at=time_text(one.event.occurred_at),
        committed_at=time_text(micros(one.committed_at)),
        topic=one.partition.topic,
        partition=one.partition.partition,
        offset=one.archived.offset,
        added=added,
    )


@router.get(
    "/explain/{identifier:path}",
    operation_id="explain_journey",
    summary="Explain why a journey is in its stages: events, rules, playbook",
    responses={404: {"description": "No event names this person"}},
)
async def explain_journey(
    request: Request, identifier: str, stage: Annotated[str | None, Query(max_length=64)] = None
) -> Response:
    """For each stage, or one: the event with its place in the log, the rule in words, and the playbook in force."""
    context = context_of(request)
    key = key_of(identifier, context.rules)
    journey = await context.lookup.journey(key)
    if journey is None or journey.life is None:
        raise HTTPException(404, f"no journey found for {identifier}")
    refuse_veiled(window_of(request), journey, identifier, key)
    if stage is not None and stage not in context.rules.names:
        raise HTTPException(422, f"there is no stage {stage!r}: choose one of {', '.join(context.rules.names)}")
    life = copy_of(journey.life)
    advance(life, context.clock(), context.rules)
    items = []
    async with context.raw_pool.acquire() as connection:
        for reason in reasons_of(journey, life, context.rules):
            name = context.rules.names[reason.entry.stage]
            if stage is None or name == stage:
                found = None
                if reason.entry.id is not None and reason.entry.source is not None:
                    found = await store.find_event(connection, reason.entry.id, reason.entry.source)
                items.append(_reason_view(reason, name, found))
    journey_id = id_text(journey.journey_id)
    await record(request, [journey_id])
    return answer(JourneyExplanation(journey_id=journey_id, stages=items))


def _reason_view(reason: Reason, stage: str, logged: store.LoggedEvent | None) -> StageReason:
    entry, terms = reason.entry, reason.terms
    event = None
    if entry.id is not None:
        event = ReasonEvent(
            id=id_text(entry.id),
            source=entry.source,
            type=None if logged is None else logged.event.type,
            topic=None if logged is None else logged.topic,
            partition=None if logged is None else logged.partition,
            offset=None if logged is None else logged.offset,
        )
    playbook = ReasonPlaybook(
        digest=terms.digest,
        proposal=None if terms.proposal is None else id_text(terms.proposal),
        in_force_since=None if terms.proposal is None else time_text(terms.since),
    )
    return StageReason(stage=stage, at=time_text(entry.at), because=reason.because, event=event, playbook=playbook)
