"""Garbage: how seldom a process that folds looks for cycles of objects."""

import gc

#: Objects allocated between two looks. The fold makes many objects and no cycles: at Python's default the collector
#: took half of the projector's time.
_THRESHOLD = 2_000_000


def look_seldom() -> None:
    """Leave out of the search all that is there by now, and search seldom from here on. For the whole process."""
    gc.freeze()
    gc.set_threshold(_THRESHOLD, 50, 100)
