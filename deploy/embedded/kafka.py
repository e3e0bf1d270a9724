"""Apache Kafka in KRaft mode, one node, on the Java and the jars of this package."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.jars import class_path
from deploy.embedded.java import java_program
from deploy.embedded.process import StartFailed, free_port, is_listening, last_line, spawn, stop, wait_until


@dataclass(frozen=True, slots=True)
class Kafka:
    """A running broker."""

    process: "subprocess.Popen[bytes]"
    bootstrap: str  #: host:port
    durable: bool = True  #: whether its log outlives it


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
    program, jars = java_program(), class_path()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = folder / "server.properties"
    settings.write_text(_properties(folder / "log", port, overrides or {}), "utf-8")
    if not (folder / "log" / "meta.properties").exists():
        _format([program, "-cp", jars], settings, log, format_options)
    java = [program, "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-cp", jars]
    process = spawn([*java, "kafka.Kafka", str(settings)], log, tied=tied)
    wait_until(lambda: is_listening(port), process, log, "Kafka")
    return Kafka(process, f"127.0.0.1:{port}")


def stop_kafka(broker: Kafka) -> None:
    """Stop the broker cleanly."""
    stop(broker.process)


def _format(java: Sequence[str], settings: Path, log: Path, options: Sequence[str]) -> None:
    tool = [*java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool"]
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
