"""Writing the change feed: its rows, and the counter that numbers them without gaps in the order of commits."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import asyncpg
import orjson


class Change(NamedTuple):
    """One row of the change feed, before it has its number."""

    journey_id: bytes
    kind: int
    stage_from: int | None
    stage_to: int | None
    related: bytes | None  #: of a merge: where the journey went; of a split: where it came from
    cause: int
    detail: dict[str, Any] | None = None  #: of kinds that are not about stages


#: Kinds of change.
CHANGED, CREATED, MERGED, VANISHED, SPLIT, HANDOFF, ENTERED, LEFT, CREDIT = range(9)
#: Causes: news; identity, when what is in the journey was in another one before; time alone; other terms.
EVENT, IDENTITY, TIME, PLAYBOOK = range(4)

_COLUMNS = ("seq", *Change._fields, "batch_id")


def audience_changes(
    journey_id: bytes, stage: int | None, before: Iterable[str], now: Iterable[str], cause: int
) -> list[Change]:
    """Which audiences a journey has entered and left."""
    before, now = set(before), set(now)
    return [
        Change(
            journey_id=journey_id,
            kind=kind,
            stage_from=stage,
            stage_to=stage,
            related=None,
            cause=cause,
            detail={"audience": name},
        )
        for kind, names in ((LEFT, before - now), (ENTERED, now - before))
        for name in sorted(names)
    ]


async def write_changes(
    connection: asyncpg.Connection, changes: list[Change], first: int, batch_id: int | None
) -> None:
    """Write rows under the numbers from `first` on. `batch_id` is None where time alone was the cause.

    The caller has taken the numbers from the counter in this transaction, as the last lock of it.
    """
    numbered = [
        (first + n, *change[:-1], None if change.detail is None else orjson.dumps(change.detail).decode(), batch_id)
        for n, change in enumerate(changes)
    ]
    await connection.copy_records_to_table("changes", records=numbered, columns=_COLUMNS)
