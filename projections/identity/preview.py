"""Previews: what a ruling would change."""

from itertools import combinations
from typing import NamedTuple

from projections.identity.register import Ruling
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.playbook.rules import Rules
from projections.text import time_text


class Side(NamedTuple):
    """A journey before or after a ruling."""

    journey_id: bytes
    identifiers: list[str]  #: type:value, sorted
    events: int
    stage: str
    value: dict[str, int]  #: booked, in minor units by currency


class Preview(NamedTuple):
    """What a ruling would do. Journeys that would not change are not listed."""

    before: list[Side]
    after: list[Side]
    events_moved: int  #: events of all but the largest of the journeys that are joined or split
    confirm: bool  #: more than the playbook lets a ruling move without confirmation
    warnings: list[str]  #: why all or part of the ruling would have no effect


def preview(workspace: Workspace, ruling: Ruling, rules: Rules) -> Preview:
    """Apply the ruling in a workspace that holds the journeys concerned and is not used afterwards."""
    before = {journey_id: _side(journey, rules) for journey_id, journey in workspace.journeys.items()}
    keys = workspace.register.rule(ruling)
    warnings = _warnings(workspace, ruling, keys)
    for key in keys:
        workspace.mark_dirty(key, afresh=True)
    workspace.harvest()
    after = {journey_id: _side(journey, rules) for journey_id, journey in workspace.journeys.items()}
    gone = [side for journey_id, side in sorted(before.items()) if after.get(journey_id) != side]
    come = [side for journey_id, side in sorted(after.items()) if before.get(journey_id) != side]
    parts = max(gone, come, key=len)
    moved = sum(side.events for side in parts) - max((side.events for side in parts), default=0)
    events, journeys = rules.blast_radius
    return Preview(gone, come, moved, moved > events or len(parts) > journeys, warnings)


def _warnings(workspace: Workspace, ruling: Ruling, keys: list[bytes]) -> list[str]:
    names = {key: workspace.text_of(key) or "an identifier that no event named" for key in keys}
    warnings = [
        f"{names[key]} is in quarantine: rulings about it do not count"
        for key in keys
        if key in workspace.register.quarantined
    ]
    for one, other in combinations(keys, 2):
        last = workspace.register.last[one, other]
        if last is not ruling:
            kind = "join" if last.joined else "split"
            warnings.append(f"a later {kind} of {names[one]} and {names[other]}, at {time_text(last.order[0])}, holds")
    return warnings


def _side(journey: Journey, rules: Rules) -> Side:
    assert journey.life is not None, "a stored journey has a lifecycle"
    names = sorted(f"{known.type}:{known.value}" for known in journey.identifiers.values())
    value = dict(sorted(journey.life.value.items()))
    return Side(journey.journey_id, names, journey.events, rules.names[journey.life.stage], value)
