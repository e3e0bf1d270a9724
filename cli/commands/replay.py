"""`tandem replay`: a second projection beside the live one, from the archive or from Kafka's log."""

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import on_database
from cli.errors import UserError
from cli.options import AsJson, DataDir, FromKafka, PlaybookFile, example, time_of
from cli.terminal import progress

if TYPE_CHECKING:
    from audit.past import Point

app = typer.Typer()


@app.command(epilog=example("tandem replay --into check --rate 5000 && tandem projections drop check"))
def replay(
    into: Annotated[str, typer.Option("--into", help="Name of the new projection, a schema of the database.")],
    from_kafka: FromKafka = False,
    playbook: PlaybookFile = None,
    at: Annotated[
        str | None, typer.Option(help="RFC 3339: only what had happened by then, by all that is known today.")
    ] = None,
    known_at: Annotated[str | None, typer.Option(help="RFC 3339: only what Tandem had committed by then.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=1, help="Events a second at most, so that live work is not slowed down.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fold the archive, or Kafka's log, again into a projection beside the live one, and print its digest.

    The live projection goes on meanwhile. An interrupted replay continues when it is started again; it leaves out
    events that came after its first start. Equal facts give the digest that `tandem digest` prints. --at or --known-at
    compute the past, which `tandem funnel --projection NAME` and `tandem journeys` can then read.
    """
    import uvloop

    from audit.from_kafka import replay_from_kafka
    from audit.past import NOW
    from audit.rebuild import rebuild
    from cli.settings import load_rules, load_settings
    from cli.stack.processes import log_to_stderr
    from streams.engine.gc_tuning import look_seldom
    from streams.engine.rate_limit import RateLimit

    settings = load_settings(data_dir)
    rules = load_rules(settings, playbook)
    look_seldom()
    pace = None if rate is None else RateLimit(rate)
    point = _point(at, known_at)
    if from_kafka and point != NOW:
        raise UserError("Kafka's log is read as a whole: leave out --from-kafka for a point in the past")
    if point != NOW:
        _check(point, data_dir)
    began = time.monotonic()
    with progress("folding", quiet=as_json) as advance:
        if from_kafka:
            log_to_stderr()
            work = replay_from_kafka(settings.kafka, settings.database_url, rules, into, advance, pace)
        else:
            work = rebuild(settings.database_url, rules, into, advance, pace, point=point)
        replayed = uvloop.run(work)
    seconds = round(time.monotonic() - began, 2)
    if as_json:
        typer.echo(json.dumps({"projection": into, **replayed._asdict(), "seconds": seconds}))
    else:
        typer.echo(f"{replayed.sha256}  {replayed.journeys} journeys in {into}, {seconds} s")


def _point(at: str | None, known_at: str | None) -> "Point":
    from audit.past import Point
    from projections.text import micros

    happened = None if at is None else datetime.fromisoformat(time_of(at, "--at"))
    known = None if known_at is None else datetime.fromisoformat(time_of(known_at, "--known-at"))
    return Point(None if happened is None else micros(happened), known)


def _check(point: "Point", data_dir: DataDir) -> None:
    from audit.past import check_point

    on_database(data_dir, lambda connection: check_point(connection, point, int(time.time() * 1_000_000)))
