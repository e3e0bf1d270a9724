"""`tandem journey`, `journeys`, `funnel` and `dead-letters`: what the API knows, in the terminal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import UserError

if TYPE_CHECKING:
    from tandem import Client

app = typer.Typer()

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Data dir of the running stack.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class ApiUnreachable(UserError):
    """The API does not answer, or not as asked."""


@contextmanager
def _client(data_dir: Path | None) -> "Iterator[Client]":
    import httpx

    import tandem
    from cli.settings import api_url

    address = api_url(data_dir)
    try:
        with tandem.Client(address) as client:
            yield client
    except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ApiUnreachable(f"no API answers at {address}: {error}; check TANDEM_API or `tandem status`") from error
    except tandem.ApiError as error:
        raise ApiUnreachable(error.detail) from error


@app.command()
def journey(
    identifier: Annotated[str, typer.Argument(help="type:value, such as email:ana@example.com")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Tell one journey: stages, touchpoints, milestones and identifiers.

    Example: tandem journey email:ana@example.com
    """
    type_, colon, value = identifier.partition(":")
    if not colon:
        raise UserError(f"{identifier!r} is no identifier: write type:value, such as email:ana@example.com")
    with _client(data_dir) as client:
        found = client.journey(type_, value)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        from cli.story import print_journey

        print_journey(found)


@app.command()
def journeys(
    stage: Annotated[str | None, typer.Option(help="Only journeys in this stage now.")] = None,
    account: Annotated[str | None, typer.Option(help="Only journeys of this account.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only journeys that began in this channel.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only journeys of this sales person.")] = None,
    changed_since: Annotated[str | None, typer.Option(help="Only journeys changed since this RFC 3339 time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List journeys.

    Example: tandem journeys --stage customer --channel organic_search --json
    """
    wanted = {"stage": stage, "account": account, "channel": channel, "owner": owner, "changed_since": changed_since}
    with _client(data_dir) as client:
        found = list(islice(client.journeys(**wanted), limit))
    _print(found, as_json, ("journey_id", "stage", "stage_since", "channel", "owner", "account", "score", "version"))


@app.command()
def funnel(
    by: Annotated[str | None, typer.Option(help="Split by channel or campaign of the first touchpoint.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how many journeys reached each stage, the conversion and the median time between stages.

    Example: tandem funnel --by channel
    """
    if by not in (None, "channel", "campaign"):
        raise UserError(f"--by is {by!r}: choose channel or campaign")
    with _client(data_dir) as client:
        found = client.funnel(by)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        from cli.story import print_funnel

        print_funnel(found)


@app.command("dead-letters")
def dead_letters(
    show: Annotated[
        str | None, typer.Option(help="Print the original bytes of one: TOPIC/PARTITION/OFFSET.", metavar="PLACE")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List records that could not be applied, and why; or print one's original bytes.

    Example: tandem dead-letters --reason not_json
    """
    with _client(data_dir) as client:
        if show is not None:
            topic, partition, offset = _place(show)
            typer.echo(client.dead_letter(topic, partition, offset), nl=False)
            return
        found = list(islice(client.dead_letters(reason), limit))
    _print(found, as_json, ("topic", "partition", "offset", "reason", "field", "bytes", "message"))


def _place(text: str) -> tuple[str, int, int]:
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    if not (topic and partition.isdigit() and offset.isdigit()):
        raise UserError(f"{text!r} is no place: write TOPIC/PARTITION/OFFSET, as `tandem dead-letters` lists them")
    return topic, int(partition), int(offset)


def _print(items: list[dict[str, Any]], as_json: bool, columns: tuple[str, ...]) -> None:
    if as_json:
        typer.echo(json.dumps(items))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None)
    for item in items:
        table.add_row(*(_cell(item[column]) for column in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = str(value)
    if len(text) == 27 and text.endswith("Z"):
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")
    return text
