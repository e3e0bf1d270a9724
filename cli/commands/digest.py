"""`tandem digest`: one line for the whole projection."""

import asyncio
import json
from typing import Annotated

import typer

app = typer.Typer(help="Proofs over the projection.")


@app.command()
def digest(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of a line.")] = False,
) -> None:
    """Print one line for the whole projection: equal facts give an equal line, whatever order they came in.

    Example: tandem digest --json
    """
    from cli.settings import load_settings

    found = asyncio.run(_read(load_settings().database_url))
    if as_json:
        typer.echo(json.dumps({"journeys": found[0], "sha256": found[1]}))
    else:
        typer.echo(f"{found[1]}  {found[0]} journeys")


async def _read(database_url: str) -> tuple[int, str]:
    from audit.digest import projection_digest
    from store.session import open_engine_connection

    connection = await open_engine_connection(database_url)
    try:
        return await projection_digest(connection)
    finally:
        await connection.close()
