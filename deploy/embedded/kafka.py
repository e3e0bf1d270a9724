"""Apache Kafka in KRaft mode, one node, from the jars that Maven resolves."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.process import StartFailed, free_port, is_listening, last_line, spawn, stop, wait_until
from schemas.errors import TandemError

_POM = Path(__file__).with_name("pom.xml")
_JAVA = 17


class KafkaUnavailable(TandemError):
    """Apache Kafka needs a program that is missing here: install what the message names."""


@dataclass(frozen=True, slots=True)
class Kafka:
    """A running broker."""

    process: "subprocess.Popen[bytes]"
    bootstrap: str  #: host:port
    durable: bool = True  #: whether its log outlives it


def check_kafka_needs() -> None:
    """Raises KafkaUnavailable, saying what to install, where Java 17 or Maven is missing."""
    for program, name in (("java", f"Java {_JAVA}"), ("mvn", "Maven")):
        if shutil.which(program) is None:
            raise KafkaUnavailable(f"{name} is not installed (no `{program}` on the PATH): install a JRE and Maven")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _JAVA:
        raise KafkaUnavailable(f"Apache Kafka needs Java {_JAVA} or newer; `java -version` says: {said.strip()[:80]}")


def resolve_jars(cache: Path) -> str:
    """The class path of Kafka's jars; Maven fetches them once into its own repository. Raises KafkaUnavailable."""
    check_kafka_needs()
    listed = cache.resolve() / "kafka.classpath"  # Maven reads a relative path from the pom's folder
    if listed.exists() and listed.stat().st_mtime >= _POM.stat().st_mtime:
        path = listed.read_text("utf-8")
        if all(Path(jar).exists() for jar in path.split(os.pathsep)):
            return path
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)  # the broker's log will be here, too
    command = ["mvn", "-B", "-q", "-f", str(_POM), "dependency:build-classpath", f"-Dmdep.outputFile={listed}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line] or ["no reason given"]
        raise KafkaUnavailable(f"Maven could not resolve Kafka's jars: {lines[0][:300]}")
    return listed.read_text("utf-8")


def start_kafka(
    folder: Path,
    port: int,
    log: Path,
    *,
    tied: bool = True,
    overrides: Mapping[str, object] | None = None,
    format_options: Sequence[str] = (),
) -> Kafka:
    """Start the broker on the log in `folder`, made if it is missing. Raises KafkaUnavailable or StartFailed.

    `overrides` are broker settings in place of the embedded stack's own; `format_options` are for the storage tool,
    which makes the first SCRAM user.
    """
    classpath = resolve_jars(folder)
    settings = folder / "server.properties"
    settings.write_text(_properties(folder / "log", port, overrides or {}), "utf-8")
    if not (folder / "log" / "meta.properties").exists():
        _format(classpath, settings, log, format_options)
    java = ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-cp", classpath]
    process = spawn([*java, "kafka.Kafka", str(settings)], log, tied=tied)
    wait_until(lambda: is_listening(port), process, log, "Kafka")
    return Kafka(process, f"127.0.0.1:{port}")


def stop_kafka(broker: Kafka) -> None:
    """Stop the broker cleanly."""
    stop(broker.process)


def _format(classpath: str, settings: Path, log: Path, options: Sequence[str]) -> None:
    tool = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classpath, "kafka.tools.StorageTool"]
    identity = subprocess.run([*tool, "random-uuid"], capture_output=True, text=True, check=False).stdout.split()
    command = [*tool, "format", "--cluster-id", identity[-1] if identity else "", "--config", str(settings)]
    command += options
    with log.open("ab") as output:
        code = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
    if code:
        raise StartFailed(f"Kafka's log folder could not be formatted: {last_line(log)}")


def _properties(log_dir: Path, port: int, overrides: Mapping[str, object]) -> str:
    controller_port = free_port()
    lines: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": log_dir,
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "log.message.timestamp.type": "LogAppendTime",
        "message.max.bytes": 16_777_216,
        "replica.fetch.max.bytes": 16_777_216,
        **overrides,
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())
