"""One part of the stack in this process: the projector, the API, or agents."""

import asyncio
import faulthandler
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
import uvloop

from cli.settings import Settings
from streams.agents.settings import AgentSettings

_STANDSTILL_SECONDS = 60


def run_worker(settings: Settings) -> None:
    """Run the Faust application with the projector in it until SIGTERM or SIGINT.

    Raises named errors that need a person. A process whose event loop stands still ends itself, with its stacks in
    the log: whoever started it starts another.
    """
    from projections.playbook import DEFAULT_PLAYBOOK, compile_rules, load_playbook
    from streams.app import create_app, host
    from streams.garbage import look_seldom
    from streams.ticker import tick
    from streams.worker import run

    log_to_stderr()
    rules = compile_rules(load_playbook(settings.playbook or DEFAULT_PLAYBOOK))
    look_seldom()

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, stop.set)
        project = partial(run, settings.kafka, settings.database_url, rules)
        alive = asyncio.create_task(_stay_alive())
        ticking = asyncio.create_task(tick(settings.database_url, settings.feed_days, _now))
        with TemporaryDirectory(prefix="tandem-faust-") as folder:
            await host(create_app(settings.kafka, Path(folder)), settings.kafka, project, stop)
        ticking.cancel()
        alive.cancel()

    uvloop.run(until_stopped())


def _now() -> int:
    return time.time_ns() // 1000


def run_agents(settings: AgentSettings, names: list[str], port: int) -> None:
    """Run agents, each named by its file or as one of those that come along, until SIGTERM or SIGINT.

    Raises AgentsUnusable, InvalidWebhook, KafkaUnreachable and AgentsCrashed. An agent that blocks the event loop stops
    the others with it: after a while the process ends itself, as the worker does.
    """
    from streams.agents.files import load
    from streams.agents.host import run

    log_to_stderr()
    files = load(names)

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, stop.set)
        alive = asyncio.create_task(_stay_alive())
        await run(settings, files, port, stop)
        alive.cancel()

    uvloop.run(until_stopped())


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

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.state.context.hub.close()  # subscribers would keep the server for ever
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, loop="uvloop", http="httptools"
    )
    server = Server(config)
    server.run()
    if not server.started:
        sys.exit(1)


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
