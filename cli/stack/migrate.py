"""What must be there before projector and API start: topics and tables."""

from deploy.embedded.memory import CLUSTER_PREFIX
from store.migrate import migrate
from store.partitions import begin_log_epoch
from store.publications import has_publisher
from store.session import open_connection
from store.status import has_worker
from streams.kafka import KafkaSettings, describe, ensure_feed_topics, ensure_topics


async def prepare(kafka: KafkaSettings, database_url: str) -> int | None:
    """Make the topics and tables that are missing. Returns the log epoch that begins, if one does.

    Raises KafkaUnreachable, TopicUnfit, MigrationChanged or DatabaseUnreachable.
    """
    await ensure_topics(kafka)
    if kafka.idempotent:
        await ensure_feed_topics(kafka)
    cluster_id, _ = await describe(kafka)
    connection = await open_connection(database_url)
    try:
        await migrate(connection)
        return await begin_log_epoch(connection, cluster_id, CLUSTER_PREFIX)
    finally:
        await connection.close()


async def works(database_url: str) -> bool:
    """Whether a worker projects into the database. Raises DatabaseUnreachable."""
    connection = await open_connection(database_url)
    try:
        return await has_worker(connection)
    finally:
        await connection.close()


async def publishes(database_url: str, name: str) -> bool:
    """Whether somebody publishes the database's feed under this name. Raises DatabaseUnreachable."""
    connection = await open_connection(database_url)
    try:
        return await has_publisher(connection, name)
    finally:
        await connection.close()
