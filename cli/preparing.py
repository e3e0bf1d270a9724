"""What must be there before projector and API start: topics and tables."""

import asyncpg

from cli.errors import UserError
from deploy.embedded.memory import CLUSTER_PREFIX
from store.migrate import migrate
from store.partitions import begin_log_epoch
from streams.kafka import KafkaSettings, describe, ensure_topics


async def prepare(kafka: KafkaSettings, database_url: str) -> int | None:
    """Make the topics and tables that are missing. Returns the log epoch that begins, if one does.

    Raises KafkaUnreachable, TopicUnfit, MigrationChanged, or UserError where the database does not let us in.
    """
    await ensure_topics(kafka)
    cluster_id, _ = await describe(kafka)
    try:
        connection = await asyncpg.connect(database_url, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError, ValueError) as error:
        raise UserError(f"the database does not let us in: {error}; check TANDEM_DATABASE_URL") from error
    try:
        await migrate(connection)
        return await begin_log_epoch(connection, cluster_id, CLUSTER_PREFIX)
    finally:
        await connection.close()
