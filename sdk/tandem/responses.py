"""What the API's responses mean: an answer, a named error, or a reason to ask again later."""

from collections.abc import Mapping
from typing import Any, TypeVar

import httpx
import msgspec

from tandem.answers import RulingPreview
from tandem.errors import ApiError, ConfirmationNeeded, NotFound, Problem

LONGEST_PAUSE = 10.0  #: seconds between two tries
RETRIED = frozenset({408, 429, 500, 502, 503, 504})

_T = TypeVar("_T")


class Page(msgspec.Struct, frozen=True):
    """One page of a list."""

    items: list[msgspec.Raw]
    next_cursor: str | int | None


def bearer(credentials: str | None) -> dict[str, str]:
    """The header that carries a token or an API key."""
    return {} if credentials is None else {"Authorization": f"Bearer {credentials}"}


def given(parameters: Mapping[str, object]) -> dict[str, Any]:
    """The parameters that have a value."""
    return {name: value for name, value in parameters.items() if value is not None}


def answer_of(response: httpx.Response, answer: type[_T]) -> _T:
    """The answer of a success. Raises NotFound, ConfirmationNeeded or ApiError."""
    check(response)
    return decoded(response.content, answer)


def decoded(encoded: bytes | msgspec.Raw, answer: type[_T]) -> _T:
    """An answer, or an item of a page, from its JSON. Raises ApiError."""
    try:
        return msgspec.json.decode(encoded, type=answer)
    except msgspec.DecodeError as error:
        detail = (
            f"no {answer.__name__} can be read from the answer ({error}): is it Tandem's API, and as new as the SDK?"
        )
        raise ApiError(200, "Unexpected answer", detail) from error


def check(response: httpx.Response) -> None:
    """Raises NotFound, ConfirmationNeeded or ApiError unless the response is a success; its body must be read."""
    if response.is_success:
        return
    problem = problem_of(response)
    if response.status_code == httpx.codes.CONFLICT and problem.title == "Confirm":
        preview = msgspec.json.decode(response.content, type=RulingPreview)
        raise ConfirmationNeeded(response.status_code, problem.title, problem.detail, preview)
    kind = NotFound if response.status_code == httpx.codes.NOT_FOUND else ApiError
    raise kind(response.status_code, problem.title, problem.detail)


def problem_of(response: httpx.Response) -> Problem:
    """The problem document of an error; one is made up for a body of another kind, such as a proxy's page."""
    try:
        return msgspec.json.decode(response.content, type=Problem)
    except msgspec.DecodeError:
        return Problem(status=response.status_code, title="Error", detail=response.text[:200] or "no reason was given")


def retry_after(response: httpx.Response) -> float:
    """How many seconds the API asks one to wait; never more than LONGEST_PAUSE."""
    said = response.headers.get("retry-after", "")
    return min(float(said), LONGEST_PAUSE) if said.isascii() and said.isdigit() else 0.0


def pause_before(tries: int, jitter: float) -> float:
    """Seconds to wait after so many failed tries; `jitter` from 0 to 1 spreads those who were cut off together."""
    return min(LONGEST_PAUSE, 0.1 * 2.0 ** min(tries, 10)) * (0.5 + jitter)
