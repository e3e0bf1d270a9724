"""The difference between two views of one journey."""

from typing import Any

#: Fields that always differ, or follow from others.
_LEFT_OUT = frozenset({"as_of", "version", "last_seen", "trait_sources", "reached", "flags", "activity"})


def difference(before: dict[str, Any] | None, now: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Field by field, in the order of their names; None stands for no journey.

    For lists: what was added and removed; for anything else: the old and the new value.
    """
    one, other = before or {}, now or {}
    differences: list[dict[str, Any]] = []
    for field in sorted({*one, *other} - _LEFT_OUT):
        was, is_ = one.get(field), other.get(field)
        if was == is_:
            continue
        if isinstance(was or [], list) and isinstance(is_ or [], list):
            removed = [item for item in was or [] if item not in (is_ or [])]
            added = [item for item in is_ or [] if item not in (was or [])]
            if removed or added:
                differences.append({"field": field, "removed": removed, "added": added})
        else:
            differences.append({"field": field, "before": was, "after": is_})
    return differences
