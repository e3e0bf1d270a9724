"""`tandem watch`: the change feed in the terminal."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.client import named_errors
from cli.errors import UserError
from cli.options import AsJson, DataDir, example, optional_identifier

if TYPE_CHECKING:
    from tandem import AsyncSubscription

app = typer.Typer()


class CannotContinue(UserError):
    """The feed cannot be resumed from where the command was. Start the command again."""


@app.command(epilog=example("tandem watch --department sales --stage opportunity"))
def watch(
    department: Annotated[
        str | None, typer.Option(help="Only changes in stages of this department: marketing or sales.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Only journeys that enter, leave or are in this stage.")] = None,
    journey: Annotated[
        str | None, typer.Option(help="Only the journey of this identifier.", metavar="TYPE:VALUE")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Only journeys of this account.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only created, changed, merged, split or vanished journeys.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Continue where an earlier run stopped.")] = None,
    snapshot: Annotated[bool, typer.Option("--snapshot", help="Start with all journeys as they are now.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print every change of every journey as it happens, until Ctrl-C; then print the cursor to continue from.

    --json prints one object a line, each with its cursor. A restart of the API is waited for.
    """
    import asyncio

    import httpx

    import tandem
    from cli.settings import api_url, secret

    if cursor and snapshot:
        raise UserError("--cursor continues an earlier run and --snapshot starts anew: give one of them")
    address = api_url(data_dir)
    filters: dict[str, Any] = {"department": department, "stage": stage, "account": account, "kind": kind}
    filters["journey"] = optional_identifier(journey)

    async def follow() -> None:
        async with tandem.AsyncClient(address, token=secret("TANDEM_TOKEN")) as client:
            subscription = client.subscribe(cursor=cursor, snapshot=snapshot, **filters)
            try:
                await _until_interrupted(subscription, as_json)
            except tandem.FeedReset as error:
                raise CannotContinue(
                    f"the feed cannot continue from this cursor ({error.reason}): start anew with --snapshot, "
                    "or without --cursor for new changes only"
                ) from error
            if subscription.cursor is not None:
                typer.echo(f"continue with --cursor {subscription.cursor}", err=True)

    with named_errors(address):
        httpx.get(f"{address}/healthz", timeout=10)  # a subscription would wait for an API that is not there
        asyncio.run(follow())


async def _until_interrupted(subscription: "AsyncSubscription", as_json: bool) -> None:
    import asyncio
    import signal

    import msgspec

    from cli.render.changes import line_of

    task = asyncio.current_task()
    assert task is not None, "this runs in a task"
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    try:
        async for change in subscription:
            typer.echo(msgspec.json.encode(change) if as_json else line_of(change))
    except asyncio.CancelledError:
        return
