"""`tandem export person`: what is stored about a person, for a data-subject request."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import with_engine_connection
from cli.options import DataDir, Identifier, example, person_key

if TYPE_CHECKING:
    from cli.settings import Settings

app = typer.Typer()
export = typer.Typer(
    no_args_is_help=True,
    help="Export what is stored, in one file.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(export, name="export")


@export.command(epilog=example("tandem export person email:ana@example.com -o ana.json"))
def person(
    identifier: Identifier,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write. Default: standard output.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Export what is stored about a person: the journey, all events as they were sent, who read them.

    Events that also name other people are included whole: review the file before you hand it over.
    """
    from cli.settings import load_settings

    settings = load_settings(data_dir)
    stored = asyncio.run(_export(settings, person_key(identifier), identifier))
    text = json.dumps(stored, indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.touch(mode=0o600)
        output.write_text(text, "utf-8")
        typer.echo(f"{output}: {len(stored['events']):,} events, and what was computed from them")


async def _export(settings: "Settings", key: bytes, named: str) -> dict[str, Any]:
    from datetime import UTC, datetime

    from audit.export import export_person
    from cli.settings import load_rules

    rules = load_rules(settings)
    at = int(datetime.now(UTC).timestamp() * 1_000_000)
    return await with_engine_connection(
        settings.database_url, lambda connection: export_person(connection, rules, key, named, at)
    )
