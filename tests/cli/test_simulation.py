"""The simulation that the demo plays: the same for the same seed, and with all that it is there to show."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from cli.demo.show import _events
from cli.demo.simulation import Fact, id_of, simulate
from projections.journey.handoffs import STATES, breaches_at
from projections.journey.life import copy_of
from projections.journey.lifecycle import advance
from projections.memory import fold_events
from tests.support import RULES

UNTIL = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
AT = int(UNTIL.timestamp() * 1_000_000)


def facts(seed: int = 7, people: int = 600) -> list[Fact]:
    return simulate(seed, people, UNTIL - timedelta(days=100), UNTIL)


def test_a_seed_gives_the_same_facts_none_of_them_in_the_future() -> None:
    assert facts(people=60) == facts(people=60)
    assert facts(people=60) != facts(8, people=60)
    assert max(fact.occurred_at for fact in facts(people=60)) <= UNTIL
    assert len({id_of(fact) for fact in facts(people=60)}) < len(facts(people=60)), "some come twice"


def test_sales_calls_in_office_hours() -> None:
    for fact in facts(people=200):
        if fact.type == "call_logged":
            assert fact.occurred_at.weekday() < 5
            assert 9 <= fact.occurred_at.hour <= 17


def test_all_that_the_demo_shows_happens() -> None:
    workspace = fold_events(_events(facts()), RULES)
    handoffs: Counter[tuple[str, str]] = Counter()
    missed: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    for journey in workspace.journeys.values():
        assert journey.life is not None
        life = copy_of(journey.life)
        advance(life, AT, RULES)
        stages[RULES.names[life.stage]] += 1
        stages.update({f"was {RULES.names[entry.stage]}" for entry in life.history})
        for one in life.handoffs:
            handoffs[one.kind, STATES[one.state]] += 1
            missed[one.kind] += "first-touch" in breaches_at(one, AT)
    for kind, state in (
        *(("qualified-lead", state) for state in ("offered", "accepted", "rejected", "resolved")),
        *(("recycled-lead", state) for state in ("offered", "resolved", "expired")),
        *(("win-back", state) for state in ("offered", "resolved")),
    ):
        assert handoffs[kind, state], (kind, state)
    leads = sum(
        count for (kind, state), count in handoffs.items() if kind == "qualified-lead" and state != "superseded"
    )
    assert 0.1 < missed["qualified-lead"] / leads < 0.4, "sales calls most leads in time, and some too late"
    assert all(stages[name] for name in ("was at-risk", "was lapsed", "was won-back", "customer"))
