"""The servers that the stack brings along: Apache Kafka and PostgreSQL."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from cli.stack.child import Child
from cli.stack.data_dir import OWNER_ONLY, remembered_port
from deploy.embedded.errors import KafkaUnavailable
from deploy.embedded.kafka import Kafka, start_kafka
from deploy.embedded.memory import start_memory_broker
from deploy.embedded.postgres import ENDED_BY, start_postgres
from store.migrate import create_database

_DATABASE = "tandem"


def embedded_kafka(
    folder: Path, logs: Path, stack: ExitStack, say: Callable[[str], None], servers: dict[str, Child]
) -> Kafka:
    """Apache Kafka; where it cannot run and has kept nothing here, a broker in memory.

    The broker in memory is not among the `servers` that are started again: with it the log epoch ends.
    """
    say("Kafka")
    home, port, log = folder / "kafka", remembered_port(folder, "kafka"), logs / "kafka.log"
    home.mkdir(mode=OWNER_ONLY, exist_ok=True)
    child = Child("Kafka", log, lambda: start_kafka(home, port, log).process)
    stack.callback(child.stop)
    try:
        broker = start_kafka(home, port, log)
        servers["kafka"] = child
    except KafkaUnavailable as error:
        if (home / "log").exists():
            raise
        say(f"{error}. Until then a broker in memory takes its place: what it holds is gone when the stack stops")
        broker = start_memory_broker(port, log)
    child.process = broker.process
    return broker


def embedded_postgres(
    folder: Path, logs: Path, stack: ExitStack, say: Callable[[str], None], servers: dict[str, Child]
) -> str:
    """PostgreSQL. Returns the address of its database."""
    say("PostgreSQL")
    home, port, log = folder / "postgres", remembered_port(folder, "postgres"), logs / "postgres.log"
    server = start_postgres(home, port, log)
    child = Child("PostgreSQL", log, lambda: start_postgres(home, port, log).process, ENDED_BY)
    child.process = server.process
    stack.callback(child.stop)
    servers["postgres"] = child
    return asyncio.run(create_database(server.url, _DATABASE))
