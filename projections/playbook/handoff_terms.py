"""Kinds of hand-offs, compiled for the fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from projections.playbook.business_hours import Calendar, deadline
from projections.playbook.handoffs import Deadlines, HandoffKind, span_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A tier, compiled; spans in microseconds of open time."""

    name: str
    score: int | None
    was: tuple[int, ...]
    remind: int | None
    first_touch: int | None
    resolution: int | None
    expires: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind, compiled."""

    name: str
    from_: str
    to: str
    team: str
    members: frozenset[str]  #: who may decide for the team; empty: everybody of the department
    calendar: Calendar
    tiers: tuple[Tier, ...]

    def due(self, offered_at: int, span: int | None) -> int | None:
        """When a span of open time after an offer ends; None where nothing is promised."""
        return None if span is None else deadline(self.calendar, offered_at, span)


#: The roles of an event for a hand-off, in the order in which they apply.
TOUCH, ACCEPT, REJECT, WITHDRAW, RESOLVE, OFFER = range(6)


@dataclass(frozen=True, slots=True)
class HandoffTerms:
    """All kinds of one playbook, by their triggers."""

    kinds: dict[str, Kind]
    #: event type -> (role, kind), in the order in which they apply
    by_event: dict[str, tuple[tuple[int, Kind], ...]]
    offered_by_stage: dict[int, tuple[Kind, ...]]
    resolved_by_stage: dict[int, tuple[Kind, ...]]


def compile_handoffs(
    kinds: Sequence[HandoffKind],
    number: Mapping[str, int],
    calendars: Mapping[str, Calendar],
    members: Mapping[str, Sequence[str]],
) -> HandoffTerms | None:
    """The terms; None where nothing is handed off. `number`: of each stage."""
    if not kinds:
        return None
    by_event: dict[str, list[tuple[int, Kind]]] = {}
    offered: dict[int, tuple[Kind, ...]] = {}
    resolved: dict[int, tuple[Kind, ...]] = {}
    compiled: dict[str, Kind] = {}
    for one in kinds:
        tiers = tuple(_tier(deadlines, number) for deadlines in one.deadlines)
        people = frozenset(members[one.team])
        kind = Kind(
            name=one.name,
            from_=one.from_,
            to=one.to,
            team=one.team,
            members=people,
            calendar=calendars[one.team],
            tiers=tiers,
        )
        compiled[one.name] = kind
        roles = (one.touch, one.accept, one.reject, one.withdraw, one.resolve.events, one.offer.events)
        for role, events in enumerate(roles):
            for event in events:
                by_event.setdefault(event, []).append((role, kind))
        for stages, by_stage in ((one.offer.stages, offered), (one.resolve.stages, resolved)):
            for name in stages:
                by_stage[number[name]] = (*by_stage.get(number[name], ()), kind)
    order = {event: tuple(sorted(roles, key=lambda role: role[0])) for event, roles in by_event.items()}
    return HandoffTerms(compiled, order, offered, resolved)


def _tier(deadlines: Deadlines, number: Mapping[str, int]) -> Tier:
    def span(text: str | None) -> int | None:
        return None if text is None else span_of(text)

    return Tier(
        name=deadlines.tier,
        score=deadlines.when.score,
        was=tuple(number[name] for name in deadlines.when.was),
        remind=span(deadlines.remind),
        first_touch=span(deadlines.first_touch),
        resolution=span(deadlines.resolution),
        expires=span(deadlines.expires),
    )
