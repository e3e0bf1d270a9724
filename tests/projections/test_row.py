"""The row of a journey stays what it is while the fold goes on: it is written while the next batch is folded."""

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.identity.workspace import Workspace
from projections.journey.row import JourneyRow, row_of
from projections.memory import MemoryFold
from tests.laws.histories import decoded, histories
from tests.support import RULES


def _rows(workspace: Workspace) -> list[JourneyRow]:
    workspace.harvest()
    return [row_of(journey, RULES) for journey in workspace.journeys.values()]


@settings(max_examples=300)
@given(histories(), st.data())
def test_rows_do_not_change_while_the_fold_goes_on(history: list[tuple[str, bytes]], data: st.DataObject) -> None:
    events = sorted(decoded(history), key=lambda event: event.occurred_at)
    half = data.draw(st.integers(0, len(events)))
    fold = MemoryFold(Workspace(RULES))
    for event in events[:half]:
        fold.add(event)
    rows = _rows(fold.workspace)
    before = deepcopy(rows)
    for event in events[half:]:
        fold.add(event)
    fold.workspace.harvest()
    assert rows == before
