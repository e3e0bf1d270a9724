"""The whole projection in memory: the oracle that every other way of computing it must equal."""

from collections.abc import Iterable

from projections.digest import digest_of
from projections.fold import apply, erase, released, subject_of
from projections.identity.erasure import ERASURE, erasure_of
from projections.identity.register import ABOUT_IDENTITY, RELEASE
from projections.identity.workspace import Workspace
from projections.playbook.model import Rules
from projections.playbook.proposals import ABOUT_PLAYBOOK, said_of
from projections.subjects import Subject, renewed
from schemas.event import Event


class MemoryFold:
    """A workspace with everything in it, and the events it was made of, for releases that come late."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._applied: list[tuple[Event, Subject]] = []

    def add(self, event: Event) -> None:
        """Fold one event that was not folded before. Raises Rejection for an event without person."""
        if event.type in ABOUT_PLAYBOOK:
            self._agree(event)
            return
        subject = subject_of(event, self.workspace.rules)
        if event.type == ERASURE:
            self._erase(event)
        if subject is None or (event.type != RELEASE and self._takes(event, subject)):
            return
        if event.type == RELEASE:
            self._release(event, subject)
        else:
            apply(self.workspace, event, subject)
        self._applied.append((event, subject))

    def _agree(self, event: Event) -> None:
        workspace = self.workspace
        if workspace.agree(said_of(event)):
            for journey in workspace.journeys.values():
                workspace.touch(journey)

    def _erase(self, event: Event) -> None:
        """Fold everybody again who is tied to the person, without what is erased."""
        workspace, register = self.workspace, self.workspace.register
        erasure = erasure_of(event)
        named = [
            renewed(subject, earlier.occurred_at, register.releases)
            for earlier, subject in self._applied
            if (earlier.id, earlier.source) in erasure.events
        ]
        members = erase(workspace, erasure, {person.key for subject in named for person in subject.persons})
        applied, self._applied = self._applied, []
        for earlier, of_whom in applied:
            if earlier.type != RELEASE and self._takes(earlier, of_whom):
                continue
            self._applied.append((earlier, of_whom))
            first = renewed(of_whom, earlier.occurred_at, register.releases).persons[0].key
            if earlier.type not in ABOUT_IDENTITY and first in members:
                apply(workspace, earlier, of_whom)

    def _takes(self, event: Event, subject: Subject) -> bool:
        return self.workspace.register.erased.takes((event.id, event.source), event.occurred_at, subject)

    def _release(self, event: Event, subject: Subject) -> None:
        register = self.workspace.register
        before = dict(register.releases)
        members = released(self.workspace, event, subject)
        for earlier, of_whom in self._applied:
            if (
                earlier.type not in ABOUT_IDENTITY
                and renewed(of_whom, earlier.occurred_at, before).persons[0].key in members
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
