"""The client of the API that commands ask with, and its errors in one line."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cli.errors import UserError

if TYPE_CHECKING:
    from tandem import Client

_T = TypeVar("_T")
_PROJECTED_SECONDS = 15.0  #: a decision is projected within some milliseconds, where a worker runs


class ApiUnreachable(UserError):
    """The API does not answer, or not as asked. Start it, or correct TANDEM_API or TANDEM_TOKEN."""


class JsonClient:
    """The SDK's client as commands use it: they pass on what people typed, and print or show the JSON that comes."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *values, **named: _as_json(method(*values, **named))


def _as_json(answer: Any) -> Any:
    import msgspec

    if isinstance(answer, bytes):
        return answer
    return map(msgspec.to_builtins, answer) if isinstance(answer, Iterator) else msgspec.to_builtins(answer)


@contextmanager
def api_client(data_dir: Path | None) -> Iterator[JsonClient]:
    """A client of the running API. Raises ApiUnreachable."""
    import tandem
    from cli.settings import api_url, secret

    address = api_url(data_dir)
    with named_errors(address), tandem.Client(address, token=secret("TANDEM_TOKEN")) as client:
        yield JsonClient(client)


@contextmanager
def named_errors(address: str) -> Iterator[None]:
    """Turns errors of the API at an address into one line. Raises ApiUnreachable."""
    import httpx

    import tandem

    try:
        yield
    except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ApiUnreachable(f"no API answers at {address}: {error}; check TANDEM_API or `tandem status`") from error
    except tandem.ApiError as error:
        hint = "; set TANDEM_TOKEN to a valid token" if error.status == 401 else ""
        raise ApiUnreachable(f"{error.detail}{hint}") from error


def until_projected(ask: Callable[[], _T], projected: Callable[[_T], bool], what: str) -> _T:
    """The answer once what was published shows in it: some seconds at most. Raises UserError."""
    import tandem

    deadline = time.monotonic() + _PROJECTED_SECONDS
    while True:
        try:
            if projected(answer := ask()):
                return answer
        except tandem.NotFound:
            pass  # what was published now is not there yet
        if time.monotonic() > deadline:
            raise UserError(f"{what} is published, but not projected yet: check that a worker runs (`tandem status`)")
        time.sleep(0.1)
