"""The difference between two views of one journey."""

from typing import Any

import msgspec

from schemas.answers.journeys import Journey
from schemas.answers.past import Difference

#: Fields that differ by themselves, or say again what others say.
_LEFT_OUT = frozenset({"as_of", "version", "last_seen", "trait_sources", "reached", "flags", "activity"})


def difference(before: Journey | None, now: Journey | None) -> list[Difference]:
    """Field by field, in the order of their names; None stands for a journey that was not there.

    For lists: what was added and removed; for anything else: the old and the new value.
    """
    one, other = _fields(before), _fields(now)
    differences: list[Difference] = []
    for field in sorted({*one, *other} - _LEFT_OUT):
        was, is_ = one.get(field), other.get(field)
        if was == is_:
            continue
        if isinstance(was or [], list) and isinstance(is_ or [], list):
            removed = [item for item in was or [] if item not in (is_ or [])]
            added = [item for item in is_ or [] if item not in (was or [])]
            if removed or added:
                differences.append(Difference(field=field, removed=removed, added=added))
        else:
            differences.append(Difference(field=field, before=was, after=is_))
    return differences


def _fields(journey: Journey | None) -> dict[str, Any]:
    """The journey as it is written, without what a window hides."""
    return {} if journey is None else msgspec.to_builtins(journey)
