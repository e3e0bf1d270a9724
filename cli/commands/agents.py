"""`tandem agents`: agents in this process."""

from typing import Annotated

import typer

from cli.options import AgentNames, DataDir, example

app = typer.Typer()


@app.command(epilog=example("tandem agents --agents crm --agents ./my_agents.py"))
def agents(
    agents: AgentNames = None,
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the agents' page, on this machine only.")] = 8766,
) -> None:
    """Run agents until interrupted: they bring facts in and react to changes. Start several to share the work."""
    from cli.errors import UserError
    from cli.settings import agent_names, agent_settings
    from cli.stack.processes import run_agents

    names = agent_names(agents or [])
    if not names:
        raise UserError("no agents are named: give --agents FILE, or one of crm, alerts, outbound, funnel-counter")
    run_agents(agent_settings(data_dir), names, port)
