"""The command `tandem`."""

import sys
from typing import NoReturn

import typer

from cli.commands import (
    agents,
    attribution,
    audiences,
    audit,
    contracts,
    dead_letters,
    demo,
    diff,
    digest,
    erase,
    explain,
    export,
    funnel,
    handoffs,
    identity,
    import_,
    journey,
    journeys,
    keys,
    migrate,
    playbook,
    projections,
    publish,
    reads,
    replay,
    serve,
    status,
    up,
    verify,
    watch,
    work,
)
from cli.renamed import renamed
from schemas.errors import TandemError

app = typer.Typer(
    name="tandem",
    help="Marketing and sales publish facts; both subscribe to the customer journeys computed from them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
#: In the order in which `tandem --help` lists them: verbs, then groups of verbs.
_COMMANDS = (
    *(demo, up, status, migrate, work, publish, serve, agents, import_),
    *(journey, journeys, funnel, attribution, audiences, watch, diff, dead_letters, reads),
    *(digest, verify, replay, erase),
    *(handoffs, playbook, identity, explain, projections, audit, export, contracts, keys),
)
for _command in _COMMANDS:
    app.registered_commands += _command.app.registered_commands
    app.registered_groups += _command.app.registered_groups


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 a named error in one line, 2 wrong usage."""
    arguments, warnings = renamed(sys.argv[1:] if arguments is None else arguments)
    for warning in warnings:
        typer.echo(f"tandem: {warning}", err=True)
    try:
        app(arguments)
    except TandemError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except Exception as error:
        from store.session import out_of_order  # takes long to import, and most commands do without

        message = out_of_order(error)
        if message is None:
            raise
        _fail(message)


def _fail(message: str) -> NoReturn:
    typer.echo(f"tandem: {' '.join(message.split())}", err=True)
    sys.exit(1)
