"""Old spellings: they work for one release, and warn where they are written."""

import sys
import warnings


def warn(message: str) -> None:
    """A DeprecationWarning about the line outside of the SDK that called it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "tandem":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, DeprecationWarning, stacklevel=level)
