"""Real services for the tests: one Apache Kafka and one PostgreSQL for all workers, a database for each test."""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings

from deploy.embedded.kafka import start_kafka
from deploy.embedded.postgres import start_postgres
from deploy.embedded.process import free_port
from streams.kafka import KafkaSettings
from tests.deploy.secured_kafka import start_secured_kafka
from tests.support import fresh_database

# The same examples in each run: what is red is red because of the change. `hunt` draws new ones.
settings.register_profile(
    "tandem",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("hunt", settings.get_profile("tandem"), derandomize=False, print_blob=True)
# The mutant gate asks whether a test fails, not what its smallest failure is.
settings.register_profile("first-failure", settings.get_profile("tandem"), phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("TANDEM_TEST_PROFILE", "tandem"))

_KAFKA, _DATABASE = "TANDEM_TEST_KAFKA", "TANDEM_TEST_DATABASE_URL"


def pytest_configure(config: pytest.Config) -> None:
    """The controller names the folder in which whichever worker comes first starts the services."""
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="tandem-tests-"))
        os.environ["TANDEM_TEST_FOLDER"] = str(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controller stops what was started."""
    if hasattr(config, "workerinput"):
        return
    folder = Path(os.environ["TANDEM_TEST_FOLDER"])
    for pidfile in folder.glob("*.pid"):
        pid = int(pidfile.read_text("ascii"))
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    shutil.rmtree(folder, ignore_errors=True)


def _once(name: str, start: "object") -> str:
    """What `start` answers, from the first process that asks; the others wait for its answer."""
    import fcntl

    folder = Path(os.environ["TANDEM_TEST_FOLDER"])
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = folder / f"{name}.address"
        if not answer.exists():
            answer.write_text(start(folder), "utf-8")  # type: ignore[operator]
        return answer.read_text("utf-8")


def _run_kafka(folder: Path) -> str:
    broker = start_kafka(folder / "kafka", free_port(), folder / "kafka.log", tied=False)
    broker.process.returncode = 0  # not ours to wait for any more
    (folder / "kafka.pid").write_text(str(broker.process.pid), "ascii")
    return broker.bootstrap


def _run_postgres(folder: Path) -> str:
    server = start_postgres(folder / "postgres", free_port(), folder / "postgres.log", tied=False)
    server.process.returncode = 0  # not ours to wait for any more
    (folder / "postgres.pid").write_text(str(server.process.pid), "ascii")
    return server.url


@pytest.fixture(scope="session")
def kafka() -> str:
    """Bootstrap address of a real Apache Kafka."""
    return os.environ.get(_KAFKA) or _once("kafka", _run_kafka)


def _run_secured_kafka(folder: Path) -> str:
    broker = start_secured_kafka(folder / "secured")
    broker.process.returncode = 0  # not ours to wait for any more
    (folder / "secured-kafka.pid").write_text(str(broker.process.pid), "ascii")
    return broker.bootstrap


@pytest.fixture(scope="session")
def secured_folder() -> Path:
    """What clients of the secured Kafka need: certificates, the super user's settings, the stock tools."""
    return Path(os.environ["TANDEM_TEST_FOLDER"]) / "secured"


@pytest.fixture(scope="session")
def secured_kafka() -> str:
    """Bootstrap address of a real Apache Kafka with TLS, logins and an authorizer."""
    return _once("secured-kafka", _run_secured_kafka)


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """URL of a real PostgreSQL's maintenance database."""
    return os.environ.get(_DATABASE) or _once("postgres", _run_postgres)


@pytest.fixture
async def database_url(postgres_server: str) -> AsyncIterator[str]:
    """URL of a fresh, migrated database."""
    name = f"test_{uuid.uuid4().hex}"
    yield await fresh_database(postgres_server, name)
    admin = await asyncpg.connect(postgres_server)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
def topic_prefix() -> str:
    """A prefix under which no other test has topics."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def kafka_settings(kafka: str, topic_prefix: str) -> KafkaSettings:
    """Kafka with this test's own topics."""
    return KafkaSettings(bootstrap=kafka, topic_prefix=topic_prefix, partitions=3)


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder for a test that runs services of its own."""
    folder = Path(tempfile.mkdtemp(prefix="tandem-own-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
