"""The answer to what-if comes in lines: progress from time to time, then the result."""

from collections.abc import Callable

import msgspec

from tandem.answers import WhatIf
from tandem.errors import ApiError

Progress = Callable[[int, int], None]  #: takes how many journeys are done, and how many there are


class _Line(msgspec.Struct, frozen=True):
    """Either progress, in journeys, or the result, or an error."""

    done: int = 0
    total: int = 0
    result: WhatIf | None = None
    error: str | None = None


class Lines:
    """Reads the lines of an answer to what-if."""

    def __init__(self, tell: Progress | None) -> None:
        self._tell = tell
        self._result: WhatIf | None = None

    def take(self, line: str) -> None:
        """Take a line. Raises ApiError if it says that there will be no result."""
        if not line:
            return
        said = msgspec.json.decode(line, type=_Line)
        if said.error is not None:
            raise ApiError(500, "What-if failed", said.error)
        if said.result is not None:
            self._result = said.result
        elif self._tell is not None:
            self._tell(said.done, said.total)

    def result(self) -> WhatIf:
        """The result. Raises ApiError if there is none."""
        if self._result is None:
            raise ApiError(500, "Connection lost", "the connection ended before the result came: ask again")
        return self._result
