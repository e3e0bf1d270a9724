"""The command `tandem`."""

import sys

import click
import typer

from cli import audit, contracts, importer, journeys, stack
from schemas.errors import TandemError

app = typer.Typer(
    name="tandem",
    help="Marketing and sales publish facts; both subscribe to the customer journeys computed from them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _part in (stack.app, importer.app, journeys.app, contracts.app, audit.app):
    app.registered_commands += _part.registered_commands
    app.registered_groups += _part.registered_groups


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 a named error in one line, 2 wrong usage, 130 interrupted."""
    try:
        code = app(arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _say(f"{error.format_message()} (see `tandem --help`)")
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        sys.exit(130)
    except TandemError as error:
        _say(str(error))
        sys.exit(1)
    except OSError as error:
        _say(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str) -> None:
    click.echo(f"tandem: {' '.join(message.split())}", err=True)
