"""What commands that ask the API share: the connection, its errors, and lists in the terminal."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import UserError

if TYPE_CHECKING:
    from tandem import Client, Identifier

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Data dir of the running stack.")]
#: What is shown in place of a field that a window leaves out.
HIDDEN = "(hidden)"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class ApiUnreachable(UserError):
    """The API does not answer, or not as asked."""


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
    """Whoever asks the API at an address within it gets errors in one line. Raises ApiUnreachable."""
    import httpx

    import tandem

    try:
        yield
    except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ApiUnreachable(f"no API answers at {address}: {error}; check TANDEM_API or `tandem status`") from error
    except tandem.ApiError as error:
        hint = "; TANDEM_TOKEN is where commands take it from" if error.status == 401 else ""
        raise ApiUnreachable(f"{error.detail}{hint}") from error


def identifier_of(text: str) -> "Identifier":
    """An identifier as people write it. Raises UserError."""
    from tandem import Identifier

    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{text!a} is no identifier: it is not UTF-8 text") from error
    try:
        return Identifier.parse(text)
    except ValueError as error:
        raise UserError(str(error)) from error


def person_key(text: str) -> bytes:
    """The key of an identifier that names a person, as people write it. Raises UserError."""
    from projections.identifiers import PERSON_TYPES, normalise

    one = identifier_of(text)
    found = normalise(one.type, one.value) if one.type in PERSON_TYPES else None
    if found is None:
        raise UserError(f"{text} names no person: use one of {', '.join(PERSON_TYPES)}")
    return found.key


def time_of(text: str, option: str) -> str:
    """A time as the API takes it. Raises UserError, which shows the form."""
    try:
        known = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        known = False
    if not known:
        raise UserError(f"{option} is {text!a}: write a time with its offset, such as 2026-03-01T00:00:00Z")
    return text


def print_items(items: list[dict[str, Any]], as_json: bool, columns: tuple[str, ...]) -> None:
    """A list as a table, or as JSON. What is too wide for its column goes on below: it can be copied as a whole."""
    if as_json:
        typer.echo(json.dumps(items))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for item in items:
        table.add_row(*(escape(_cell(item.get(column, HIDDEN))) for column in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = str(value)
    if len(text) == 27 and text.endswith("Z"):
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")
    return text
