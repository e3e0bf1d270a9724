"""`tandem watch`: the change feed in the terminal."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.client import AsJson, DataDir, identifier_of, named_errors
from cli.errors import UserError

if TYPE_CHECKING:
    from tandem import AsyncSubscription, Change

app = typer.Typer()

#: What people know somebody by, the best first.
_NAMES = ("email", "user_id", "crm_contact", "crm_lead", "phone", "anonymous_id")


class CannotGoOn(UserError):
    """The feed does not go on from where the command was."""


@app.command()
def watch(
    department: Annotated[str | None, typer.Option(help="Only in stages that concern marketing, or sales.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only journeys that enter, leave or are in this stage.")] = None,
    journey: Annotated[
        str | None, typer.Option(help="Only the journey of this identifier.", metavar="TYPE:VALUE")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Only journeys of this account.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only created, changed, merged, split or vanished.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Go on from where an earlier run was.")] = None,
    snapshot: Annotated[bool, typer.Option("--snapshot", help="Begin with all journeys as they are.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Tell every change of every journey as it happens, until Ctrl-C: it then says from where to go on.

    --json prints one object a line, each with its cursor. Restarts of the API are waited out.

    Example: tandem watch --department sales --stage opportunity
    """
    import asyncio

    import httpx

    import tandem
    from cli.settings import api_url, secret

    if cursor and snapshot:
        raise UserError("--cursor goes on from a place and --snapshot begins anew: give one of them")
    address = api_url(data_dir)
    filters: dict[str, Any] = {"department": department, "stage": stage, "account": account, "kind": kind}
    filters["journey"] = None if journey is None else identifier_of(journey)

    async def follow() -> None:
        async with tandem.AsyncClient(address, token=secret("TANDEM_TOKEN")) as client:
            subscription = client.subscribe(cursor=cursor, snapshot=snapshot, **filters)
            try:
                await _until_interrupted(subscription, as_json)
            except tandem.FeedReset as error:
                raise CannotGoOn(
                    f"the feed does not go on from this cursor ({error.reason}): begin anew with --snapshot, "
                    "or without --cursor for what comes from now on"
                ) from error
            if subscription.cursor is not None:
                typer.echo(f"go on with --cursor {subscription.cursor}", err=True)

    with named_errors(address):
        httpx.get(f"{address}/healthz", timeout=10)  # a subscription would wait for an API that is not there
        asyncio.run(follow())


async def _until_interrupted(subscription: "AsyncSubscription", as_json: bool) -> None:
    import asyncio
    import signal

    import msgspec

    task = asyncio.current_task()
    assert task is not None, "this runs in a task"
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    try:
        async for change in subscription:
            typer.echo(msgspec.json.encode(change) if as_json else line_of(change))
    except asyncio.CancelledError:
        return


def line_of(change: "Change") -> str:
    """A change as people read it: when, what, who, the stages, and whose it is."""
    import msgspec

    if change.kind == "live":
        return "that was all; changes follow"
    journey, detail = msgspec.to_builtins((change.journey or {}, change.detail))
    at = (change.at or journey.get("last_seen") or "")[:19].replace("T", " ")
    parts = [at, f"{change.kind:8}", _who(change, journey), _stages(change, journey, detail)]
    parts += [f"{name} {journey[name]}" for name in ("owner", "account") if journey.get(name)]
    # what events say is shown, but must not steer the terminal
    return "".join(char if char.isprintable() else "?" for char in "  ".join(part for part in parts if part))


def _who(change: "Change", journey: dict[str, Any]) -> str:
    found = {one["type"]: one["value"] for one in journey.get("identifiers", [])}
    named = [f"{name}:{found[name]}" for name in _NAMES if name in found]
    who = named[0] if named else f"journey:{change.journey_id}"
    if change.related is None:
        return who
    return f"{who} {'into' if change.kind == 'merged' else 'out of'} journey:{change.related}"


def _stages(change: "Change", journey: dict[str, Any], detail: dict[str, Any] | None) -> str:
    if change.kind == "snapshot":
        return str(journey.get("stage", ""))
    if detail is not None:
        return _detail(detail)
    if change.stage_from == change.stage_to:
        return change.stage_to or ""
    because = " (silence)" if change.cause == "time" else ""
    return f"{change.stage_from or ''} -> {change.stage_to or ''}{because}".strip()


def _detail(detail: dict[str, Any]) -> str:
    """What happened to a hand-off, or which audience; credit, line by line."""
    if "handoff" in detail:
        return f"{detail['kind']} {detail['what']} ({detail['team']})"
    if "audience" in detail:
        return str(detail["audience"])
    lines = (f"{line['amount']:+} {line['currency']} {line['channel'] or '(none)'}" for line in detail.get("lines", ()))
    return ", ".join(lines) or "(hidden)"
