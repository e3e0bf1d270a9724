"""The fold: events into journeys, one event at a time, whatever order they come in."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec

from projections.identifiers import ANONYMOUS, Identifier, key_at, later_key
from projections.identity.erasure import ERASURE, Erasure
from projections.identity.register import ABOUT_IDENTITY, RULINGS, Register, Ruling, Victim
from projections.identity.resolve import KNOWN_BY, within_limits
from projections.identity.workspace import Workspace
from projections.journey.journey import BREAKER, UNJUDGED, Fact, Journey, Known, Link, Order
from projections.journey.moments import Moment, moment_of
from projections.playbook.model import Rules
from projections.playbook.proposals import ABOUT_PLAYBOOK
from projections.subjects import FORM, Subject, identify, renewed
from schemas.event import Event
from schemas.rejection import Rejection


def subject_of(event: Event, rules: Rules) -> Subject | None:
    """Whom the event is about; None where it is not folded: nobody's, or excluded by the playbook.

    Raises Rejection `missing_identity`.
    """
    regions = rules.phone_regions
    region = regions.get(event.source) if regions else None
    subject = identify(event.identities, region, event.type)
    if event.source in rules.excluded_sources or (rules.excluded is not None and _excluded(event, subject, rules)):
        return None
    if subject is None:
        if event.type in ABOUT_PLAYBOOK or event.type == ERASURE:
            return None
        raise Rejection(
            "missing_identity",
            "identities",
            "no identifier names a person: they are absent, blocked (such as null, 0, test) or unreadable; "
            "an account alone does not say whose journey it is",
        )
    if event.type in RULINGS and len(subject.persons) < 2:
        raise Rejection("missing_identity", "identities", "a ruling is about two or more identifiers: name them")
    return subject


def _excluded(event: Event, subject: Subject | None, rules: Rules) -> bool:
    if event.type in ABOUT_IDENTITY or subject is None or rules.excluded is None:
        return False
    return any(rules.excluded.match(f"{person.type}:{person.value}") for person in subject.persons)


def apply(workspace: Workspace, event: Event, subject: Subject) -> None:
    """Fold one event that was not folded before, releases excepted: for them see `released`.

    All journeys that the event's identifiers belong to, and those tied to them, must be in the workspace.
    """
    take(workspace, subject, moment_of(event, subject), facts_of(event, subject))


def take(workspace: Workspace, subject: Subject, moment: Moment, facts: Sequence[Fact]) -> None:
    """Fold what one event comes to, as `apply` does. The moment is the journey's from then on."""
    order = (moment.at, moment.id, moment.source)
    register = workspace.register
    if moment.type in RULINGS:
        rule(workspace, moment.type, subject, order)
        return
    if register.releases:
        later = renewed(subject, moment.at, register.releases)
        if later is not subject:
            subject = later
            moment.concern(subject)
            facts = [msgspec.structs.replace(fact, anchor=subject.anchor.key) for fact in facts]
    if not _nothing_new(workspace, subject, order):
        _connect(workspace, subject, order)
    if register.quarantined:
        counted = moment.without(register.quarantined)
        if counted is None:
            return
        moment = counted
        if subject.anchor.key in register.quarantined:
            facts = ()
    journey = workspace.journeys[workspace.home[moment.anchor]]
    if journey.component is not None and moment.device is not None and _is_contested(workspace, moment.device):
        journey = workspace.loose(moment.device)
    else:
        workspace.touch(journey)
    for fact in facts:
        journey.learn(fact, workspace.rules)
    journey.add(moment, workspace.rules)


def _is_contested(workspace: Workspace, device: bytes) -> bool:
    holder = workspace.journey_of(device)
    return holder is not None and holder.contested and device not in workspace.register.quarantined


def rule(workspace: Workspace, type_: str, subject: Subject, order: Order) -> None:
    """Take a ruling, and have everybody judged again whom it concerns."""
    keys = tuple(sorted(person.key for person in subject.persons))
    for key in workspace.register.rule(Ruling(order, RULINGS[type_], keys)):
        workspace.disturb(key, afresh=True)


def released(workspace: Workspace, event: Event, subject: Subject) -> set[bytes]:
    """Take a release. Returns the identifiers whose events must be folded again: their journeys are gone.

    That is nobody, unless an event at or after the release has named the identifier already. Then it is everybody who
    is tied to it, by links in quarantine as well: all of them must be in the workspace.
    """
    workspace.judge()
    register, at = workspace.register, event.occurred_at
    found: dict[bytes, Journey] = {}
    for person in subject.persons:
        before = key_at(person.key, at, register.releases)
        journey = workspace.journey_of(before)
        if journey is not None and journey.identifiers[before].last >= at:
            found |= workspace.everybody_tied_to(journey.journey_id)
        # rulings after the release are about another identifier now
        for key in {before, person.key, later_key(person.key, at)} | register.partners.get(before, set()):
            workspace.disturb(key, afresh=True)
        register.release(person.key, at)
    return take_out(workspace, found)


