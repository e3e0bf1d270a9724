"""`tandem work`: one projector in this process."""

import typer

from cli.options import DataDir, example

app = typer.Typer()


@app.command(epilog=example("TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem work"))
def work(data_dir: DataDir = None) -> None:
    """Run one projector until interrupted. Start several to share the partitions."""
    from cli.settings import load_settings
    from cli.stack.processes import run_worker

    run_worker(load_settings(data_dir))
