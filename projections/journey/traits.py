"""Traits, consents and the owner: which of the stated values holds. The playbook has a rule for each trait."""

from collections.abc import Iterable
from typing import Any

from projections.journey.facts import Fact
from projections.journey.journey import Journey
from projections.playbook.rules import Rules


def facts_by_name(journey: Journey, kind: str) -> dict[str, list[Fact]]:
    """All facts of a kind by name, in the order of the events."""
    by_name: dict[str, list[Fact]] = {}
    for fact in sorted((fact for fact in journey.facts.values() if fact.kind == kind), key=lambda fact: fact.order):
        by_name.setdefault(fact.name, []).append(fact)
    return by_name


def latest(facts: Iterable[Fact]) -> Fact | None:
    """The last fact by law 2's order; None where there is none."""
    return max(facts, key=lambda fact: fact.order, default=None)


def consent_of(journey: Journey) -> dict[str, Any]:
    """By purpose: whether the person consented, as stated last."""
    stated = {name: latest(facts) for name, facts in facts_by_name(journey, "consent").items()}
    return {name: fact.value for name, fact in sorted(stated.items()) if fact is not None and fact.value is not None}


def winner(name: str, facts: list[Fact], rules: Rules) -> Fact | None:
    """The fact of a trait that holds; its value is None where the trait was deleted.

    By default the last one. For a trait that keeps its first, the first with a value. For a trait with preferred
    sources the last one of the best source that has a value, and the last of all where none of them has.
    """
    if name in rules.first_traits:
        given = [fact for fact in facts if fact.value is not None]
        return min(given or facts, key=lambda fact: fact.order, default=None)
    for source in rules.trait_sources.get(name, ()):
        fact = latest(fact for fact in facts if fact.source == source)
        if fact is not None and fact.value is not None:
            return fact
    return latest(facts)