def erase(workspace: Workspace, erasure: Erasure, listed: Iterable[bytes]) -> set[bytes]:
    """Take an erasure. Returns the identifiers whose events must be folded again, without those that are erased.

    `listed`: identifiers of events that the erasure names by their ids. All must be in the workspace whom any link ties
    to them or to the person, links in quarantine too.
    """
    workspace.judge()
    register = workspace.register
    register.erased.add(erasure)
    found: dict[bytes, Journey] = {}
    own, shared = register.erased.of_one(erasure).among(workspace.home, register.releases)
    for key in sorted({*own, *shared, *listed} & workspace.home.keys()):  # while rulings about the person still tie
        found |= workspace.everybody_tied_to(workspace.home[key])
    for ruling in register.erase(erasure):
        for key in ruling.keys:
            workspace.disturb(key_at(key, ruling.order[0], register.releases), afresh=True)
    return take_out(workspace, found)


def take_out(workspace: Workspace, journeys: dict[bytes, Journey]) -> set[bytes]:
    """Take journeys out of the workspace, to fold their events again. Returns their identifiers.

    The journeys must be all that any link ties together: what is in quarantine is judged afresh.
    """
    for journey in journeys.values():
        workspace.disown(journey)
    members = {key for journey in journeys.values() for key in journey.identifiers}
    for key in members & workspace.register.quarantined:
        workspace.register.unquarantine(key)
    return members


def _nothing_new(workspace: Workspace, subject: Subject, order: Order) -> bool:
    """Whether the event says nothing about identity that was not said earlier: the O(1) common case.

    An earlier or stronger word on a link must be kept: limits are judged by it, and `explain` names it.
    """
    persons = subject.persons
    for person in persons:
        home = workspace.home.get(person.key)
        if home is None:
            return False
        journey = workspace.journeys[home]
        known = journey.identifiers[person.key]
        if order[0] > known.last:
            known.last = order[0]
            workspace.touch(journey)
        elif order[0] <= known.at and order < known.order:
            return False
    if len(persons) == 1:
        return True
    first, register = persons[0].key, workspace.register
    strength = (subject.authority, *order)
    apart = first in register.quarantined  # then the others keep its links
    for person in persons[1:]:
        if apart and person.key in register.quarantined:
            since = register.bonded_since(first, person.key)
            if since is None or order[0] < since:
                return False
            continue
        holder = workspace.journeys[workspace.home[person.key if apart else first]]
        link = holder.links.get((first, person.key))
        if link is None or strength < link.strength:
            return False
    return True


def _connect(workspace: Workspace, subject: Subject, order: Order) -> None:
    """Note the event's identifiers and links, and have their component judged again."""
    register = workspace.register
    persons = subject.persons
    if register.quarantined:
        persons = tuple([person for person in subject.persons if person.key not in register.quarantined])
        if len(persons) < len(subject.persons):
            _note_quarantined(workspace, subject, order)
    homes = {workspace.home[person.key] for person in persons if person.key in workspace.home}
    if register.partners:
        homes |= set(workspace.homes_of_partners(person.key for person in persons))
    if len(homes) < 2 and len(persons) == len(subject.persons):
        alone = workspace.journeys[next(iter(homes))] if homes else Journey(persons[0].key)
        if alone.component is None and _extend(workspace, alone, subject, order):
            return
    for person in persons:
        workspace.name(person, order)
        workspace.disturb(person.key)
    for person in subject.persons[1:]:
        _tie(workspace, Link(subject.persons[0].key, person.key, subject.authority, *order))
    for person in persons:
        _trip(workspace, person)


def _tie(workspace: Workspace, link: Link) -> None:
    """Keep a link with the journeys of both ends, unless it was said more strongly.

    A journey in quarantine has no links, but those that it has until it is judged.
    """
    quarantined, place = workspace.register.quarantined, (link.a, link.b)
    free = [end for end in place if end not in quarantined]
    if not free:
        return  # the register keeps it
    known = workspace.journeys[workspace.home[free[0]]].links.get(place)
    if known is not None and known.strength <= link.strength:
        return
    journeys = [workspace.journeys[workspace.home[end]] for end in place]
    holders = [one for end, one in zip(place, journeys, strict=True) if end in free or place in one.links]
    link.refused = UNJUDGED if len(holders) == 2 else BREAKER
    for journey in holders:
        journey.links[place] = link
        if link.refused == UNJUDGED and journey.component is None:
            journey.component = journey.journey_id  # until it is judged
    if len(free) == 1:
        _suffer(workspace.register, link)


