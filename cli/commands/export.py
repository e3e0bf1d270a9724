"""`tandem export person`: what is stored of somebody, for a data-subject request."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.client import DataDir, person_key
from projections.playbook.rules import load_rules

if TYPE_CHECKING:
    from cli.settings import Settings

app = typer.Typer()
export = typer.Typer(
    no_args_is_help=True,
    help="What is stored, in one file.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(export, name="export")


@export.command()
def person(
    identifier: Annotated[str, typer.Argument(help="type:value, such as email:ana@example.com")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write; else it is printed.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Export what is stored of a person: the journey, all events as they were sent, who read of them.

    Events that name somebody else, too, are in it as a whole: look through it before you give it away.

    Example: tandem export person email:ana@example.com -o ana.json
    """
    from cli.settings import load_settings

    settings = load_settings(data_dir)
    found = asyncio.run(_export(settings, person_key(identifier), identifier))
    text = json.dumps(found, indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.touch(mode=0o600)
        output.write_text(text, "utf-8")
        typer.echo(f"{output}: {len(found['events']):,} events, and what was made of them")


async def _export(settings: "Settings", key: bytes, named: str) -> dict[str, Any]:
    from datetime import UTC, datetime

    from audit.export import export_person
    from store.session import closing, open_engine_connection

    rules = load_rules(settings.playbook)
    at = int(datetime.now(UTC).timestamp() * 1_000_000)
    async with closing(await open_engine_connection(settings.database_url)) as connection:
        return await export_person(connection, rules, key, named, at)
