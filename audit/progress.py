"""Progress: how long commands say how far they are."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  #: is called with (done so far, in all)
