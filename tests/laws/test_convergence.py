"""Law 2: a journey is a pure function of the set of events."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.identity.register import Register
from projections.identity.workspace import Workspace
from projections.journey.lifecycle import derive
from projections.journey.row import row_of
from projections.memory import MemoryFold, digest_of_workspace, fold_events
from projections.playbook.limits import Limits
from projections.playbook.rules import Rules, load_rules
from schemas.event import Event
from schemas.times import DAY
from tests.laws.histories import agreements, decoded, histories, hostile_histories, rulings
from tests.laws.restarts import restarted

RULES = load_rules()
#: Limits so low that small histories break them.
STRICT = replace(
    RULES,
    limits=Limits({"user_id": 1, "crm_contact": 1, "email": 1, "phone": 1, "anonymous_id": 2}, {"email": 2 * DAY}),
    max_links=3,
    first_traits=frozenset({"name"}),
    trait_sources={"plan": ("crm", "web")},
)


def states(workspace: Workspace) -> dict[bytes, bytes]:
    return {journey_id: journey.encode() for journey_id, journey in workspace.journeys.items()}


def fold_with_restarts(
    events: list[Event],
    restart_after: list[bool],
    settle_each: bool = False,
    rules: Rules = RULES,
    register: Register | None = None,
) -> Workspace:
    fold = MemoryFold(Workspace(rules, register))
    for event, restart in zip(events, restart_after, strict=True):
        fold.add(event)
        if settle_each:
            fold.workspace.harvest()
        if restart:
            fold.workspace = restarted(fold.workspace)
    fold.workspace.harvest()
    return fold.workspace


@settings(max_examples=2_000)
@given(histories(), st.data())
def test_any_order_and_any_restarts_give_the_same_bytes(history: list[tuple[str, bytes]], data: st.DataObject) -> None:
    events = decoded(history)
    shuffled = data.draw(st.permutations(events))
    restarts = data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
    once = fold_events(events, RULES)
    again = fold_with_restarts(shuffled, restarts)
    assert states(again) == states(once)
    assert digest_of_workspace(again) == digest_of_workspace(once)
    assert again.home == once.home
    assert {j.journey_id: j.component for j in again.journeys.values()} == {
        j.journey_id: j.component for j in once.journeys.values()
    }


@settings(max_examples=2_000)
@given(histories(), agreements(), rulings(), st.data())
def test_playbook_changes_converge(
    history: list[tuple[str, bytes]],
    agreed: list[tuple[str, bytes]],
    ruled: list[tuple[str, bytes]],
    data: st.DataObject,
) -> None:
    """With hand-offs, splits and what the clock will do in the history."""
    events = decoded([*history, *agreed, *ruled])
    once = fold_events(events, RULES)
    shuffled = data.draw(st.permutations(events))
    restarts = data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
    again = fold_with_restarts(shuffled, restarts, settle_each=data.draw(st.booleans()))
    assert states(again) == states(once)
    assert again.rules.names == once.rules.names
    assert again.rules.terms == once.rules.terms
    # what time alone will do: stages, hand-offs, deadlines, audiences
    assert [row_of(j, again.rules)._replace(rev=0) for _, j in sorted(again.journeys.items())] == [
        row_of(j, once.rules)._replace(rev=0) for _, j in sorted(once.journeys.items())
    ]


@settings(max_examples=10_000)
@given(hostile_histories(), st.sampled_from([RULES, STRICT]), st.data())
def test_hostile_identity_histories_converge(
    history: list[tuple[str, bytes]], rules: Rules, data: st.DataObject
) -> None:
    events = decoded(history)
    once = fold_events(events, rules)
    shuffled = data.draw(st.permutations(events))
    restarts = data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
    again = fold_with_restarts(shuffled, restarts, settle_each=data.draw(st.booleans()), rules=rules)
    assert states(again) == states(once)
    assert again.home == once.home
    assert again.register.quarantined == once.register.quarantined
    assert {j.journey_id: row_of(j, rules)._replace(rev=0) for j in again.journeys.values()} == {
        j.journey_id: row_of(j, rules)._replace(rev=0) for j in once.journeys.values()
    }


@settings(max_examples=1_000)
@given(histories(max_size=20), st.data())
def test_all_tiers_of_the_fold_give_the_same_bytes(history: list[tuple[str, bytes]], data: st.DataObject) -> None:
    events = data.draw(st.permutations(decoded(history)))
    workspace = fold_with_restarts(events, [False] * len(events), settle_each=data.draw(st.booleans()))
    for journey in workspace.journeys.values():
        incremental = journey.encode()
        derive(journey, RULES)
        assert journey.encode() == incremental


@settings(max_examples=300)
@given(histories())
def test_every_event_is_in_exactly_one_journey(history: list[tuple[str, bytes]]) -> None:
    workspace = fold_events(decoded(history), RULES)
    rows = [row_of(journey, RULES) for journey in workspace.journeys.values()]
    assert sum(row.events for row in rows) == len(history)


@settings(max_examples=500)
@given(histories())
def test_identities_keep_the_limits_and_every_identifier_finds_its_journey(
    history: list[tuple[str, bytes]],
) -> None:
    workspace = fold_events(decoded(history), RULES)
    for journey in workspace.journeys.values():
        types = [known.type for known in journey.identifiers.values()]
        assert types.count("user_id") <= 1
        assert types.count("crm_contact") <= 1
        for key in journey.identifiers:
            assert workspace.home[key] == journey.journey_id
