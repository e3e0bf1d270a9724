"""Explanations: why two identifiers are one person, or why they are not."""

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.journey.links import Link
from schemas.event import Order


class Step(NamedTuple):
    """What ties one identifier to the next: a link or a ruling, and the event behind it."""

    a: bytes
    b: bytes
    authority: int  #: of a link; 0 for a ruling
    order: Order
    refused: str | None  #: why it does not hold; None where it does


class Explanation(NamedTuple):
    """The answer about two identifiers."""

    one_person: bool
    #: the shortest chain between them with the fewest refused steps; empty where there is none
    path: list[Step]
    #: (joined or not, order) of a ruling about the two themselves
    ruling: tuple[bool, Order] | None


def explain(workspace: Workspace, a: bytes, b: bytes) -> Explanation:
    """Explain two identifiers. Their journeys, and all that is tied to these, must be in the workspace."""
    home = workspace.home
    known = a in home and b in home
    ruling = workspace.register.last.get((min(a, b), max(a, b)))
    path = _shortest(_steps(workspace, a), a, b) if known else []
    return Explanation(known and home[a] == home[b], path, (ruling.joined, ruling.order) if ruling else None)


def _steps(workspace: Workspace, start: bytes) -> list[Step]:
    journeys = workspace.everybody_tied_to(workspace.home[start]).values()
    links = {(link.a, link.b): link for journey in journeys for link in journey.links.values()}
    return [_step_of(link) for link in links.values()] + _rulings(workspace, journeys)


def _step_of(link: Link) -> Step:
    return Step(link.a, link.b, link.authority, link.order, link.refused)


def _rulings(workspace: Workspace, journeys: Iterable[Journey]) -> list[Step]:
    register, home = workspace.register, workspace.home
    return [
        Step(key, other, 0, register.last[min(key, other), max(key, other)].order, _refusal(home, key, other))
        for journey in journeys
        for key in journey.identifiers
        for other in register.partners.get(key, ())
        if other in home
    ]


def _refusal(home: dict[bytes, bytes], key: bytes, other: bytes) -> str | None:
    return None if home[key] == home[other] else "split"


def _shortest(steps: list[Step], a: bytes, b: bytes) -> list[Step]:
    """Dijkstra's algorithm, where a refused step costs more than all others together."""
    around: dict[bytes, list[tuple[bytes, Step]]] = {}
    for step in steps:
        around.setdefault(step.a, []).append((step.b, step))
        around.setdefault(step.b, []).append((step.a, step))
    refused_cost = len(steps) + 1
    came_by: dict[bytes, tuple[bytes, Step] | None] = {}
    todo: list[tuple[int, bytes, tuple[bytes, Step] | None]] = [(0, a, None)]
    while todo:
        cost, here, way = heappop(todo)
        if here in came_by:
            continue
        came_by[here] = way
        if here == b:
            return _way_to(b, came_by)
        for other, step in around.get(here, ()):
            if other not in came_by:
                heappush(todo, (cost + (1 if step.refused is None else refused_cost), other, (here, step)))
    return []


def _way_to(key: bytes, came_by: dict[bytes, tuple[bytes, Step] | None]) -> list[Step]:
    path = []
    while (way := came_by[key]) is not None:
        key, step = way
        path.append(step)
    return path[::-1]
