"""Joint facts: rulings, releases, erasures and playbook events hold whatever journey they are about. Pure."""

from collections.abc import Iterable

from projections.fold import rule, subject_of
from projections.identifiers import key_at, later_key
from projections.identity.erasure import ERASURE, erasure_of
from projections.identity.register import RELEASE, RULINGS
from projections.identity.workspace import Workspace
from projections.playbook.events import ABOUT_PLAYBOOK, playbook_event_of
from projections.playbook.rules import Rules
from schemas.event import Event


def take_joint(workspace: Workspace, events: Iterable[Event], rules: Rules) -> None:
    """Take those of the events that are joint facts. The caller folds the people again whom they concern."""
    register = workspace.register
    for event in events:
        subject, order = subject_of(event, rules), (event.occurred_at, event.id, event.source)
        if event.type in ABOUT_PLAYBOOK:
            workspace.record(playbook_event_of(event))
        elif event.type == ERASURE and not (erasure := erasure_of(event)).nobody:
            register.erase(erasure)
        elif subject is not None and event.type in RULINGS:
            rule(workspace, event.type, subject, order)
        elif subject is not None and event.type == RELEASE:
            for person in subject.persons:
                if register.release(person.key, event.occurred_at):
                    for key in {person.key, later_key(person.key, event.occurred_at)}:
                        workspace.mark_dirty(key, afresh=True)


def retract_joint(workspace: Workspace, event: Event, rules: Rules) -> None:
    """Let a joint fact count no more; an erasure stays. Other events hold nothing beside their journeys."""
    register = workspace.register
    order = (event.occurred_at, event.id, event.source)
    if event.type in ABOUT_PLAYBOOK:
        workspace.retract(order)
    elif event.type in RULINGS:
        gone = [ruling for ruling in register.rulings if ruling.order == order]
        register.retract_rulings(gone)
        for key in [key for ruling in gone for key in ruling.keys]:
            workspace.mark_dirty(key_at(key, event.occurred_at, register.releases), afresh=True)
    elif event.type == RELEASE and (subject := subject_of(event, rules)) is not None:
        for person in subject.persons:
            register.retract_release(person.key, event.occurred_at)
            workspace.mark_dirty(person.key, afresh=True)
