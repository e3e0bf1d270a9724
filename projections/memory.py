"""The whole projection in memory: every other way of computing it must give the same."""

from collections.abc import Iterable

from projections.digest import digest_of
from projections.fold import apply, erase, release, subject_of
from projections.identity.erasure import ERASURE, erasure_of
from projections.identity.register import ABOUT_IDENTITY, RELEASE
from projections.identity.workspace import Workspace
from projections.playbook.events import ABOUT_PLAYBOOK, playbook_event_of
from projections.playbook.rules import Rules
from projections.subjects import Subject, subject_at
from schemas.event import Event


class MemoryFold:
    """A workspace with all journeys, and their events, for releases and erasures that come late."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._applied: list[tuple[Event, Subject]] = []

    def add(self, event: Event) -> None:
        """Fold one event that was not folded before. Raises Rejection for an event without person."""
        if event.type in ABOUT_PLAYBOOK:
            self._record(event)
            return
        subject = subject_of(event, self.workspace.rules)
        if event.type == ERASURE:
            self._erase(event)
        if subject is None or (event.type != RELEASE and self._is_erased(event, subject)):
            return
        if event.type == RELEASE:
            self._release(event, subject)
        else:
            apply(self.workspace, event, subject)
        self._applied.append((event, subject))

    def _record(self, event: Event) -> None:
        workspace = self.workspace
        if workspace.record(playbook_event_of(event)):
            for journey in workspace.journeys.values():
                workspace.touch(journey)

    def _erase(self, event: Event) -> None:
        """Fold everybody tied to the person again, without what is erased."""
        workspace, register = self.workspace, self.workspace.register
        erasure = erasure_of(event)
        named = [
            subject_at(subject, earlier.occurred_at, register.releases)
            for earlier, subject in self._applied
            if (earlier.id, earlier.source) in erasure.events
        ]
        members = erase(workspace, erasure, {person.key for subject in named for person in subject.persons})
        applied, self._applied = self._applied, []
        for earlier, of_whom in applied:
            if earlier.type != RELEASE and self._is_erased(earlier, of_whom):
                continue
            self._applied.append((earlier, of_whom))
            first = subject_at(of_whom, earlier.occurred_at, register.releases).persons[0].key
            if earlier.type not in ABOUT_IDENTITY and first in members:
                apply(workspace, earlier, of_whom)

    def _is_erased(self, event: Event, subject: Subject) -> bool:
        return self.workspace.register.erased.covers((event.id, event.source), event.occurred_at, subject.persons)

    def _release(self, event: Event, subject: Subject) -> None:
        register = self.workspace.register
        before = dict(register.releases)
        members = release(self.workspace, event, subject)
        for earlier, of_whom in self._applied:
            if (
                earlier.type not in ABOUT_IDENTITY
                and subject_at(of_whom, earlier.occurred_at, before).persons[0].key in members
            ):
                apply(self.workspace, earlier, of_whom)


def fold_events(events: Iterable[Event], rules: Rules) -> Workspace:
    """Fold distinct events, in the order given, into a fresh workspace. Raises Rejection for events without person."""
    fold = MemoryFold(Workspace(rules))
    for event in events:
        fold.add(event)
    fold.workspace.harvest()
    return fold.workspace


def digest_of_workspace(workspace: Workspace) -> str:
    """The digest of all journeys in a workspace, as 64 hexadecimal digits."""
    return digest_of((journey_id, journey.encode()) for journey_id, journey in workspace.journeys.items())
