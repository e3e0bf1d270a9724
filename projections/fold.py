"""The fold: events into journeys, one at a time, in any order."""

from collections.abc import Iterable, Sequence

import msgspec

from projections.identifiers import Identifier, key_at, later_key
from projections.identity.erasure import ERASURE, Erasure
from projections.identity.register import ABOUT_IDENTITY, RULINGS, AffectedIdentifier, Register, Ruling
from projections.identity.resolve import KNOWN_BY
from projections.identity.workspace import Workspace
from projections.journey.facts import Fact, facts_of
from projections.journey.journey import Journey
from projections.journey.lifecycle import add_moment
from projections.journey.links import QUARANTINED, UNJUDGED, Known, Link
from projections.journey.moments import Moment, moment_of
from projections.playbook.events import ABOUT_PLAYBOOK
from projections.playbook.rules import Rules
from projections.subjects import FORM, Subject, identify, subject_at
from schemas.event import Event, Order
from schemas.rejection import Rejection


def subject_of(event: Event, rules: Rules) -> Subject | None:
    """Whom the event is about; None where it is not folded: it is about nobody, or the playbook excludes it.

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
            "no identifier names a person: each is absent, blocked (such as null, 0, test) or unreadable; "
            "an account alone names no person",
        )
    if event.type in RULINGS and len(subject.persons) < 2:
        raise Rejection("missing_identity", "identities", "a ruling is about two identifiers or more: name them")
    return subject


def _excluded(event: Event, subject: Subject | None, rules: Rules) -> bool:
    if event.type in ABOUT_IDENTITY or subject is None or rules.excluded is None:
        return False
    return any(rules.excluded.match(f"{person.type}:{person.value}") for person in subject.persons)


def apply(workspace: Workspace, event: Event, subject: Subject) -> None:
    """Fold one event that was not folded before. For releases see `release`.

    The journeys of the event's identifiers, and those tied to them, must be in the workspace.
    """
    take(workspace, subject, moment_of(event, subject), facts_of(event, subject))


def take(workspace: Workspace, subject: Subject, moment: Moment, facts: Sequence[Fact]) -> None:
    """Fold what one event amounts to, as `apply` does. The moment belongs to the journey from then on."""
    order = (moment.at, moment.id, moment.source)
    register = workspace.register
    if moment.type in RULINGS:
        rule(workspace, moment.type, subject, order)
        return
    if register.releases:
        later = subject_at(subject, moment.at, register.releases)
        if later is not subject:
            subject = later
            moment.set_subject(subject)
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
        journey = workspace.unassigned(moment.device)
    else:
        workspace.touch(journey)
    for fact in facts:
        journey.learn(fact, workspace.rules.first_traits)
    add_moment(journey, moment, workspace.rules)


def _is_contested(workspace: Workspace, device: bytes) -> bool:
    holder = workspace.journey_of(device)
    return holder is not None and holder.contested and device not in workspace.register.quarantined


def rule(workspace: Workspace, type_: str, subject: Subject, order: Order) -> None:
    """Apply a ruling: everybody it concerns is judged again."""
    keys = tuple(sorted(person.key for person in subject.persons))
    for key in workspace.register.rule(Ruling(order, RULINGS[type_], keys)):
        workspace.mark_dirty(key, afresh=True)


def release(workspace: Workspace, event: Event, subject: Subject) -> set[bytes]:
    """Apply a release. Returns the identifiers whose events must be folded again: their journeys are detached.

    There are none unless an event at or after the release has named the identifier already. Then it is everybody tied
    to it, by links in quarantine too: all of them must be in the workspace.
    """
    workspace.judge()
    register, at = workspace.register, event.occurred_at
    tied: dict[bytes, Journey] = {}
    for person in subject.persons:
        before = key_at(person.key, at, register.releases)
        journey = workspace.journey_of(before)
        if journey is not None and journey.identifiers[before].last >= at:
            tied |= workspace.everybody_tied_to(journey.journey_id)
        # rulings after the release are about another identifier now
        for key in {before, person.key, later_key(person.key, at)} | register.partners.get(before, set()):
            workspace.mark_dirty(key, afresh=True)
        register.release(person.key, at)
    return detach_all(workspace, tied)


def erase(workspace: Workspace, erasure: Erasure, listed: Iterable[bytes]) -> set[bytes]:
    """Apply an erasure. Returns the identifiers whose events, without the erased ones, must be folded again.

    `listed`: identifiers of the events that the erasure names. Everybody tied to them or to the person by any link,
    in quarantine too, must be in the workspace.
    """
    workspace.judge()
    register = workspace.register
    register.erased.add(erasure)
    tied: dict[bytes, Journey] = {}
    own, shared = register.erased.only(erasure).among(workspace.home, register.releases)
    # before rulings about the person are retracted: they tie, too
    for key in sorted({*own, *shared, *listed} & workspace.home.keys()):
        tied |= workspace.everybody_tied_to(workspace.home[key])
    for ruling in register.erase(erasure):
        for key in ruling.keys:
            workspace.mark_dirty(key_at(key, ruling.order[0], register.releases), afresh=True)
    return detach_all(workspace, tied)


def detach_all(workspace: Workspace, journeys: dict[bytes, Journey]) -> set[bytes]:
    """Detach journeys, to fold their events again. Returns their identifiers.

    They must be all journeys that any link ties together: quarantine is judged afresh.
    """
    for journey in journeys.values():
        workspace.detach(journey)
    members = {key for journey in journeys.values() for key in journey.identifiers}
    for key in members & workspace.register.quarantined:
        workspace.register.unquarantine(key)
    return members


def _nothing_new(workspace: Workspace, subject: Subject, order: Order) -> bool:
    """Whether the event says nothing new about identity: the common case, in O(1).

    An earlier or stronger statement of a link is new: limits are judged by it, and `explain` names it.
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
    apart = first in register.quarantined  # then the others keep the links
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
    """Record the event's identifiers and links, and have their component judged again."""
    register = workspace.register
    persons = subject.persons
    if register.quarantined:
        persons = tuple([person for person in subject.persons if person.key not in register.quarantined])
        if len(persons) < len(subject.persons):
            _record_quarantined(workspace, subject, order)
    homes = {workspace.home[person.key] for person in persons if person.key in workspace.home}
    if register.partners:
        homes |= set(workspace.homes_of_partners(person.key for person in persons))
    if len(homes) < 2 and len(persons) == len(subject.persons):
        alone = workspace.journeys[next(iter(homes))] if homes else Journey(persons[0].key)
        if alone.component is None and _extend(workspace, alone, subject, order):
            return
    for person in persons:
        workspace.record_identifier(person, order)
        workspace.mark_dirty(person.key)
    for person in subject.persons[1:]:
        _tie(workspace, Link(subject.persons[0].key, person.key, subject.authority, *order))
    for person in persons:
        _quarantine_if_shared(workspace, person)


