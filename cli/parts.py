"""One part of the stack in this process: the projector, or the API."""

import asyncio
import gc
import signal
import sys

import structlog
import uvloop

from cli.settings import Settings

#: Objects allocated between two looks for garbage cycles. The fold makes many objects and no cycles: at Python's
#: default the collector took half of the projector's time.
_GC_THRESHOLD = 500_000


def run_worker(settings: Settings) -> None:
    """Project until SIGTERM or SIGINT."""
    from streams.worker import run

    log_to_stderr()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 50, 100)

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, stop.set)
        await run(settings.kafka, settings.database_url, settings.playbook, stop)

    uvloop.run(until_stopped())


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
