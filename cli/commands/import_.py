"""`tandem import`: CSV files into events."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, DataDir, example

app = typer.Typer()


@app.command(
    "import",
    epilog=example(
        "tandem import --mapping examples/olist/mapping.yaml leads.csv deals.csv",
        "all rows",
        "1 error",
        "3 some rows were rejected",
    ),
)
def import_(
    files: Annotated[list[Path], typer.Argument(help="CSV files.")],
    mapping: Annotated[Path, typer.Option("--mapping", help="YAML file that says how rows become events.")],
    rejects: Annotated[Path, typer.Option("--rejects", help="File that lists rows which cannot be mapped.")] = Path(
        "rejects.csv"
    ),
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Publish the rows of CSV files as events. Importing twice, or in another order, changes nothing.

    Rows that cannot be mapped are listed in the rejects file with row number, column and reason; all other rows are
    imported. Start an interrupted import again.
    """
    import asyncio
    import json

    from cli.csv_import import import_files
    from cli.settings import load_settings
    from streams.csv_mapping import load_mapping

    rules = load_mapping(mapping)
    done = asyncio.run(import_files(load_settings(data_dir), rules, files, rejects, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(done._asdict()))
    else:
        typer.echo(f"{done.rows} rows, {done.events} events acknowledged, {done.rejected} rows rejected")
        if done.rejected:
            typer.echo(f"rejected rows are listed in {rejects}")
    if done.rejected:
        raise typer.Exit(3)
