"""Limits: how many identifiers of one type a person may have, as the playbook says."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class _Typed(Protocol):
    @property
    def type(self) -> str: ...


class Limits(NamedTuple):
    """Limits by identifier type. A type without a limit may have any number of identifiers."""

    counts: dict[str, int]
    #: microseconds: of these types only identifiers first named within such a span count against the limit
    spans: dict[str, int]

    def surely_allow(self, identifiers: Iterable[_Typed]) -> bool:
        """Whether one person may have all of these, whenever they were first named."""
        room = self.counts.copy()
        for identifier in identifiers:
            left = room.get(identifier.type)
            if left is not None:
                if left == 0:
                    return False
                room[identifier.type] = left - 1
        return True

    def allow(self, type_: str, times: list[int]) -> bool:
        """Whether one person may have identifiers of a type that were first named at these times (microseconds)."""
        limit, span = self.counts[type_], self.spans.get(type_)
        if len(times) <= limit:
            return True
        if span is None:
            return False
        times = sorted(times)
        return all(times[n + limit] - times[n] >= span for n in range(len(times) - limit))
