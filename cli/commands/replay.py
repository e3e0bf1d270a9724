"""`tandem replay` and `tandem projections`: a second projection beside the live one, from the archive."""

import asyncio
import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.client import AsJson, DataDir, time_of
from projections.playbook.rules import load_rules

if TYPE_CHECKING:
    from audit.past import Point

app = typer.Typer()
projections = typer.Typer(
    no_args_is_help=True,
    help="Projections beside the live one: list, switch and drop them.",
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(projections, name="projections")


@app.command()
def replay(
    into: Annotated[str, typer.Option("--into", help="Name of the new projection, a schema of the database.")],
    from_kafka: Annotated[
        bool,
        typer.Option("--from-kafka/--from-archive", help="Read Kafka's log, with all duplicates."),
    ] = False,
    playbook: Annotated[
        Path | None, typer.Option(help="Playbook to fold by; TANDEM_PLAYBOOK, or the default one.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="RFC 3339: only what had happened by then, by all that is known today.")
    ] = None,
    known_at: Annotated[str | None, typer.Option(help="RFC 3339: only what Tandem had committed by then.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=1, help="Events a second at most, so that live work goes on undisturbed.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fold the archive, or Kafka's log, again into a projection beside the live one, and print its digest.

    The live projection goes on meanwhile. A replay that was interrupted goes on where it was when it is started again;
    events that come after its first start are not in it. Equal facts give the digest that `tandem digest` prints. With
    --at or --known-at it is the past, which `tandem funnel --projection NAME` and `tandem journeys` then read.

    Example: tandem replay --into check --rate 5000 && tandem projections drop check
    """
    import uvloop
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from audit.from_kafka import replay_from_kafka
    from audit.past import NOW
    from audit.rebuild import rebuild
    from cli.errors import UserError
    from cli.settings import load_settings
    from cli.stack.processes import log_to_stderr
    from streams.engine.gc_tuning import look_seldom
    from streams.engine.rate_limit import Pace

    settings = load_settings(data_dir)
    rules = load_rules(playbook or settings.playbook)
    look_seldom()
    pace = None if rate is None else Pace(rate)
    point = _point(at, known_at)
    if from_kafka and point != NOW:
        raise UserError("the log is read as a whole: leave out --from-kafka for a point in the past")
    if point != NOW:
        asyncio.run(_check(settings.database_url, point))
    console = Console(stderr=True)
    columns = (TextColumn("folding"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    began = time.monotonic()
    with Progress(*columns, console=console, disable=as_json or not console.is_terminal) as bar:
        task = bar.add_task("folding", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if from_kafka:
            log_to_stderr()
            work = replay_from_kafka(settings.kafka, settings.database_url, rules, into, tell, pace)
        else:
            work = rebuild(settings.database_url, rules, into, tell, pace, point=point)
        found = uvloop.run(work)
    seconds = round(time.monotonic() - began, 2)
    if as_json:
        typer.echo(json.dumps({"projection": into, **found._asdict(), "seconds": seconds}))
    else:
        typer.echo(f"{found.sha256}  {found.journeys} journeys in {into}, {seconds} s")


def _point(at: str | None, known_at: str | None) -> "Point":
    from audit.past import Point
    from projections.text import micros

    happened = None if at is None else datetime.fromisoformat(time_of(at, "--at"))
    known = None if known_at is None else datetime.fromisoformat(time_of(known_at, "--known-at"))
    return Point(None if happened is None else micros(happened), known)


async def _check(database_url: str, point: "Point") -> None:
    from audit.past import check_point
    from store.session import closing, open_connection

    async with closing(await open_connection(database_url)) as connection:
        await check_point(connection, point, int(time.time() * 1_000_000))


@app.command()
def verify(
    from_kafka: Annotated[
        bool,
        typer.Option("--from-kafka/--from-archive", help="Read Kafka's log; compare dead letters, too."),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Recompute everything from the archive and compare it with what is stored; exit code 1 where anything differs.

    The live projection goes on meanwhile; journeys that change while it runs are not compared.

    Example: tandem verify --json
    """
    import uvloop
    from rich.console import Console
    from rich.progress import Progress

    from audit.verify import verify, verify_from_kafka
    from cli.settings import load_settings
    from cli.stack.processes import log_to_stderr
    from streams.engine.gc_tuning import look_seldom

    settings = load_settings(data_dir)
    rules = load_rules(settings.playbook)
    look_seldom()
    console = Console(stderr=True)
    with Progress(console=console, disable=as_json or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("recomputing", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if from_kafka:
            log_to_stderr()
            work = verify_from_kafka(settings.kafka, settings.database_url, rules, tell)
        else:
            work = verify(settings.database_url, rules, tell)
        found = uvloop.run(work)
    if as_json:
        shown = found._asdict() | {"sound": found.sound, "differences": [one._asdict() for one in found.differences]}
        typer.echo(json.dumps(shown))
    else:
        for one in found.differences:
            typer.echo(f"{one.table} {one.key}: {one.what}")
        state = "is what the facts make it" if found.sound else "DIFFERS from what the facts make"
        typer.echo(f"{found.journeys:,} journeys from {found.events:,} events: the live projection {state}")
        typer.echo(f"digest {found.sha256[:16]}; {found.meanwhile:,} changes came meanwhile")
    if not found.sound:
        raise typer.Exit(1)


@projections.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the projections beside the live one, and how far each is.

    Example: tandem projections list --json
    """
    from rich.console import Console
    from rich.table import Table

    from cli.settings import load_settings

    found = asyncio.run(_places(load_settings(data_dir).database_url))
    if as_json:
        typer.echo(json.dumps([{"projection": name, "events": done, "of": total} for name, done, total in found]))
        return
    table = Table("projection", "events", "of")
    for name, done, total in found:
        table.add_row(name, f"{done:,}", f"{total:,}")
    Console().print(table)


@projections.command()
def switch(
    name: Annotated[str, typer.Argument(help="Name of a projection beside the live one.")],
    playbook: Annotated[
        Path | None, typer.Option(help="Playbook that it was built with; TANDEM_PLAYBOOK, or the default one.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a projection take the place of the live one, which takes its place: switching again switches back.

    It is brought up to date first; then, in one transaction, the tables change places, and subscribers are told to
    begin again. With another playbook, start workers, API and publisher again with it afterwards (TANDEM_PLAYBOOK).

    Example: tandem replay --into next && tandem projections switch next
    """
    import uvloop
    from rich.console import Console

    from audit.switch import switch
    from cli.settings import load_settings

    settings = load_settings(data_dir)
    rules = load_rules(playbook or settings.playbook)
    console = Console(stderr=True)
    with console.status("catching up") as status:

        def tell(done: int, _: int) -> None:
            status.update(f"catching up: {done:,} events")

        found = uvloop.run(switch(settings.database_url, rules, name, tell))
    if as_json:
        typer.echo(json.dumps(found._asdict()))
    else:
        typer.echo(f"{name} is live, after {found.caught_up:,} events that it was behind; what was live is in {name}")


@projections.command()
def drop(
    name: Annotated[str, typer.Argument(help="Name of a projection beside the live one.")],
    data_dir: DataDir = None,
) -> None:
    """Take a projection away. The live one, the archive and the log stay as they are.

    Example: tandem projections drop check
    """
    from cli.settings import load_settings

    asyncio.run(_drop(load_settings(data_dir).database_url, name))
    typer.echo(f"{name} is gone")


async def _places(database_url: str) -> list[tuple[str, int, int]]:
    from store.rebuild import projections_beside
    from store.session import open_connection

    connection = await open_connection(database_url)
    try:
        return await projections_beside(connection)
    finally:
        await connection.close()


async def _drop(database_url: str, name: str) -> None:
    from store.rebuild import claimed, drop
    from store.session import closing, open_connection

    async with closing(await open_connection(database_url)) as connection, claimed(database_url, name):
        await drop(connection, name)
