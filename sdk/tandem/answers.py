"""What the API's answers mean: JSON, a named error, or a reason to ask again later."""

from typing import Any

import httpx

from tandem.errors import ApiError, ConfirmationNeeded, NotFound

LONGEST_PAUSE = 10.0  #: seconds between two tries
RETRIED = frozenset({408, 429, 500, 502, 503, 504})


def checked(answer: httpx.Response) -> dict[str, Any]:
    """The JSON of a success. Raises NotFound, ConfirmationNeeded or ApiError."""
    if answer.is_success:
        found: dict[str, Any] = answer.json()
        return found
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if answer.status_code == httpx.codes.CONFLICT and problem.get("title") == "Confirm":
        raise ConfirmationNeeded(answer.status_code, problem["title"], problem["detail"], problem)
    kind = NotFound if answer.status_code == httpx.codes.NOT_FOUND else ApiError
    raise kind(answer.status_code, problem.get("title", "Error"), problem.get("detail", answer.text[:200]))


def retry_after(answer: httpx.Response) -> float:
    """How many seconds the API asks one to wait; never more than LONGEST_PAUSE."""
    said = answer.headers.get("retry-after", "")
    return min(float(said), LONGEST_PAUSE) if said.isascii() and said.isdigit() else 0.0


def pause_before(tries: int, jitter: float) -> float:
    """Seconds to wait after so many tries in vain; `jitter` from 0 to 1 spreads those who were cut off together."""
    return min(LONGEST_PAUSE, 0.1 * 2.0 ** min(tries, 10)) * (0.5 + jitter)
