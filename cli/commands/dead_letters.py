"""`tandem dead-letters`: records that could not be applied."""

from itertools import islice
from typing import Annotated

import typer

from cli.client import api_client
from cli.errors import UserError
from cli.options import AsJson, DataDir, Limit, example
from cli.terminal import print_items

app = typer.Typer()


@app.command("dead-letters", epilog=example("tandem dead-letters --reason not_json"))
def dead_letters(
    show: Annotated[
        str | None, typer.Option(help="Print the original bytes of one: TOPIC/PARTITION/OFFSET.", metavar="PLACE")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only dead letters with this reason.")] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List records that could not be applied, with the reason; or print the original bytes of one."""
    with api_client(data_dir) as client:
        if show is not None:
            topic, partition, offset = _place(show)
            typer.echo(client.dead_letter(topic, partition, offset), nl=False)
            return
        letters = list(islice(client.dead_letters(reason), limit))
    print_items(letters, as_json, ("topic", "partition", "offset", "reason", "field", "bytes", "message"))


def _place(text: str) -> tuple[str, int, int]:
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    if not (topic and partition.isdigit() and offset.isdigit()):
        raise UserError(f"{text!r} is no place: write TOPIC/PARTITION/OFFSET, as `tandem dead-letters` lists them")
    return topic, int(partition), int(offset)
