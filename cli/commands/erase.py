"""`tandem erase`: everything stored about a person is erased, and a certificate says so."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import on_database, with_connection, with_engine_connection
from cli.errors import UserError
from cli.options import AsJson, DataDir, Identifier, example, person_key
from cli.signing import signed_document
from cli.terminal import progress
from schemas.answers.events import Rejected

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    from audit.erase import Plan
    from cli.settings import Settings
    from projections.playbook.rules import Rules

app = typer.Typer()


@app.command(
    epilog=example(
        'tandem erase email:ana@example.com --reason "request 4711" --by dpo@example.com -o certificate.json',
        "erased, and found nowhere",
        "1 error, or identifiers were found afterwards",
    )
)
def erase(
    identifier: Identifier,
    reason: Annotated[str, typer.Option(help="Why. The reason is kept: it must not name the person.")],
    by: Annotated[str, typer.Option(help="Who decides.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be erased.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File for the certificate. Default: standard output.")
    ] = None,
    rewrite: Annotated[
        bool,
        typer.Option(
            "--rewrite", help="Rewrite the tables, so that no page on disk keeps deleted rows. Locks them meanwhile."
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait until the erasure is applied.")] = 120.0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Erase a person: journey, archived events, dead letters, and what change feed and read log say about them.

    The erasure is an event that names nobody; it also applies to late events and to every replay. Events that the
    person shares with others are erased, too. Then everything is searched for the identifiers, and a certificate is
    made, signed with the stack's audit key if there is one. Kafka keeps what was sent until its retention ends.
    """
    import uuid
    from datetime import UTC, datetime

    from audit.erase import erasure_event
    from cli.settings import load_rules, load_settings
    from store.erasure import rewrite as rewrite_tables

    settings = load_settings(data_dir)
    key = person_key(identifier)
    rules = load_rules(settings)
    at = int(datetime.now(UTC).timestamp() * 1_000_000)
    planned = asyncio.run(_plan(settings, rules, key, identifier, at))
    _print_plan(planned, quiet=as_json)
    if dry_run:
        return
    if not yes:
        typer.confirm("Erase this person? It cannot be undone", abort=True, err=True)
    id_ = uuid.uuid4()
    body = erasure_event(planned, id_, at, reason, by)
    made = asyncio.run(_erase(settings, planned, id_, body, reason, by, timeout, quiet=as_json))
    if rewrite:
        on_database(data_dir, rewrite_tables)
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


def _print_plan(planned: "Plan", *, quiet: bool) -> None:
    if quiet:
        return
    typer.echo(f"journey {planned.journey_id}: {', '.join(planned.identifiers)}", err=True)
    typer.echo(f"{planned.events:,} events; {planned.with_others:,} of them name somebody else, too", err=True)


async def _plan(settings: "Settings", rules: "Rules", key: bytes, named: str, at: int) -> "Plan":
    import os

    from audit.erase import plan

    return await with_engine_connection(
        settings.database_url, lambda connection: plan(connection, rules, key, named, at, os.urandom)
    )


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

    from audit.erase import certificate, scan
    from streams.gateway import Gateway

    gateway = Gateway(settings.kafka)
    await gateway.start()
    try:
        [answer] = await gateway.publish("joint", body)
    finally:
        await gateway.stop()
    if isinstance(answer, Rejected):
        raise UserError(answer.message)

    async def search(connection: "asyncpg.Connection") -> dict[str, Any]:
        await _applied(connection, id_, timeout)
        with progress("searching", quiet=quiet) as advance:
            scanned = await scan(connection, planned.values, advance)
        return await certificate(connection, planned, id_, reason, by, scanned, datetime.now(UTC))

    return await with_connection(settings.database_url, search)


async def _applied(connection: "asyncpg.Connection", id_: "UUID", timeout: float) -> None:
    """Wait until an erasure is applied. Raises UserError."""
    from audit.erase import SOURCE
    from store.erasure import erased_by

    deadline = asyncio.get_running_loop().time() + timeout
    while await erased_by(connection, id_, SOURCE) is None:
        if asyncio.get_running_loop().time() > deadline:
            raise UserError(
                f"the erasure {id_} is published, but not applied after {timeout:.0f} s: see `tandem status`. "
                "It will be applied; `tandem erase` for the same person then says that nothing is stored"
            )
        await asyncio.sleep(0.1)
