"""Writing the change feed: its rows, and the counter that numbers them without gaps in the order of commits."""

from typing import NamedTuple

import asyncpg


class Change(NamedTuple):
    """One row of the change feed, before it has its number."""

    journey_id: bytes
    kind: int
    stage_from: int | None
    stage_to: int | None
    related: bytes | None  #: of a merge: where the journey went; of a split: where it came from
    cause: int


#: Kinds of change.
CHANGED, CREATED, MERGED, VANISHED, SPLIT = range(5)
#: Causes: news; identity, when what is in the journey was in another one before; time alone; other terms.
EVENT, IDENTITY, TIME, PLAYBOOK = range(4)

_COLUMNS = ("seq", *Change._fields, "batch_id")


async def write_changes(
    connection: asyncpg.Connection, changes: list[Change], first: int, batch_id: int | None
) -> None:
    """Write rows under the numbers from `first` on. `batch_id` is None where time alone was the cause.

    The caller has taken the numbers from the counter in this transaction, as the last lock of it.
    """
    numbered = [(first + n, *change, batch_id) for n, change in enumerate(changes)]
    await connection.copy_records_to_table("changes", records=numbered, columns=_COLUMNS)
