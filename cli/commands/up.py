"""`tandem up`, `down`, `status`, `work`, `publish`, `serve` and `agents`: the stack and its parts."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The stack and its parts.")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where everything is kept; TANDEM_DATA_DIR, or .tandem in this folder."),
]
Agents = Annotated[
    list[str] | None,
    typer.Option(
        "--agents",
        metavar="FILE",
        help="A Python file with agents, or one of crm, alerts, outbound, funnel-counter. May be repeated; "
        "TANDEM_AGENTS names them, too, separated by commas.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def up(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8765,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once everything is ready; `tandem down` ends it.")
    ] = False,
    agents: Agents = None,
    as_json: AsJson = False,
) -> None:
    """Start broker, database, projector, publisher, API and the agents that are named, and print their addresses.

    TANDEM_KAFKA and TANDEM_DATABASE_URL name servers of yours to use instead of the embedded ones.

    Example: tandem up --detach --data-dir ./data
    """
    from cli.settings import agent_names
    from cli.settings import data_dir as default_dir
    from cli.stack import supervisor

    folder, names = data_dir or default_dir(), agent_names(agents or [])
    if detach:
        addresses = supervisor.start_detached(folder, port, names)
        supervisor.print_addresses(addresses, as_json=as_json)
    else:
        supervisor.run(folder, port, names, as_json=as_json)


@app.command()
def down(data_dir: DataDir = None) -> None:
    """Stop the stack; its data stays.

    Example: tandem down --data-dir ./data
    """
    from cli.settings import running_dir
    from cli.stack import supervisor

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
    from cli.stack.status import report, watch

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

    from cli.settings import load_settings
    from cli.stack.migrate import prepare

    settings = load_settings(data_dir)
    asyncio.run(prepare(settings.kafka, settings.database_url))
    typer.echo("topics and tables are there")


@app.command()
def work(data_dir: DataDir = None) -> None:
    """Run one projector until interrupted. Start it several times to share the partitions.

    Example: TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem work
    """
    from cli.settings import load_settings
    from cli.stack.processes import run_worker

    run_worker(load_settings(data_dir))


@app.command()
def publish(data_dir: DataDir = None) -> None:
    """Publish the change feed to Kafka until interrupted. Start it twice to have one that stands by.

    Example: TANDEM_KAFKA=host:9092 TANDEM_DATABASE_URL=postgresql://... tandem publish
    """
    from cli.settings import load_settings
    from cli.stack.processes import run_publisher

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
    from cli.settings import load_settings
    from cli.stack.processes import run_api

    run_api(load_settings(data_dir), host, port)


@app.command()
def agents(
    agents: Agents = None,
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page about them, on this machine.")] = 8766,
) -> None:
    """Run agents until interrupted: adapters in and reactions out. Start it several times to share the work.

    Example: tandem agents --agents crm --agents ./my_agents.py
    """
    from cli.errors import UserError
    from cli.settings import agent_names, agent_settings
    from cli.stack.processes import run_agents

    names = agent_names(agents or [])
    if not names:
        raise UserError("no agents are named: give --agents FILE, or one of crm, alerts, outbound, funnel-counter")
    run_agents(agent_settings(data_dir), names, port)
