"""The Faust application: it hosts the projector as a service.

Offsets and state stay out of Faust (docs/decisions/faust.md). The projector brings its own consumer. An error that
needs a person ends the application, with the projector's own message.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import faust
import mode
from aiokafka.errors import KafkaConnectionError

from streams.kafka import KafkaSettings, unreachable

Project = Callable[[asyncio.Event], Coroutine[Any, Any, None]]  #: projects until the event is set


class ProjectorService(mode.Service):
    """The projector inside the application: it starts with it, and finishes its batch before it stops."""

    def __init__(self, project: Project, **options: Any) -> None:
        super().__init__(**options)
        self._project = project
        self._stop_projecting = asyncio.Event()
        #: done when the projector ends; holds the error that ended it
        self.outcome: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """Start projecting."""
        self.outcome = asyncio.create_task(self._project(self._stop_projecting))

    async def on_stop(self) -> None:
        """Let the projector finish its batch and give its partitions back."""
        self._stop_projecting.set()
        if self.outcome is not None:
            await asyncio.wait([self.outcome])


def create_app(kafka: KafkaSettings, folder: Path) -> faust.App:
    """The application, for this process's lifetime: no web server, no tables, no leader topic.

    `folder`: Faust's scratch files; nothing in it outlives the process.
    """
    app = faust.App(
        f"{kafka.topic_prefix}-agents",
        broker=[f"kafka://{address}" for address in kafka.bootstrap.split(",")],
        datadir=folder,
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        broker_credentials=_credentials(kafka),
    )
    # With no agent there is nothing that Faust should consume; its consumer would fail without topics.
    app.producer_only = True
    return app


async def host(app: faust.App, kafka: KafkaSettings, project: Project, stop: asyncio.Event) -> None:
    """Run the application of `create_app` with the projector in it until `stop` is set.

    Raises KafkaUnreachable, and what the projector raises.
    """
    service = ProjectorService(project)
    app.finalize()
    try:
        try:
            await app.start()
        except KafkaConnectionError as error:
            raise await unreachable(kafka, error) from error
        await app.add_runtime_dependency(service)
        assert service.outcome is not None, "a started service projects"
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([stopping, service.outcome], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
    finally:
        await app.stop()
    service.outcome.result()


def _credentials(kafka: KafkaSettings) -> Any:
    """Credentials in Faust's form; None for PLAINTEXT."""
    context = kafka.ssl_context()
    if kafka.security == "SSL":
        return faust.SSLCredentials(context=context)
    if kafka.security.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.username, password=kafka.password, mechanism=kafka.sasl_mechanism, ssl_context=context
        )
    return None