def _tie(workspace: Workspace, link: Link) -> None:
    """Keep a link with the journeys of both ends, unless a stronger event stated it.

    An identifier in quarantine has no links, except those that it keeps until it is judged.
    """
    quarantined, place = workspace.register.quarantined, (link.a, link.b)
    free = [end for end in place if end not in quarantined]
    if not free:
        return  # the register keeps the bond
    known = workspace.journeys[workspace.home[free[0]]].links.get(place)
    if known is not None and known.strength <= link.strength:
        return
    journeys = [workspace.journeys[workspace.home[end]] for end in place]
    holders = [one for end, one in zip(place, journeys, strict=True) if end in free or place in one.links]
    link.refused = UNJUDGED if len(holders) == 2 else QUARANTINED
    for journey in holders:
        journey.links[place] = link
        if link.refused == UNJUDGED and journey.component is None:
            journey.component = journey.journey_id  # until it is judged
    if len(free) == 1:
        _record_bond(workspace.register, link)


def _extend(workspace: Workspace, journey: Journey, subject: Subject, order: Order) -> bool:
    """Add identifiers and links to one person; False where the component must be judged.

    A shortcut for the commonest case, with the same result as judging the whole component.
    """
    fresh = [person for person in subject.persons if person.key not in journey.identifiers]
    if not _one_for_sure(workspace, journey, subject, fresh, order):
        return False
    _record_subject(journey, subject, order)
    workspace.attach(journey)
    return True


