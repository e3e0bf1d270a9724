"""`tandem migrate`: topics and tables."""

import typer

from cli.options import DataDir, example

app = typer.Typer()


@app.command(epilog=example("TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem migrate"))
def migrate(data_dir: DataDir = None) -> None:
    """Create missing topics and tables, and return. `tandem up` does this by itself."""
    import asyncio

    from cli.settings import load_settings
    from cli.stack.migrate import prepare

    settings = load_settings(data_dir)
    asyncio.run(prepare(settings.kafka, settings.database_url))
    typer.echo("topics and tables are there")
