"""One part of the stack in this process: the projector, the publisher, or the API."""

import asyncio
import faulthandler
import signal
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
import uvloop

from cli.settings import Settings

_STANDSTILL_SECONDS = 60


def run_worker(settings: Settings) -> None:
    """Run the Faust application with the projector in it until SIGTERM or SIGINT.

    Raises named errors that need a person. A process whose event loop stands still ends itself, with its stacks in
    the log: whoever started it starts another.
    """
    from projections.playbook import DEFAULT_PLAYBOOK, compile_rules, load_playbook
    from streams.app import create_app, host
    from streams.garbage import look_seldom
    from streams.worker import run

    log_to_stderr()
    rules = compile_rules(load_playbook(settings.playbook or DEFAULT_PLAYBOOK))
    look_seldom()

    async def until_stopped() -> None:
        stop = _stop_at_signals()
        project = partial(run, settings.kafka, settings.database_url, rules)
        alive = asyncio.create_task(_stay_alive())
        with TemporaryDirectory(prefix="tandem-faust-") as folder:
            await host(create_app(settings.kafka, Path(folder)), project, stop)
        alive.cancel()

    uvloop.run(until_stopped())


def run_publisher(settings: Settings) -> None:
    """Publish the feed to Kafka until SIGTERM or SIGINT.

    Raises DatabaseUnreachable, SchemaMissing and other named errors that need a person.
    """
    from api.app import check_database
    from projections.playbook import DEFAULT_PLAYBOOK, compile_rules, load_playbook
    from projections.windows import EVERYTHING
    from streams.publisher import publish

    log_to_stderr()
    rules = compile_rules(load_playbook(settings.playbook or DEFAULT_PLAYBOOK))

    async def until_stopped() -> None:
        stop = _stop_at_signals()
        await check_database(settings.database_url)
        alive = asyncio.create_task(_stay_alive())
        await publish(settings.kafka, settings.database_url, rules, EVERYTHING, stop, _now)
        alive.cancel()

    uvloop.run(until_stopped())


def _now() -> int:
    return time.time_ns() // 1000


def _stop_at_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    return stop


async def _stay_alive() -> None:
    while True:
        faulthandler.dump_traceback_later(_STANDSTILL_SECONDS, exit=True)
        await asyncio.sleep(1)


def run_api(settings: Settings, host: str, port: int) -> None:
    """Serve HTTP until SIGTERM or SIGINT. Raises DatabaseUnreachable, SchemaMissing and KafkaUnreachable."""
    import uvicorn

    from api.app import check_database, create_app

    log_to_stderr()
    asyncio.run(check_database(settings.database_url))
    app = create_app(database_url=settings.database_url, kafka=settings.kafka, playbook_path=settings.playbook)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, loop="uvloop", http="httptools")


def log_to_stderr() -> None:
    """Structured log lines on standard error: one event a line, times in UTC."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
