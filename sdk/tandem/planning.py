"""Requests about the joint playbook, and answers that come in lines."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tandem.errors import ApiError

Json = dict[str, Any]
Progress = Callable[[int, int], None]  #: takes how many journeys are done, and how many there are

PLAYBOOK = "/v1/playbook"
PROPOSALS = "/v1/playbook/proposals"
WHAT_IF = "/v1/playbook/what-if"


def proposal_path(proposal: str) -> str:
    """Of one proposal."""
    return f"{PROPOSALS}/{quote(proposal, safe='')}"


def decisions_path(proposal: str) -> str:
    """Of what is said of a proposal."""
    return f"{proposal_path(proposal)}/decisions"


class Lines:
    """Reads the lines of an answer to what-if: progress, then the result."""

    def __init__(self, tell: Progress | None) -> None:
        self._tell = tell
        self._result: Json | None = None

    def take(self, line: str) -> None:
        """Take a line. Raises ApiError where it says that there will be no result."""
        if not line:
            return
        found: Json = json.loads(line)
        if "error" in found:
            raise ApiError(500, "What-if failed", found["error"])
        if "result" in found:
            self._result = found["result"]
        elif self._tell is not None:
            self._tell(found["done"], found["total"])

    def result(self) -> Json:
        """The result. Raises ApiError where there is none."""
        if self._result is None:
            raise ApiError(500, "Cut off", "the answer was cut off: ask again")
        return self._result
