"""`tandem erase`: a person is forgotten, and a certificate says so."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.client import AsJson, DataDir, person_key
from cli.commands.audit import signed_document

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    from audit.erase import Plan
    from cli.settings import Settings

app = typer.Typer()


@app.command()
def erase(
    identifier: Annotated[str, typer.Argument(help="type:value, such as email:ana@example.com")],
    reason: Annotated[str, typer.Option(help="Why; it is kept, so it must not name the person.")],
    by: Annotated[str, typer.Option(help="Who decides.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be erased, and return.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File for the certificate.")] = None,
    rewrite: Annotated[
        bool,
        typer.Option(
            "--rewrite", help="Write the tables again, so that no page on disk keeps what was deleted; locks them."
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait until it is applied.")] = 120.0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Erase a person: journey, archived events, dead letters, what the feed and the record of reads say of them.

    It is an event that names nobody; it holds for events that come late and for every replay. What others share with
    the person in one event goes, too. Afterwards everything is searched for the identifiers, and a certificate made,
    signed with the stack's audit key where there is one. Kafka keeps what was sent until its retention is over.

    Example: tandem erase email:ana@example.com --reason "request 4711" --by dpo@example.com -o certificate.json
    """
    import uuid
    from datetime import UTC, datetime

    from audit.erase import erasure_event
    from cli.settings import load_settings
    from projections.playbook.model import DEFAULT_PLAYBOOK, compile_rules, load_playbook

    settings = load_settings(data_dir)
    key = person_key(identifier)
    rules = compile_rules(load_playbook(settings.playbook or DEFAULT_PLAYBOOK))
    at = int(datetime.now(UTC).timestamp() * 1_000_000)
    planned = asyncio.run(_plan(settings, rules, key, identifier, at))
    _tell(planned, quiet=as_json)
    if dry_run:
        return
    if not yes:
        typer.confirm("Erase this person? It cannot be undone", abort=True, err=True)
    id_ = uuid.uuid4()
    body = erasure_event(planned, id_, at, reason, by)
    made = asyncio.run(_erase(settings, planned, id_, body, reason, by, timeout, quiet=as_json))
    if rewrite:
        asyncio.run(_rewrite(settings))
        made |= {"tables_rewritten": True}
    signed = signed_document(made, data_dir)
    text = json.dumps(signed, indent=2)
    if output is not None:
        output.write_text(text + "\n", "utf-8")
    if as_json or output is None:
        typer.echo(text)
    if signed["found"]:
        typer.echo("identifiers were found after the erasure: see `found` in the certificate", err=True)
        raise typer.Exit(1)


def _tell(planned: "Plan", *, quiet: bool) -> None:
    if quiet:
        return
    typer.echo(f"journey {planned.journey_id}: {', '.join(planned.identifiers)}", err=True)
    typer.echo(f"{planned.events:,} events; {planned.with_others:,} of them name somebody else, too", err=True)


async def _plan(settings: "Settings", rules: Any, key: bytes, named: str, at: int) -> "Plan":
    import os

    from audit.erase import plan
    from store.session import closing, open_engine_connection

    async with closing(await open_engine_connection(settings.database_url)) as connection:
        return await plan(connection, rules, key, named, at, os.urandom)


async def _erase(
    settings: "Settings",
    planned: "Plan",
    id_: "UUID",
    body: bytes,
    reason: str,
    by: str,
    timeout: float,
    *,
    quiet: bool,
) -> dict[str, Any]:
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import Progress

    from audit.erase import certificate, scan
    from cli.errors import UserError
    from schemas.answers.events import Rejected
    from store.session import closing, open_connection
    from streams.gateway import Gateway

    gateway = Gateway(settings.kafka)
    await gateway.start()
    try:
        [answer] = await gateway.publish("joint", body)
    finally:
        await gateway.stop()
    if isinstance(answer, Rejected):
        raise UserError(answer.message)
    console = Console(stderr=True)
    async with closing(await open_connection(settings.database_url)) as connection:
        await _applied(connection, id_, timeout)
        with Progress(console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
            task = bar.add_task("searching", total=None)

            def tell(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            scanned = await scan(connection, planned.values, tell)
        return await certificate(connection, planned, id_, reason, by, scanned, datetime.now(UTC))


async def _rewrite(settings: "Settings") -> None:
    from store.erasure import rewrite
    from store.session import closing, open_connection

    async with closing(await open_connection(settings.database_url)) as connection:
        await rewrite(connection)


async def _applied(connection: "asyncpg.Connection", id_: "UUID", timeout: float) -> None:
    """Wait until an erasure is applied. Raises UserError."""
    from audit.erase import SOURCE
    from cli.errors import UserError
    from store.erasure import erased_by

    deadline = asyncio.get_running_loop().time() + timeout
    while await erased_by(connection, id_, SOURCE) is None:
        if asyncio.get_running_loop().time() > deadline:
            raise UserError(
                f"the erasure {id_} is published and not applied after {timeout:.0f} s: see `tandem status`. "
                "It will be applied; `tandem erase` for the same person then says that nothing is stored"
            )
        await asyncio.sleep(0.1)
