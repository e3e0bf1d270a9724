"""`tandem projections`: the projections beside the live one."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import on_database, with_connection
from cli.options import AsJson, DataDir, PlaybookFile, example

if TYPE_CHECKING:
    import asyncpg

app = typer.Typer()
projections = typer.Typer(
    no_args_is_help=True,
    help="List, switch and drop the projections beside the live one.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(projections, name="projections")

Name = Annotated[str, typer.Argument(help="Name of a projection beside the live one.")]


@projections.command("list", epilog=example("tandem projections list --json"))
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the projections beside the live one, with the progress of each."""
    from store.rebuild import projections_beside

    beside = on_database(data_dir, projections_beside)
    if as_json:
        typer.echo(json.dumps([{"projection": name, "events": done, "of": total} for name, done, total in beside]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("projection", "events", "of")
    for name, done, total in beside:
        table.add_row(name, f"{done:,}", f"{total:,}")
    Console().print(table)


@projections.command(epilog=example("tandem replay --into next && tandem projections switch next"))
def switch(name: Name, playbook: PlaybookFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Swap a projection with the live one. Switching again switches back.

    It is brought up to date first; then, in one transaction, the tables change places, and subscribers are told to
    start anew. With another playbook, restart workers, API and publisher with it afterwards (TANDEM_PLAYBOOK).
    """
    import uvloop
    from rich.console import Console

    from audit.switch import switch
    from cli.settings import load_rules, load_settings

    settings = load_settings(data_dir)
    rules = load_rules(settings, playbook)
    with Console(stderr=True).status("catching up") as status:

        def advance(done: int, _: int) -> None:
            status.update(f"catching up: {done:,} events")

        switched = uvloop.run(switch(settings.database_url, rules, name, advance))
    if as_json:
        typer.echo(json.dumps(switched._asdict()))
    else:
        typer.echo(f"{name} is live after catching up {switched.caught_up:,} events; {name} now names what was live")


@projections.command(epilog=example("tandem projections drop check"))
def drop(name: Name, data_dir: DataDir = None) -> None:
    """Drop a projection beside the live one. The live one, the archive and Kafka's log stay as they are."""
    import asyncio

    from cli.settings import load_settings

    database_url = load_settings(data_dir).database_url
    asyncio.run(_drop(database_url, name))
    typer.echo(f"dropped {name}")


async def _drop(database_url: str, name: str) -> None:
    from store.rebuild import claimed, drop

    async def work(connection: "asyncpg.Connection") -> None:
        async with claimed(database_url, name):
            await drop(connection, name)

    await with_connection(database_url, work)
