"""One part of the stack in this process: the projector, the publisher, the API, or agents."""

import asyncio
import faulthandler
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import structlog
import uvloop

from cli.errors import UserError
from cli.settings import Settings, access_settings
from projections.playbook.rules import load_rules
from streams.agents.settings import AgentSettings

if TYPE_CHECKING:
    from projections.playbook.model import Playbook
    from projections.playbook.windows import Window

_TOKENS = "set TANDEM_OIDC_ISSUER and TANDEM_OIDC_AUDIENCE to take tokens"
#: What is said at the start while access is off.
ACCESS_OFF = "access is off: all programs on this machine read and write everything; see docs/reference/access.md"

_STANDSTILL_SECONDS = 60


def run_worker(settings: Settings) -> None:
    """Run the Faust application with the projector in it until SIGTERM or SIGINT.

    Raises named errors that need a person. A process whose event loop stands still ends itself, with its stacks in
    the log: whoever started it starts another.
    """
    from streams.app import create_app, host
    from streams.engine.gc_tuning import look_seldom
    from streams.engine.worker import run
    from streams.feed.ticker import tick

    log_to_stderr()
    rules = load_rules(settings.playbook)
    look_seldom()

    async def until_stopped() -> None:
        stop = _stop_at_signals()
        project = partial(run, settings.kafka, settings.database_url, rules)
        alive = asyncio.create_task(_stay_alive())
        ticking = asyncio.create_task(tick(settings.database_url, settings.feed_days, _now))
        with TemporaryDirectory(prefix="tandem-faust-") as folder:
            await host(create_app(settings.kafka, Path(folder)), settings.kafka, project, stop)
        ticking.cancel()
        alive.cancel()

    uvloop.run(until_stopped())


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
        stop = _stop_at_signals()
        alive = asyncio.create_task(_stay_alive())
        await run(settings, files, port, stop)
        alive.cancel()

    uvloop.run(until_stopped())


def run_publisher(settings: Settings) -> None:
    """Publish the feed to Kafka until SIGTERM or SIGINT.

    Raises DatabaseUnreachable, SchemaMissing and other named errors that need a person.
    """
    from api.app import check_database
    from streams.feed.publisher import publish

    log_to_stderr()
    rules = load_rules(settings.playbook)

    async def until_stopped() -> None:
        stop = _stop_at_signals()
        await check_database(settings.database_url)
        alive = asyncio.create_task(_stay_alive())
        await publish(settings.kafka, settings.database_url, rules, _shared_window, stop, _now)
        alive.cancel()

    uvloop.run(until_stopped())


def _shared_window(playbook: "Playbook") -> "Window":
    """What every department may see."""
    from projections.playbook.rules import compile_windows
    from projections.playbook.windows import shared

    return shared(compile_windows(playbook).values())


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


class AccessOff(UserError):
    """Access is off, and the address would let other machines read and write everything.

    Set TANDEM_ACCESS=on, or listen on this machine only.
    """


def run_api(settings: Settings, host: str, port: int) -> None:
    """Serve HTTP until SIGTERM or SIGINT.

    Raises AccessOff, DatabaseUnreachable, SchemaMissing and KafkaUnreachable.
    """
    import uvicorn

    from api.app import check_database, create_app
    from streams.engine.gc_tuning import SERVING, look_seldom
    from streams.loopback import is_loopback

    log_to_stderr()
    access = access_settings()
    if access is None:
        if not is_loopback(host):
            raise AccessOff(f"access is off, and on {host} others reach the API: set TANDEM_ACCESS=on, and {_TOKENS}")
        structlog.get_logger(__name__).warning(ACCESS_OFF)
    elif access.oidc is None:
        structlog.get_logger(__name__).warning(f"access is on for API keys only, which cannot read: {_TOKENS}")
    asyncio.run(check_database(settings.database_url))
    app = create_app(
        database_url=settings.database_url, kafka=settings.kafka, playbook_path=settings.playbook, access=access
    )

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.state.context.hub.close()  # subscribers would keep the server for ever
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # what they say is the sender's word
        loop="uvloop",
        http="httptools",
        ws="none",
    )
    look_seldom(SERVING)
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
