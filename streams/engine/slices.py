"""Slices: long loops pause between two slices, so that the running commit goes on meanwhile."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")

SLICE = 256  #: items between two pauses


def slices(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """The items in slices; whoever loops over them awaits `asyncio.sleep(0)` after each."""
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]
