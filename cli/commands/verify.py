"""`tandem verify`: whether the live projection follows from the records."""

import json

import typer

from cli.options import AsJson, DataDir, FromKafka, example
from cli.terminal import progress

app = typer.Typer()


@app.command(epilog=example("tandem verify --json", "everything is equal", "1 something differs"))
def verify(from_kafka: FromKafka = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Recompute everything from the archive, or from Kafka's log, and compare it with what is stored.

    The live projection goes on meanwhile; journeys that change while it runs are not compared. From Kafka's log, dead
    letters are compared, too.
    """
    import uvloop

    from audit.verify import verify, verify_from_kafka
    from cli.render.proofs import verdict_text
    from cli.settings import load_rules, load_settings
    from cli.stack.processes import log_to_stderr
    from streams.engine.gc_tuning import look_seldom

    settings = load_settings(data_dir)
    rules = load_rules(settings)
    look_seldom()
    with progress("recomputing", quiet=as_json) as advance:
        if from_kafka:
            log_to_stderr()
            work = verify_from_kafka(settings.kafka, settings.database_url, rules, advance)
        else:
            work = verify(settings.database_url, rules, advance)
        verdict = uvloop.run(work)
    if as_json:
        differences = [one._asdict() for one in verdict.differences]
        typer.echo(json.dumps(verdict._asdict() | {"sound": verdict.sound, "differences": differences}))
    else:
        typer.echo(verdict_text(verdict))
    if not verdict.sound:
        raise typer.Exit(1)
