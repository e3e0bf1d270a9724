"""The fold: events into journeys, one event at a time, whatever order they come in."""

from functools import cache
from typing import Any

from projections.identifiers import ANONYMOUS, Identifier
from projections.identity import Subject, identify, resolve, within_limits
from projections.journey import Fact, Journey, Known, Link, Order
from projections.moments import moment_of
from projections.playbook import Rules
from projections.workspace import Workspace, regroup
from schemas.event import Event
from schemas.rejection import Rejection

#: Joint events that concern the departments, not a person.
IMPERSONAL = frozenset({"playbook_proposed", "playbook_approved"})


def subject_of(event: Event, rules: Rules) -> Subject | None:
    """Whom the event is about; None for a joint event about nobody. Raises Rejection `missing_identity`."""
    regions = rules.phone_regions
    region = regions.get(event.source) if regions else None
    subject = identify(event.identities, region, event.type == "identity_joined")
    if not subject.persons:
        if event.type in IMPERSONAL:
            return None
        raise Rejection(
            "missing_identity",
            "identities",
            "no identifier names a person: they are absent, blocked (such as null, 0, test) or unreadable; "
            "an account alone does not say whose journey it is",
        )
    return subject


def apply(workspace: Workspace, event: Event, subject: Subject) -> bytes:
    """Fold one event that was not folded before. Returns the id of the journey that took it.

    All journeys that the event's identifiers belong to, and those tied to them, must be in the workspace.
    """
    anchor = subject.persons[0]
    order = (event.occurred_at, event.id, event.source)
    if not _nothing_new(workspace, subject, order):
        _connect(workspace, subject, order)
    journey = workspace.journeys[workspace.home[anchor.key]]
    workspace.touch(journey)
    _learn(journey, event, anchor, subject.account)
    journey.add(moment_of(event, anchor.key, anchor.type != ANONYMOUS), workspace.rules)
    return journey.journey_id


def _nothing_new(workspace: Workspace, subject: Subject, order: Order) -> bool:
    """Whether the event says nothing about identity that was not said earlier: the O(1) common case.

    An earlier or stronger word on a link must be kept: limits are judged by it, and `explain` names it.
    """
    persons = subject.persons
    for person in persons:
        home = workspace.home.get(person.key)
        if home is None:
            return False
        known = workspace.journeys[home].identifiers[person.key]
        if order[0] <= known.at and order < known.order:
            return False
    if len(persons) == 1:
        return True
    anchor = persons[0].key
    links = workspace.journeys[workspace.home[anchor]].links
    strength = (subject.authority, *order)
    for person in persons[1:]:
        link = links.get((anchor, person.key))
        if link is None or strength < link.strength:
            return False
    return True


def _connect(workspace: Workspace, subject: Subject, order: Order) -> None:
    """Add the event's identifiers and links to their component, and judge the component again."""
    homes = {workspace.home[person.key] for person in subject.persons if person.key in workspace.home}
    if not homes and _extend(workspace, Journey(subject.persons[0].key), subject, order):
        return
    if len(homes) == 1:
        [journey] = [workspace.journeys[home] for home in homes]
        if journey.component is None and _extend(workspace, journey, subject, order):
            return
    old = workspace.component(homes)
    identifiers: dict[bytes, Known] = {}
    links: dict[tuple[bytes, bytes], Link] = {}
    for journey in old.values():
        identifiers.update(journey.identifiers)
        links.update(journey.links)
    _note(identifiers, links, subject, order)
    groups, verdicts = resolve(identifiers, links.values(), workspace.rules)
    regroup(workspace, old, identifiers, groups, verdicts)


def _extend(workspace: Workspace, journey: Journey, subject: Subject, order: Order) -> bool:
    """Add identifiers and links that leave one person, or make a new one, under one id; False where they may not.

    A shortcut to what judging the whole component comes to, for the commonest case.
    """
    first = journey.identifiers.get(journey.journey_id)
    if first is not None and order[0] <= first.at:
        return False  # a journey is called by its first identifier, and that may change
    fresh = [person for person in subject.persons if person.key not in journey.identifiers]
    if fresh and not within_limits([*journey.identifiers.values(), *fresh], workspace.rules):
        return False
    _note(journey.identifiers, journey.links, subject, order)
    workspace.adopt(journey)
    return True


def _note(
    identifiers: dict[bytes, Known], links: dict[tuple[bytes, bytes], Link], subject: Subject, order: Order
) -> None:
    """Keep what the event says about identity where it says it first."""
    for person in subject.persons:
        known = identifiers.get(person.key)
        if known is None or order < known.order:
            identifiers[person.key] = Known(person.key, person.type, person.value, *order)
    anchor, rank = subject.persons[0].key, subject.authority
    for person in subject.persons[1:]:
        link = links.get((anchor, person.key))
        if link is None or (rank, *order) < link.strength:
            links[anchor, person.key] = Link(anchor, person.key, rank, *order)


@cache
def _teaches(kind: type) -> bool:
    """Whether data of this class may hold facts."""
    return hasattr(kind, "owner") or hasattr(kind, "traits")


def _learn(journey: Journey, event: Event, anchor: Identifier, account: Identifier | None) -> None:
    """Keep what the event says about the person, by anchor, so that a split takes it along."""
    order = (event.occurred_at, event.id, event.source)
    if account is not None:
        journey.learn(Fact(anchor.key, "account", "", *order, account.value))
    if event.consent:
        for purpose, granted in event.consent.items():
            journey.learn(Fact(anchor.key, "consent", purpose, *order, granted))
    data: Any = event.data
    if not _teaches(data.__class__):
        return
    owner = getattr(data, "owner", None)
    if owner is not None:
        journey.learn(Fact(anchor.key, "owner", "", *order, owner))
    for name, value in (getattr(data, "traits", None) or {}).items():
        journey.learn(Fact(anchor.key, "trait", name, *order, value))
