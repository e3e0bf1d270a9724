"""The engine against the second opinion: docs/explanation/identity.md, implemented without looking at the engine."""

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.identity.workspace import Workspace
from projections.memory import fold_events
from projections.playbook.rules import Rules
from schemas.event import Event
from tests.laws.histories import decoded, hostile_histories
from tests.laws.reference_identity import Limits, ReferencePerson, reference
from tests.laws.test_convergence import RULES, STRICT


def as_reference(workspace: Workspace, events: list[Event]) -> set[ReferencePerson]:
    """The engine's persons in the reference's terms. Which events count for whom is told by their moments."""
    known = {(event.id, event.source) for event in events}
    return {
        ReferencePerson(
            journey.journey_id,
            frozenset(journey.identifiers),
            frozenset((moment.id, moment.source) for moment in journey.moments) & known,
            frozenset((link.a, link.b, link.refused) for link in journey.refused if link.refused is not None),
        )
        for journey in workspace.journeys.values()
    }


@settings(max_examples=10_000)
@given(hostile_histories(), st.sampled_from([RULES, STRICT]))
def test_the_engine_agrees_with_the_reference(history: list[tuple[str, bytes]], rules: Rules) -> None:
    events = decoded(history)
    workspace = fold_events(events, rules)
    persons, quarantined = reference(events, Limits(rules.limits.counts, rules.limits.spans, rules.max_links))
    assert workspace.register.quarantined == quarantined
    by_id = {person.journey_id: person for person in persons}
    found = {person.journey_id: person for person in as_reference(workspace, events)}
    assert found.keys() == by_id.keys()
    for journey_id, person in found.items():
        other = by_id[journey_id]
        assert (person.identifiers, person.refused) == (other.identifiers, other.refused)
        # a moment stands for all events of its group: the first of them is known by name, all by their number
        assert person.events <= other.events
        assert workspace.journeys[journey_id].events == len(other.events)
