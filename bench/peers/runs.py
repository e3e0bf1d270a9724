"""One run of each system: fresh topics and tables, the workload, the clock, the check of the result."""

import sys
from dataclasses import dataclass

import asyncpg

from bench.peers import kafka_streams
from bench.peers.expected import Kept, WrongResult, verify
from bench.peers.testbed import input_of, make_peer_testbed, name_of
from bench.peers.watch import Pace, PeerEnded, pace, until_begun
from bench.scenarios import fill, until_held
from bench.services import Servers, Testbed, make_testbed
from bench.workload import Record
from deploy.embedded.process import spawn, stop


@dataclass(frozen=True, slots=True)
class Options:
    """How Kafka Streams is run."""

    repartition: bool
    commit_ms: int


#: Events whose effects are in place, as each system's own tables tell.
_TANDEM_APPLIED = "SELECT coalesce(sum(next_offset), 0)::bigint FROM partitions"
_TANDEM_FOLDED = "SELECT coalesce(sum(applied), 0)::bigint FROM partitions"
_PEER_APPLIED = "SELECT coalesce(sum(events), 0)::bigint FROM journeys"


async def run_tandem(on: Servers, records: list[Record]) -> Pace:
    """From the moment the worker holds its partitions. Raises WrongResult or PeerEnded."""
    testbed = await make_testbed(on)
    await fill(testbed, records)
    connection = await asyncpg.connect(testbed.database_url)
    with testbed.running("work") as process:
        await until_held(connection, process)
        log = testbed.folder / f"work-{name_of(testbed)}.log"
        found = await pace(connection, _TANDEM_APPLIED, len(records), process, log)
    folded = await connection.fetchval(_TANDEM_FOLDED)
    await connection.close()
    if folded != len(records):
        raise WrongResult(f"Tandem applied {folded:,} of {len(records):,} events")
    return found


async def run_kafka_streams(on: Servers, records: list[Record], wanted: dict[str, Kept], options: Options) -> Pace:
    """Raises WrongResult or PeerEnded."""
    testbed, connection = await _prepare(on, records)
    log = kafka_streams.log_of(testbed)
    with kafka_streams.running(testbed, repartition=options.repartition, commit_ms=options.commit_ms) as process:
        await until_begun(connection, process, log, lambda: "RUNNING" in log.read_text("utf-8"))
        found = await pace(connection, _PEER_APPLIED, len(records), process, log)
    await connection.close()
    if process.returncode:
        raise PeerEnded(f"Kafka Streams did not end in order: exit code {process.returncode}")
    await verify(testbed.database_url, wanted)
    return found


async def run_faust(on: Servers, records: list[Record], wanted: dict[str, Kept]) -> Pace:
    """Raises WrongResult or PeerEnded."""
    testbed, connection = await _prepare(on, records)
    log = testbed.folder / f"faust-{name_of(testbed)}.log"
    environment = {
        "PEER_KAFKA": testbed.kafka.bootstrap,
        "PEER_APPLICATION": name_of(testbed),
        "PEER_INPUT": input_of(testbed),
        "PEER_STATE_FOLDER": str(testbed.folder / f"state-{name_of(testbed)}"),
        "PEER_DATABASE_URL": testbed.database_url,
    }
    command = [sys.executable, "-m", "faust", "-A", "bench.peers.faust_peer", "worker", "-l", "warn"]
    process = spawn(command, log, environment)
    try:
        await until_begun(connection, process, log, lambda: True)
        found = await pace(connection, _PEER_APPLIED, len(records), process, log)
    finally:
        stop(process)
    await connection.close()
    await verify(testbed.database_url, wanted)
    return found


async def _prepare(on: Servers, records: list[Record]) -> tuple[Testbed, asyncpg.Connection]:
    testbed = await make_peer_testbed(on)
    await fill(testbed, records)
    return testbed, await asyncpg.connect(testbed.database_url)
