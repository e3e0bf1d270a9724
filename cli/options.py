"""Options and arguments that several commands share, and how their text is read."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import UserError
from schemas import departments

if TYPE_CHECKING:
    import tandem

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Data directory of the running stack.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Limit = Annotated[int, typer.Option(min=1, help="Number of rows at most.")]
Identifier = Annotated[str, typer.Argument(help="type:value, such as email:ana@example.com")]
Department = Annotated[
    departments.Department | None,
    typer.Option(help="The department you act for. A token of one department implies it."),
]
By = Annotated[str | None, typer.Option(envvar="TANDEM_USER", help="Who decides. A token implies it: its subject.")]
TrueAt = Annotated[str | None, typer.Option(help="RFC 3339: as it was true then, by all that is known today.")]
KnownAt = Annotated[str | None, typer.Option(help="RFC 3339: as Tandem knew it then.")]
Projection = Annotated[
    str | None,
    typer.Option(help="Read this projection instead of the live one: see `tandem replay --into`."),
]
FromKafka = Annotated[bool, typer.Option("--from-kafka/--from-archive", help="Read Kafka's log, with all duplicates.")]
PlaybookFile = Annotated[
    Path | None, typer.Option(help="Playbook to compute with. Default: TANDEM_PLAYBOOK, else the built-in one.")
]

AgentNames = Annotated[
    list[str] | None,
    typer.Option(
        "--agents",
        metavar="FILE",
        help="A Python file with agents, or one of crm, alerts, outbound, funnel-counter. May be repeated. "
        "TANDEM_AGENTS adds more, separated by commas.",
    ),
]


def example(command: str, *exits: str) -> str:
    """What the help of a verb ends with: an example, and what exit codes mean where that matters."""
    codes = f"\n\nExit codes: 0 {', '.join(exits)}." if exits else ""
    return f"Example: {command}{codes}"


def identifier_of(text: str) -> "tandem.Identifier":
    """An identifier as people write it. Raises UserError."""
    import tandem

    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{text!a} is no identifier: it is not UTF-8 text") from error
    try:
        return tandem.Identifier.parse(text)
    except ValueError as error:
        raise UserError(str(error)) from error


def optional_identifier(text: str | None) -> "tandem.Identifier | None":
    """An identifier as people write it, if one is given. Raises UserError."""
    return None if text is None else identifier_of(text)


def person_key(text: str) -> bytes:
    """The key of an identifier that names a person, as people write it. Raises UserError."""
    from projections.identifiers import PERSON_TYPES, normalise

    given = identifier_of(text)
    normal = normalise(given.type, given.value) if given.type in PERSON_TYPES else None
    if normal is None:
        raise UserError(f"{text} names no person: use one of {', '.join(PERSON_TYPES)}")
    return normal.key


def time_of(text: str, option: str) -> str:
    """A time as the API takes it. Raises UserError, which shows the form."""
    try:
        known = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        known = False
    if not known:
        raise UserError(f"{option} is {text!a}: write a time with its offset, such as 2026-03-01T00:00:00Z")
    return text


def optional_time(text: str | None, option: str) -> str | None:
    """A time as the API takes it, if one is given. Raises UserError."""
    return None if text is None else time_of(text, option)