def _extend(workspace: Workspace, journey: Journey, subject: Subject, order: Order) -> bool:
    """Add identifiers and links that leave one person, or make a new one, under one id; False where they may not.

    A shortcut to what judging the whole component comes to, for the commonest case.
    """
    fresh = [person for person in subject.persons if person.key not in journey.identifiers]
    if not _one_for_sure(workspace, journey, subject, fresh, order):
        return False
    _note(journey, subject, order)
    workspace.adopt(journey)
    return True


def _one_for_sure(  # noqa: PLR0911 (one reason a line)
    workspace: Workspace, journey: Journey, subject: Subject, fresh: list[Identifier], order: Order
) -> bool:
    """Whether no rule can object to the fresh identifiers, and the journey keeps its id."""
    known, foes, rules = journey.identifiers, workspace.register.foes, workspace.rules
    first = known.get(journey.journey_id)
    if first is not None and order[0] <= first.at:
        return False  # a journey is called by its first identifier, and that may change
    if subject.authority == FORM and len(subject.persons) > 1 and known:
        return False  # a form may claim to come from a known person
    if _claimed_by_form(journey) and _is_known([*known.values(), *fresh]):
        return False  # a new link may show that the form came from somebody who was known before
    if len(journey.links) + len(subject.persons) > rules.breaker:
        return False
    if foes and any(foes.get(person.key) for person in subject.persons):
        return False
    if workspace.register.erased.any_shared(subject.persons):
        return False  # the device is contested, whoever is linked to it
    return not fresh or within_limits([*known.values(), *fresh], rules)


def _is_known(identifiers: Iterable[Known | Identifier]) -> bool:
    return any(one.type in KNOWN_BY for one in identifiers)


def _claimed_by_form(journey: Journey) -> bool:
    """Whether only a form ties something to the person."""
    return any(link.authority == FORM for link in journey.links.values())


def _note(journey: Journey, subject: Subject, order: Order) -> None:
    """Keep with one journey what the event says about identity where it says it first."""
    for person in subject.persons:
        journey.name(person, order)
    first, authority = subject.persons[0].key, subject.authority
    for person in subject.persons[1:]:
        link = journey.links.get((first, person.key))
        if link is None or (authority, *order) < link.strength:
            journey.links[first, person.key] = Link(first, person.key, authority, *order)


def _note_quarantined(workspace: Workspace, subject: Subject, order: Order) -> None:
    """Keep what the event says about its identifiers in quarantine: when they were named, which of them together."""
    quarantined, first = workspace.register.quarantined, subject.persons[0].key
    for person in subject.persons:
        if person.key in quarantined:
            workspace.name(person, order)
            if first in quarantined and person.key != first:
                _suffer(workspace.register, Link(first, person.key, subject.authority, *order))


def _suffer(register: Register, link: Link) -> None:
    for own, other in ((link.a, link.b), (link.b, link.a)):
        if own in register.quarantined:
            register.suffer(Victim(own, other, link.at))


def _trip(workspace: Workspace, person: Identifier) -> None:
    """Quarantine an identifier if it is linked to too many others."""
    links = workspace.journeys[workspace.home[person.key]].links
    if len(links) <= workspace.rules.breaker:
        return
    own = [link for link in links.values() if person.key in (link.a, link.b)]
    if len(own) > workspace.rules.breaker:
        workspace.register.quarantine(person)
        # rulings tie nobody to it any more, either
        for key in {person.key} | workspace.register.partners.get(person.key, set()):
            workspace.disturb(key, afresh=True)
        for link in own:
            _suffer(workspace.register, link)


@cache
def _teaches(kind: type) -> bool:
    """Whether data of this class may hold facts."""
    return hasattr(kind, "owner") or hasattr(kind, "traits")


def facts_of(event: Event, subject: Subject) -> Sequence[Fact]:
    """What the event says about the person, by anchor, so that a split takes it along."""
    data: Any = event.data
    if not event.consent and not _teaches(data.__class__):
        return ()
    order, anchor = (event.occurred_at, event.id, event.source), subject.anchor
    key, device = anchor.key, anchor.type == ANONYMOUS
    facts = [Fact(key, "consent", purpose, *order, granted, device) for purpose, granted in event.consent.items()]
    owner = getattr(data, "owner", None)
    if owner is not None:
        facts.append(Fact(key, "owner", "", *order, owner, device))
    traits = (getattr(data, "traits", None) or {}).items()
    return facts + [Fact(key, "trait", name, *order, value, device) for name, value in traits]
