"""Garbage: how seldom a process looks for cycles of objects."""

import gc

#: Objects allocated between two looks of a process that folds. The fold makes many objects and no cycles: at Python's
#: default the collector took half of the projector's time.
FOLDING = 2_000_000
#: Of one that serves: requests leave some cycles behind, and subscribers wait while it looks at all there is.
SERVING = 100_000


def look_seldom(objects: int = FOLDING) -> None:
    """Leave out of the search all that is there by now, and search seldom from here on. For the whole process."""
    gc.freeze()
    gc.set_threshold(objects, 50, 100)