def _one_for_sure(  # noqa: PLR0911 (one reason a line)
    workspace: Workspace, journey: Journey, subject: Subject, fresh: list[Identifier], order: Order
) -> bool:
    """Whether all is one person by any rule, and the journey keeps its id."""
    known, separated, rules = journey.identifiers, workspace.register.separated, workspace.rules
    first = known.get(journey.journey_id)
    if first is not None and order[0] <= first.at:
        return False  # the first identifier gives the journey its id, and it may change
    if subject.authority == FORM and len(subject.persons) > 1 and known:
        return False  # a form may claim to come from a known person
    if _claimed_by_form(journey) and _is_known([*known.values(), *fresh]):
        return False  # a new link may show that the form came from somebody who was known before
    if len(journey.links) + len(subject.persons) > rules.max_links:
        return False
    if separated and any(separated.get(person.key) for person in subject.persons):
        return False
    if workspace.register.erased.any_shared(subject.persons):
        return False  # the device is contested, whoever is linked to it
    return not fresh or rules.limits.surely_allow([*known.values(), *fresh])


def _is_known(identifiers: Iterable[Known | Identifier]) -> bool:
    return any(one.type in KNOWN_BY for one in identifiers)


def _claimed_by_form(journey: Journey) -> bool:
    """Whether only a form ties something to the person."""
    return any(link.authority == FORM for link in journey.links.values())


def _record_subject(journey: Journey, subject: Subject, order: Order) -> None:
    """Record identifiers and links with one journey, where no earlier event stated them."""
    for person in subject.persons:
        journey.record_identifier(person, order)
    first, authority = subject.persons[0].key, subject.authority
    for person in subject.persons[1:]:
        link = journey.links.get((first, person.key))
        if link is None or (authority, *order) < link.strength:
            journey.links[first, person.key] = Link(first, person.key, authority, *order)


def _record_quarantined(workspace: Workspace, subject: Subject, order: Order) -> None:
    """Record the identifiers in quarantine: when they were named, and which of them together."""
    quarantined, first = workspace.register.quarantined, subject.persons[0].key
    for person in subject.persons:
        if person.key in quarantined:
            workspace.record_identifier(person, order)
            if first in quarantined and person.key != first:
                _record_bond(workspace.register, Link(first, person.key, subject.authority, *order))


def _record_bond(register: Register, link: Link) -> None:
    """Note in the register that a link ties an identifier to one in quarantine."""
    for own, other in ((link.a, link.b), (link.b, link.a)):
        if own in register.quarantined:
            register.record_bond(AffectedIdentifier(own, other, link.at))


def _quarantine_if_shared(workspace: Workspace, person: Identifier) -> None:
    """Quarantine an identifier that has more links than the playbook allows."""
    links = workspace.journeys[workspace.home[person.key]].links
    if len(links) <= workspace.rules.max_links:
        return
    own = [link for link in links.values() if person.key in (link.a, link.b)]
    if len(own) > workspace.rules.max_links:
        workspace.register.quarantine(person)
        # rulings no longer tie anybody to it, either
        for key in {person.key} | workspace.register.partners.get(person.key, set()):
            workspace.mark_dirty(key, afresh=True)
        for link in own:
            _record_bond(workspace.register, link)
