"""Reading dead letters: listed by their place in the log, and one's original bytes."""

import asyncpg

from store.session import Connection

_DEAD_LETTERS = """
    SELECT p.topic, p.partition, p.log_epoch, d.partition_id, d.record_offset, d.reason, d.field, d.message,
           d.recorded_at, length(d.payload) AS bytes
    FROM dead_letters d JOIN partitions p USING (partition_id)
    WHERE ($1::text IS NULL OR d.reason = $1) AND (d.partition_id, d.record_offset) > ($2, $3)
      AND ($4::text[] IS NULL OR p.department = ANY ($4))
    ORDER BY d.partition_id, d.record_offset LIMIT $5
"""

_DEAD_LETTER = """
    SELECT d.payload FROM dead_letters d JOIN partitions p USING (partition_id)
    WHERE p.topic = $1 AND p.partition = $2 AND d.record_offset = $3
      AND ($4::text[] IS NULL OR p.department = ANY ($4))
    ORDER BY p.log_epoch DESC LIMIT 1
"""


async def list_dead_letters(
    connection: Connection, reason: str | None, departments: list[str] | None, after: tuple[int, int], limit: int
) -> list[asyncpg.Record]:
    """Dead letters of some departments' topics, or of all, by (partition id, offset), the first after `after`."""
    return list(await connection.fetch(_DEAD_LETTERS, reason, *after, departments, limit))


async def dead_letter_bytes(
    connection: Connection, topic: str, partition: int, offset: int, departments: list[str] | None
) -> tuple[bool, bytes | None]:
    """(whether there is such a dead letter in some departments' topics, or in any; its original bytes)."""
    row = await connection.fetchrow(_DEAD_LETTER, topic, partition, offset, departments)
    return (row is not None, row["payload"] if row is not None else None)
