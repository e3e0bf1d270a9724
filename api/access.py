"""Who asks, and through which window."""

from fastapi import Request

from projections.windows import EVERYTHING, Window


def window_of(request: Request) -> Window:
    """What the caller may see. While access is off: everything."""
    found: Window = getattr(request.state, "window", EVERYTHING)
    return found
