"""`tandem contracts`: the event contracts, checked against the released ones and exported."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import UserError
from cli.options import AsJson, example

app = typer.Typer()
contracts = typer.Typer(help="Check, export and release the event contracts.", no_args_is_help=True)
app.add_typer(contracts, name="contracts")


class Incompatible(UserError):
    """The contracts break what was released. Make a new version with an upcaster instead."""


@contracts.command(epilog=example("tandem contracts check", "compatible", "1 incompatible"))
def check(as_json: AsJson = False) -> None:
    """Compare the contracts with the released ones. Prints one line for each incompatible change."""
    from schemas.compatibility import incompatibilities, present_schemas, released_schemas

    problems = incompatibilities(released_schemas(), present_schemas())
    if as_json:
        typer.echo(json.dumps([one._asdict() for one in problems]))
    else:
        for one in problems:
            typer.echo(f"{one.schema}  {one.field or '(event)'}  {one.rule}: {one.message}")
        if not problems:
            typer.echo("compatible with the released contracts")
    if problems:
        raise typer.Exit(1)


@contracts.command(epilog=example("tandem contracts export --output build/contracts"))
def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to; created if missing.")],
) -> None:
    """Write a JSON Schema (2020-12) for each event type and version, and asyncapi.json for the topics."""
    from schemas.compatibility import present_schemas
    from schemas.export import asyncapi

    output.mkdir(parents=True, exist_ok=True)
    for name, schema in (*present_schemas().items(), ("asyncapi.json", asyncapi())):
        _write(output / name, schema)
    typer.echo(f"{output}: {len(present_schemas())} schemas and asyncapi.json")


@contracts.command(epilog=example("tandem contracts release"))
def release() -> None:
    """Add the present contracts to the released set. Incompatible changes are refused."""
    from schemas.compatibility import RELEASED, incompatibilities, present_schemas, released_schemas

    present = present_schemas()
    broken = incompatibilities(released_schemas(), present)
    if broken:
        first = broken[0]
        raise Incompatible(f"{first.schema} {first.field}: {first.rule}; give the type a new version and an upcaster")
    for name, schema in present.items():
        _write(RELEASED / name, schema)
    typer.echo(f"{len(present)} contracts released")


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
