"""The command `tandem`."""

import sys
from typing import NoReturn

import typer

from cli.commands import attribution, contracts, demo, handoffs, identity, journeys, keys, reads, watch
from cli.commands import audit as auditing
from cli.commands import diff as past
from cli.commands import digest as audit
from cli.commands import erase as erasing
from cli.commands import export as exporting
from cli.commands import import_ as importer
from cli.commands import playbook as planning
from cli.commands import replay as replaying
from cli.commands import up as stack
from schemas.errors import TandemError

app = typer.Typer(
    name="tandem",
    help="Marketing and sales publish facts; both subscribe to the customer journeys computed from them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_PARTS = (
    demo,
    stack,
    importer,
    journeys,
    attribution,
    watch,
    identity,
    contracts,
    audit,
    auditing,
    erasing,
    exporting,
    planning,
    past,
    handoffs,
    replaying,
    keys,
    reads,
)
for _part in (part.app for part in _PARTS):
    app.registered_commands += _part.registered_commands
    app.registered_groups += _part.registered_groups


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 a named error in one line, 2 wrong usage."""
    try:
        app(arguments)
    except TandemError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except Exception as error:
        from store.session import out_of_order  # takes long to import, and most commands do without

        said = out_of_order(error)
        if said is None:
            raise
        _fail(said)


def _fail(message: str) -> NoReturn:
    typer.echo(f"tandem: {' '.join(message.split())}", err=True)
    sys.exit(1)
