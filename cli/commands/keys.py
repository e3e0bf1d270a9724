"""`tandem keys`: the API keys with which systems publish events."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli.database import on_database
from cli.errors import UserError
from cli.options import AsJson, DataDir, example
from cli.terminal import print_items
from schemas.departments import Department

app = typer.Typer()
keys = typer.Typer(
    no_args_is_help=True,
    help="Manage the API keys with which systems publish events.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(keys, name="keys")

KeyId = Annotated[str, typer.Argument(help="A key's id, as `tandem keys list` shows it, or the whole key.")]


@keys.command(epilog=example('tandem keys create --department sales --source crm --name "CRM production"'))
def create(
    department: Annotated[Department, typer.Option(help="Department whose events it may publish.")],
    name: Annotated[str, typer.Option(help="What the key is for.")],
    source: Annotated[
        list[str] | None, typer.Option(help="Source that its events may name. May be repeated; default: any.")
    ] = None,
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Days that the key is valid. Default: no end.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Create a key and print it, this once: Tandem stores only its SHA-256."""
    from api.access.keys import new_key
    from store.keys import LiveKey, add_key

    made = new_key()
    sources = frozenset(_text(one, "--source") for one in source or ())
    key = LiveKey(made.key_id, made.hash, department, sources)
    lifetime = None if expires_days is None else timedelta(days=expires_days)
    on_database(data_dir, lambda connection: add_key(connection, key, _text(name, "--name"), lifetime))
    _print_secret(made.text)


@keys.command("list", epilog=example("tandem keys list --json"))
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all keys, without their secrets."""
    from store.keys import list_keys

    found = on_database(data_dir, list_keys)
    rows: list[dict[str, Any]] = [{name: _plain(value) for name, value in one._asdict().items()} for one in found]
    if not as_json:
        rows = [{**row, "sources": " ".join(row["sources"]) or "any"} for row in rows]
    print_items(rows, as_json, ("key_id", "department", "sources", "name", "created_at", "expires_at", "revoked_at"))


@keys.command(epilog=example("tandem keys rotate 3f2a9c51d07e --overlap-hours 24"))
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=8_760, help="Hours for which the old key stays valid.")
    ] = 24.0,
    data_dir: DataDir = None,
) -> None:
    """Create a key with the rights of an old one, and print it. The old key expires after the overlap."""
    from api.access.keys import new_key
    from store.keys import follow_key

    made, overlap = new_key(), timedelta(hours=overlap_hours)
    old = _id(key_id)
    on_database(data_dir, lambda connection: follow_key(connection, old, made.key_id, made.hash, overlap))
    _print_secret(made.text)


@keys.command(epilog=example("tandem keys revoke 3f2a9c51d07e"))
def revoke(key_id: KeyId, data_dir: DataDir = None) -> None:
    """Revoke a key. Within 5 seconds no API accepts it."""
    from store.keys import revoke_key

    old = _id(key_id)
    on_database(data_dir, lambda connection: revoke_key(connection, old))
    typer.echo(f"revoked {old}")


def _print_secret(text: str) -> None:
    """The key alone on standard output, so that scripts can take it."""
    typer.echo("store it now: it is not shown again", err=True)
    typer.echo(text)


def _id(text: str) -> str:
    """The id, also out of a whole key. Raises UserError, which does not repeat the text: it may hold a secret."""
    from api.access.keys import PREFIX

    id_ = text.strip().removeprefix(PREFIX).partition("_")[0]
    if not re.fullmatch("[0-9a-f]{12}", id_):
        raise UserError("there is no key of this id: give the 12 hexadecimal digits that `tandem keys list` shows")
    return id_


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
