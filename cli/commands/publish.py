"""`tandem publish`: the publisher of the change feed in this process."""

import typer

from cli.options import DataDir, example

app = typer.Typer()


@app.command(epilog=example("TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem publish"))
def publish(data_dir: DataDir = None) -> None:
    """Publish the change feed to Kafka until interrupted. Start a second one as a standby."""
    from cli.settings import load_settings
    from cli.stack.processes import run_publisher

    run_publisher(load_settings(data_dir))
