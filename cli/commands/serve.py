"""`tandem serve`: the API in this process."""

from typing import Annotated

import typer

from cli.options import DataDir, example

app = typer.Typer()


@app.command(epilog=example("TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem serve --port 8080"))
def serve(
    data_dir: DataDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8765,
) -> None:
    """Run the API until interrupted."""
    from cli.settings import load_settings
    from cli.stack.processes import run_api

    run_api(load_settings(data_dir), host, port)
