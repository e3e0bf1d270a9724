"""Hand-offs as people and programs read them, at a time."""

from typing import cast

from projections.journey.handoffs import (
    ACCEPTED,
    OFFERED,
    STATES,
    SUPERSEDED,
    Handoff,
    Ignored,
    breaches_at,
    next_due,
    state_at,
)
from projections.text import id_text, time_text
from schemas.answers import handoffs as answers
from schemas.answers.parts import EventRef
from schemas.departments import Department


def handoff_view(one: Handoff, at: int) -> answers.Handoff | None:
    """A hand-off as it is at `at`, microseconds since 1970 UTC; None before it is offered."""
    state = state_at(one, at)
    if state is None:
        return None
    due = next_due(one) if state in (OFFERED, ACCEPTED) else None
    id_ = id_text(one.id)
    return answers.Handoff(
        id=id_,
        handoff=id_,
        kind=one.kind,
        from_=cast(Department, one.from_),
        to=cast(Department, one.to),
        team=one.team,
        tier=one.tier,
        state=cast(answers.State, STATES[state]),
        since=time_text(one.since if state == one.state else one.offered_at),
        owner=one.owner,
        rival=one.rival,
        note=one.note,
        superseded_by=id_text(one.successor) if state == SUPERSEDED and one.successor else None,
        offered_at=time_text(one.offered_at),
        touched_at=_text(one.touched_at),
        remind_at=_text(one.remind_at),
        touch_due=_text(one.touch_due),
        resolution_due=_text(one.resolution_due),
        expires_at=_text(one.expires_at),
        due_at=_text(due),
        overdue=due is not None and due <= at,
        breaches=cast(list[answers.Deadline], breaches_at(one, at)),
        event=None if one.event is None else EventRef(id=id_text(one.event), source=one.source or ""),
    )


def ignored_view(one: Ignored) -> answers.IgnoredDecision:
    """A decision that does not count."""
    return answers.IgnoredDecision(
        at=time_text(one.at),
        type=one.type,
        handoff=one.handoff,
        by=one.by,
        because=one.reason,
        event=EventRef(id=id_text(one.id), source=one.source),
    )


def _text(micros: int | None) -> str | None:
    return None if micros is None else time_text(micros)
