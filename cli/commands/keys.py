"""`tandem keys`: the API keys that systems write with."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from cli.client import AsJson, DataDir, print_items
from cli.errors import UserError

if TYPE_CHECKING:
    import asyncpg

_T = TypeVar("_T")

app = typer.Typer()
keys = typer.Typer(
    no_args_is_help=True, help="API keys, by which systems write.", rich_markup_mode=None, add_completion=False
)
app.add_typer(keys, name="keys")

KeyId = Annotated[str, typer.Argument(help="A key's id, as `tandem keys list` shows it; a whole key will do.")]


@keys.command()
def create(
    department: Annotated[Literal["marketing", "sales"], typer.Option(help="Whose topic it may write.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    source: Annotated[list[str] | None, typer.Option(help="Source that its events may name; may be repeated.")] = None,
    expires_days: Annotated[int | None, typer.Option(min=1, max=36_500, help="Days that it is valid.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it. It is shown this once: Tandem keeps no more than its SHA-256.

    Example: tandem keys create --department sales --source crm --name "CRM production"
    """
    from api.access.keys import new_key
    from store.keys import LiveKey, add_key

    made = new_key()
    sources = frozenset(_text(one, "--source") for one in source or ())
    key = LiveKey(made.key_id, made.hash, department, sources)
    lifetime = None if expires_days is None else timedelta(days=expires_days)
    _on_database(lambda connection: add_key(connection, key, _text(name, "--name"), lifetime), data_dir)
    _print_secret(made.text)


@keys.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all keys, without their secrets.

    Example: tandem keys list --json
    """
    from store.keys import list_keys

    found = _on_database(list_keys, data_dir)
    rows: list[dict[str, Any]] = [{name: _plain(value) for name, value in one._asdict().items()} for one in found]
    if not as_json:
        rows = [{**row, "sources": " ".join(row["sources"]) or "any"} for row in rows]
    print_items(rows, as_json, ("key_id", "department", "sources", "name", "created_at", "expires_at", "revoked_at"))


@keys.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=8_760, help="Hours that the old key is valid still.")
    ] = 24.0,
    data_dir: DataDir = None,
) -> None:
    """Make a new key that may do what an old one may, and print it; the old one expires after the overlap.

    Example: tandem keys rotate 3f2a9c51d07e --overlap-hours 24
    """
    from api.access.keys import new_key
    from store.keys import follow_key

    made, overlap = new_key(), timedelta(hours=overlap_hours)
    old = _id(key_id)
    _on_database(lambda connection: follow_key(connection, old, made.key_id, made.hash, overlap), data_dir)
    _print_secret(made.text)


@keys.command()
def revoke(key_id: KeyId, data_dir: DataDir = None) -> None:
    """End a key. Within 5 seconds no API takes it any more.

    Example: tandem keys revoke 3f2a9c51d07e
    """
    from store.keys import revoke_key

    old = _id(key_id)
    _on_database(lambda connection: revoke_key(connection, old), data_dir)
    typer.echo(f"revoked {old}")


def _on_database(work: "Callable[[asyncpg.Connection], Awaitable[_T]]", folder: Path | None) -> _T:
    from cli.settings import load_settings
    from store.session import open_connection

    database_url = load_settings(folder).database_url

    async def done() -> _T:
        connection = await open_connection(database_url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(done())


def _print_secret(text: str) -> None:
    """The key alone on standard output, so that scripts can take it."""
    typer.echo("keep it now: it is not shown again", err=True)
    typer.echo(text)


def _id(text: str) -> str:
    """The id, also out of a whole key. Raises UserError, which does not repeat the text: it may hold a secret."""
    from api.access.keys import PREFIX

    found = text.strip().removeprefix(PREFIX).partition("_")[0]
    if not re.fullmatch("[0-9a-f]{12}", found):
        raise UserError("there is no key of this id: give the 12 hexadecimal digits that `tandem keys list` shows")
    return found


def _text(text: str, name: str) -> str:
    """Raises UserError for what could not be stored."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise UserError(f"{name} is not UTF-8 text") from error
    if not 0 < size <= 256:
        raise UserError(f"{name} has {size} bytes: give 1 to 256")
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value
