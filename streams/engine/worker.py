"""The worker: one projector, wired to Kafka and PostgreSQL."""

import asyncio
from collections.abc import Mapping
from uuid import uuid4

import structlog
from aiokafka import TopicPartition

from projections.playbook.rules import Rules
from store.partitions import attach, begin_projection
from store.session import open_engine_connection
from streams.engine.projector import Projector
from streams.engine.rate_limit import RateLimit
from streams.kafka import KafkaSettings, describe, ensure_topics

log = structlog.get_logger(__name__)

_MIB = 1024 * 1024


async def run(kafka: KafkaSettings, database_url: str, rules: Rules, stop: asyncio.Event) -> None:
    """Project until `stop` is set. The database must be migrated; missing topics are created.

    Raises named errors (TandemError) that need a person: another cluster, another playbook, a log that was truncated
    or recreated, topics that lose records.
    """
    await ensure_topics(kafka)
    projector = await _projector(kafka, database_url, rules)
    log.info("worker is ready", playbook=rules.digest[:12], log_epoch=projector.log_epoch)
    await projector.run(stop)


def consumer_options(kafka: KafkaSettings) -> dict[str, object]:
    """How the projector reads: never by the group's offsets, never resetting by itself, committed records only."""
    return {
        **kafka.client_options(),
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": 100,
        "fetch_max_bytes": 32 * _MIB,
        "max_partition_fetch_bytes": 512 * 1024,
    }


async def run_until(
    kafka: KafkaSettings,
    database_url: str,
    rules: Rules,
    projection: str,
    ends: Mapping[TopicPartition, int],
    stop: asyncio.Event,
    rate_limit: RateLimit | None,
) -> None:
    """Project into a schema of its own, up to some offsets, until `stop` is set. Raises what `run` raises."""
    projector = await _projector(kafka, database_url, rules, projection=projection, ends=ends, rate_limit=rate_limit)
    await projector.run(stop)


async def _projector(
    kafka: KafkaSettings,
    database_url: str,
    rules: Rules,
    projection: str = "public",
    ends: Mapping[TopicPartition, int] | None = None,
    rate_limit: RateLimit | None = None,
) -> Projector:
    return Projector(
        consumer_options=consumer_options(kafka),
        database_url=database_url,
        rules=rules,
        log_epoch=await _prepare(kafka, database_url, rules.digest, projection),
        worker=uuid4().bytes,
        projection=projection,
        ends=ends,
        rate_limit=rate_limit,
    )


async def _prepare(kafka: KafkaSettings, database_url: str, playbook: str, projection: str) -> int:
    """Record which cluster and partitions are projected. Returns the log epoch."""
    cluster_id, places = await describe(kafka)
    connection = await open_engine_connection(database_url, projection)
    try:
        log_epoch = await begin_projection(connection, cluster_id, playbook)
        await attach(connection, log_epoch, cluster_id, places)
    finally:
        await connection.close()
    return log_epoch
