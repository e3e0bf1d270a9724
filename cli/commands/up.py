"""`tandem up` and `tandem down`: the whole stack on one machine."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AgentNames, AsJson, example

app = typer.Typer()

StackDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where everything is kept. Default: TANDEM_DATA_DIR, else .tandem in this folder."),
]


@app.command(epilog=example("tandem up --detach --data-dir ./data"))
def up(
    data_dir: StackDir = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8765,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once everything is ready; `tandem down` stops it.")
    ] = False,
    agents: AgentNames = None,
    as_json: AsJson = False,
) -> None:
    """Start broker, database, projector, publisher, API and the named agents, and print their addresses.

    TANDEM_KAFKA and TANDEM_DATABASE_URL name servers of your own to use instead of the embedded ones.
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


@app.command(epilog=example("tandem down --data-dir ./data"))
def down(data_dir: StackDir = None) -> None:
    """Stop the stack. Its data stays."""
    from cli.settings import running_dir
    from cli.stack import supervisor

    supervisor.stop_running(data_dir or running_dir())
    typer.echo("stopped")
