"""What a worker has after a restart."""

from projections.identity.workspace import Workspace
from projections.journey.journey import Journey, resume
from projections.journey.row import row_of
from projections.playbook.rules import Rules


def restarted(workspace: Workspace) -> Workspace:
    """The workspace after a restart: everything written, then read again."""
    workspace.harvest()
    again = Workspace(workspace.rules, workspace.register)
    for journey in workspace.journeys.values():
        again.put(reloaded(journey, workspace.rules))
    return again


def reloaded(journey: Journey, rules: Rules) -> Journey:
    """A settled journey as it comes back from the database."""
    row = row_of(journey, rules)
    stays = [(stay.account, stay.since) for stay in row.stays if not stay.weak]
    copy = resume(row.journey_id, row.rev, row.state, row.events, row.last_seen, stays)
    copy.component = row.component
    return copy
