"""The servers of a measurement, a database for each scenario, workers as processes."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from uuid import uuid4

import asyncpg

from deploy.embedded.kafka import start_kafka, stop_kafka
from deploy.embedded.postgres import start_postgres, stop_postgres
from deploy.embedded.process import free_port, spawn, stop
from store.migrate import create_database, migrate
from streams.kafka import KafkaSettings, ensure_topics

_DROP = "DROP DATABASE {} WITH (FORCE)"


@dataclass(frozen=True, slots=True)
class Servers:
    """A running Apache Kafka and PostgreSQL, and a folder for logs."""

    bootstrap: str
    postgres: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Testbed:
    """Topics and a database of one scenario."""

    kafka: KafkaSettings
    database_url: str
    folder: Path
    tree: Path | None = None  #: another copy of the source, which processes run

    @contextmanager
    def running(self, *arguments: str) -> Iterator["Popen[bytes]"]:
        """`tandem` with these arguments, as a process, on this testbed."""
        environment = {
            "TANDEM_KAFKA": self.kafka.bootstrap,
            "TANDEM_TOPIC_PREFIX": self.kafka.topic_prefix,
            "TANDEM_DATABASE_URL": self.database_url,
        }
        log = self.folder / f"{arguments[0]}-{self.kafka.topic_prefix}.log"
        there = "" if self.tree is None else f"import os; os.chdir({str(self.tree)!r}); "
        code = f"{there}from cli.main import main; main()"
        process = spawn([sys.executable, "-c", code, *arguments], log, environment)
        try:
            yield process
        finally:
            stop(process)


@contextmanager
def servers() -> Iterator[Servers]:
    """Servers with empty data dirs, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tandem-bench-", dir=os.environ.get("TANDEM_BENCH_DIR")))
    try:
        broker = start_kafka(folder / "kafka", free_port(), folder / "kafka.log")
        try:
            postgres = start_postgres(folder / "postgres", free_port(), folder / "postgres.log")
            try:
                yield Servers(broker.bootstrap, postgres.url, folder)
            finally:
                stop_postgres(postgres)
        finally:
            stop_kafka(broker)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def make_testbed(on: Servers) -> Testbed:
    """Fresh topics and a fresh, migrated database; that of the scenario before is gone."""
    await _clear(on.postgres)
    name = f"bench_{uuid4().hex[:8]}"
    url = await create_database(on.postgres, name)
    connection = await asyncpg.connect(url)
    await migrate(connection)
    await connection.close()
    kafka = KafkaSettings(bootstrap=on.bootstrap, topic_prefix=name)
    await ensure_topics(kafka)
    return Testbed(kafka, url, on.folder)


async def _clear(server_url: str) -> None:
    """Drop what was measured and flush it: its vacuums would run beside the next measurement."""
    connection = await asyncpg.connect(server_url)
    for row in await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'bench\\_%'"):
        await connection.execute(_DROP.format(row["datname"]))
    await connection.execute("CHECKPOINT")
    await connection.close()
