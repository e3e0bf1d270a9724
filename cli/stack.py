"""`tandem up`, `down`, `status`, `work`, `publish` and `serve`: the stack and its parts."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The stack and its parts.")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where everything is kept; TANDEM_DATA_DIR, or .tandem in this folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def up(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8765,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once everything is ready; `tandem down` ends it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start broker, database, projector, publisher and API, and print their addresses.

    TANDEM_KAFKA and TANDEM_DATABASE_URL name servers of yours to use instead of the embedded ones.

    Example: tandem up --detach --data-dir ./data
    """
    from cli import supervisor
    from cli.settings import data_dir as default_dir

    folder = data_dir or default_dir()
    if detach:
        addresses = supervisor.start_detached(folder, port)
        supervisor.print_addresses(addresses, as_json=as_json)
    else:
        supervisor.run(folder, port, as_json=as_json)


@app.command()
def down(data_dir: DataDir = None) -> None:
    """Stop the stack; its data stays.

    Example: tandem down --data-dir ./data
    """
    from cli import supervisor
    from cli.settings import running_dir

    supervisor.stop_running(data_dir or running_dir())
    typer.echo("stopped")


@app.command()
def status(
    data_dir: DataDir = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when everything produced is applied.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds that --wait waits at most.")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Show the health of each part, the lag per partition and of the published feed, and that nothing was lost.

    read = applied + duplicates + dead letters + holes, for every partition. Exit code 1 if that does not hold, a part
    is down, or --wait ran out of time.

    Example: tandem status --wait
    """
    import asyncio

    from cli.settings import load_settings
    from cli.status import report, watch

    found = asyncio.run(watch(load_settings(data_dir), wait=wait, timeout=timeout, quiet=as_json))
    report(found, as_json=as_json)
    if not found.sound or (wait and found.lag):
        raise typer.Exit(1)


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Make the topics and tables that are missing, and return. `tandem up` does it by itself.

    Example: TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem migrate
    """
    import asyncio

    from cli.preparing import prepare
    from cli.settings import load_settings

    settings = load_settings(data_dir)
    asyncio.run(prepare(settings.kafka, settings.database_url))
    typer.echo("topics and tables are there")


@app.command()
def work(data_dir: DataDir = None) -> None:
    """Run one projector until interrupted. Start it several times to share the partitions.

    Example: TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem work
    """
    from cli.parts import run_worker
    from cli.settings import load_settings

    run_worker(load_settings(data_dir))


@app.command()
def publish(data_dir: DataDir = None) -> None:
    """Publish the change feed to Kafka until interrupted. Start it twice to have one that stands by.

    Example: TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem publish
    """
    from cli.parts import run_publisher
    from cli.settings import load_settings

    run_publisher(load_settings(data_dir))


@app.command()
def serve(
    data_dir: DataDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8765,
) -> None:
    """Run the API until interrupted.

    Example: TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem serve --port 8080
    """
    from cli.parts import run_api
    from cli.settings import load_settings

    run_api(load_settings(data_dir), host, port)
