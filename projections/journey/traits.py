"""Traits, consents and the owner: of all that was said, what holds. The playbook has the rule of each trait."""

from collections.abc import Iterable
from typing import Any

from projections.journey.journey import Fact, Journey
from projections.playbook.model import Rules


def facts_by_name(journey: Journey, kind: str) -> dict[str, list[Fact]]:
    """All facts of a kind by name, in the order of the events."""
    found: dict[str, list[Fact]] = {}
    for fact in sorted((fact for fact in journey.facts.values() if fact.kind == kind), key=lambda fact: fact.order):
        found.setdefault(fact.name, []).append(fact)
    return found


def last_said(facts: Iterable[Fact]) -> Fact | None:
    """The last fact by law 2's order."""
    return max(facts, key=lambda fact: fact.order, default=None)


def consent_of(journey: Journey) -> dict[str, Any]:
    """By purpose: whether the person consented, as was said last."""
    said = {name: last_said(facts) for name, facts in facts_by_name(journey, "consent").items()}
    return {name: fact.value for name, fact in sorted(said.items()) if fact is not None and fact.value is not None}


def winner(name: str, facts: list[Fact], rules: Rules) -> Fact | None:
    """The fact of a trait that holds; its value is None where the trait was deleted.

    By default the last; the first with a value for a trait that keeps its first; for a trait with preferred sources
    the last word of the best source that has a value, and the last of all where none of them has.
    """
    if name in rules.first_traits:
        given = [fact for fact in facts if fact.value is not None]
        return min(given or facts, key=lambda fact: fact.order, default=None)
    for source in rules.trait_sources.get(name, ()):
        said = last_said(fact for fact in facts if fact.source == source)
        if said is not None and said.value is not None:
            return said
    return last_said(facts)
