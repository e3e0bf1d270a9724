"""`tandem journey`, `journeys`, `funnel` and `dead-letters`: what the API knows, in the terminal."""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import ApiUnreachable, AsJson, DataDir, api_client, identifier_of, print_items, time_of
from cli.errors import UserError

Projection = Annotated[
    str | None,
    typer.Option(help="A projection beside the live one, such as the past: see `tandem replay --known-at`."),
]

app = typer.Typer()


@app.command()
def journey(
    identifier: Annotated[str, typer.Argument(help="type:value, such as email:ana@example.com")],
    at: Annotated[str | None, typer.Option(help="RFC 3339: as it was true then, by all that is known today.")] = None,
    known_at: Annotated[str | None, typer.Option(help="RFC 3339: as Tandem knew it then.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Tell one journey: stages, touchpoints, milestones and identifiers; now, or as of a time.

    Example: tandem journey email:ana@example.com --known-at 2026-03-03T10:02:00Z
    """
    who = identifier_of(identifier)
    times = {
        "at": None if at is None else time_of(at, "--at"),
        "known_at": None if known_at is None else time_of(known_at, "--known-at"),
    }
    with api_client(data_dir) as client:
        found = client.journey(who, **times)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        from cli.render.journeys import print_journey

        print_journey(found)


@app.command()
def journeys(
    stage: Annotated[str | None, typer.Option(help="Only journeys in this stage now.")] = None,
    account: Annotated[str | None, typer.Option(help="Only journeys of this account.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only journeys that began in this channel.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only journeys of this sales person.")] = None,
    changed_since: Annotated[
        str | None, typer.Option(help="Only journeys changed since this time: 2026-03-01T00:00:00Z.")
    ] = None,
    projection: Projection = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List journeys.

    Example: tandem journeys --stage customer --channel organic_search --json
    """
    since = None if changed_since is None else time_of(changed_since, "--changed-since")
    wanted = {"stage": stage, "account": account, "channel": channel, "owner": owner, "changed_since": since}
    wanted["projection"] = projection
    with api_client(data_dir) as client:
        found = list(islice(client.journeys(**wanted), limit))
    print_items(
        found, as_json, ("journey_id", "stage", "stage_since", "channel", "owner", "account", "score", "version")
    )


@app.command()
def funnel(
    by: Annotated[str | None, typer.Option(help="Split by channel or campaign of the first touchpoint.")] = None,
    last_hour: Annotated[
        bool, typer.Option("--last-hour", help="Only the transitions of the last hour, as the agents count them.")
    ] = False,
    projection: Projection = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how many journeys reached each stage, the conversion and the median time between stages.

    Example: tandem funnel --by channel
    """
    if last_hour:
        found = _last_hour(data_dir)
        stages = [{"stage": stage, "transitions": count} for stage, count in found["stages"].items()]
        typer.echo(json.dumps(found)) if as_json else print_items(stages, False, ("stage", "transitions"))
        return
    if by not in (None, "channel", "campaign"):
        raise UserError(f"--by is {by!r}: choose channel or campaign")
    with api_client(data_dir) as client:
        found = client.funnel(by, projection=projection)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        from cli.render.journeys import print_funnel

        print_funnel(found)


def _last_hour(data_dir: Path | None) -> dict[str, Any]:
    import httpx

    from cli.settings import agents_url

    address = agents_url(data_dir)
    try:
        answer = httpx.get(f"{address}/funnel", trust_env=False).raise_for_status()
        found: dict[str, Any] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ApiUnreachable(
            f"no funnel is counted at {address}: run `tandem agents --agents funnel-counter`, or set "
            "TANDEM_AGENTS_PAGE to the address of the agents' page"
        ) from error
    return found


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
    with api_client(data_dir) as client:
        if show is not None:
            topic, partition, offset = _place(show)
            typer.echo(client.dead_letter(topic, partition, offset), nl=False)
            return
        found = list(islice(client.dead_letters(reason=reason), limit))
    print_items(found, as_json, ("topic", "partition", "offset", "reason", "field", "bytes", "message"))


def _place(text: str) -> tuple[str, int, int]:
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    if not (topic and partition.isdigit() and offset.isdigit()):
        raise UserError(f"{text!r} is no place: write TOPIC/PARTITION/OFFSET, as `tandem dead-letters` lists them")
    return topic, int(partition), int(offset)
