"""The Java peer: built by Maven, started as a process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from urllib.parse import urlsplit

from bench.peers.testbed import input_of, name_of, output_of
from bench.services import Testbed
from deploy.embedded.process import spawn, stop

_PROJECT = Path(__file__).with_name("kafka-streams")
_JAR = _PROJECT / "target" / "peer.jar"


def build() -> None:
    """Build the jar where a source is newer than it. Ends the program where that fails."""
    sources = [_PROJECT / "pom.xml", *(path for path in (_PROJECT / "src").rglob("*") if path.is_file())]
    if _JAR.exists() and _JAR.stat().st_mtime >= max(path.stat().st_mtime for path in sources):
        return
    if shutil.which("javac") is None or shutil.which("mvn") is None:
        sys.exit("the Kafka Streams peer is built from source: install a JDK (17 or newer) and Maven")
    done = subprocess.run(
        ["mvn", "-B", "-q", "-f", str(_PROJECT / "pom.xml"), "package"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["no reason given"]
        sys.exit(f"Maven could not build the Kafka Streams peer: {errors[0][:300]}")


@contextmanager
def running(testbed: Testbed, *, repartition: bool, commit_ms: int) -> Iterator["Popen[bytes]"]:
    """The application on this testbed, stopped in order afterwards."""
    database = urlsplit(testbed.database_url)
    environment = {
        "PEER_KAFKA": testbed.kafka.bootstrap,
        "PEER_APPLICATION": name_of(testbed),
        "PEER_INPUT": input_of(testbed),
        "PEER_OUTPUT": output_of(testbed),
        "PEER_STATE_FOLDER": str(testbed.folder / f"state-{name_of(testbed)}"),
        "PEER_REPARTITION": str(repartition).lower(),
        "PEER_COMMIT_MS": str(commit_ms),
        "PEER_JDBC_URL": f"jdbc:postgresql://{database.hostname}:{database.port}{database.path}",
        "PEER_JDBC_USER": database.username or "",
        "PEER_JDBC_PASSWORD": database.password or "",
    }
    classpath = os.pathsep.join([str(_JAR), str(_JAR.parent / "lib" / "*")])
    process = spawn(["java", "-Xmx1g", "-cp", classpath, "tandem.peer.App"], log_of(testbed), environment)
    try:
        yield process
    finally:
        stop(process)
        shutil.rmtree(environment["PEER_STATE_FOLDER"], ignore_errors=True)


def log_of(testbed: Testbed) -> Path:
    """Where the application says what it has to say."""
    return testbed.folder / f"kafka-streams-{name_of(testbed)}.log"
