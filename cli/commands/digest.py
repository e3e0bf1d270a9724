"""`tandem digest`: one line for the whole projection."""

import asyncio
import json

import typer

from cli.database import with_engine_connection
from cli.options import AsJson, DataDir, example

app = typer.Typer()


@app.command(epilog=example("tandem digest --json"))
def digest(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print one line for the whole projection: equal facts give an equal line, in whatever order they came."""
    from audit.digest import projection_digest
    from cli.settings import load_settings

    total = asyncio.run(with_engine_connection(load_settings(data_dir).database_url, projection_digest))
    if as_json:
        typer.echo(json.dumps({"journeys": total.journeys, "sha256": total.sha256}))
    else:
        typer.echo(f"{total.sha256}  {total.journeys} journeys")
