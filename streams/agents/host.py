"""The process behind `tandem agents`: agents, and a small status page on a port of its own."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from aiokafka.errors import KafkaConnectionError

from schemas.errors import TandemError
from streams.agents.app import close_unused, create_app
from streams.agents.files import AgentsFile, register_all
from streams.agents.page import serve_page
from streams.agents.settings import AgentSettings
from streams.agents.tandem import Tandem
from streams.kafka import unreachable

log = structlog.get_logger(__name__)


class AgentsCrashed(TandemError):
    """Something beside the agents, such as a timer, failed and ended the application.

    Read the traceback in the log; a supervisor may start the process again.
    """


async def run(settings: AgentSettings, files: Sequence[AgentsFile], port: int | None, stop: asyncio.Event) -> None:
    """Run the files' agents until `stop` is set; `port` is for the page, on this machine alone.

    Raises AgentsUnusable, InvalidWebhook and the like for what cannot start, KafkaUnreachable, and AgentsCrashed. What
    an agent raises ends nothing: it is logged, and the agent is started again.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="tandem-faust-"))
        app = create_app(f"{settings.kafka.topic_prefix}-agents", Path(folder))
        tandem = Tandem(app, settings)
        register_all(files, app, tandem)
        stack.push_async_callback(tandem.stop)
        try:
            await tandem.start()
        except KafkaConnectionError as error:
            raise await unreachable(settings.kafka, error) from error
        app.finalize()
        stack.callback(close_unused, app)
        stack.push_async_callback(app.stop)
        await app.start()
        if port is not None:
            await stack.enter_async_context(serve_page(tandem, port))
        log.info("agents are ready", agents=",".join(sorted(app.agents)))
        await app.wait(stop.wait())
        if app.crashed and not stop.is_set():
            reason = app.crash_reason
            raise AgentsCrashed(f"a timer or task of the agents raised {type(reason).__name__}: {reason}") from reason
