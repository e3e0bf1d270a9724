"""GC tuning: how seldom a process searches for reference cycles."""

import gc

#: Objects allocated between two searches of a process that folds. The fold makes many objects and no cycles: at
#: Python's default the collector took half of the projector's time.
FOLDING = 2_000_000
#: The same for one that serves: requests leave some cycles behind, and a search makes subscribers wait.
SERVING = 100_000


def look_seldom(objects: int = FOLDING) -> None:
    """Exclude all objects there are by now from the search, and search seldom. For the whole process."""
    gc.freeze()
    gc.set_threshold(objects, 50, 100)
