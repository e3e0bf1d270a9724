"""The whole projection in memory: the oracle that every other way of computing it must equal."""

from collections.abc import Iterable

from projections.digest import digest_of
from projections.fold import apply, subject_of
from projections.playbook import Rules
from projections.workspace import Workspace
from schemas.event import Event


def fold_events(events: Iterable[Event], rules: Rules) -> Workspace:
    """Fold distinct events, in the order given, into a fresh workspace. Raises Rejection for events without person."""
    workspace = Workspace(rules)
    for event in events:
        subject = subject_of(event, rules)
        if subject is not None:
            apply(workspace, event, subject)
    workspace.harvest()
    return workspace


def digest_of_workspace(workspace: Workspace) -> str:
    """The digest of all journeys in a workspace, as 64 hexadecimal digits."""
    return digest_of((journey_id, journey.encode()) for journey_id, journey in workspace.journeys.items())
