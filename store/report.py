"""Reads for the audit report: by day and by person, over a span of time."""

from datetime import datetime
from typing import Any, NamedTuple

from store.session import Connection

_DAYS = """
    SELECT (committed_at AT TIME ZONE 'UTC')::date::text AS day, sum(applied)::bigint AS applied,
           sum(duplicates)::bigint AS duplicates, sum(dead)::bigint AS dead, count(DISTINCT batch_id) AS batches
    FROM batches WHERE committed_at >= $1 AND committed_at < $2 GROUP BY 1 ORDER BY 1
"""
_REASONS = """
    SELECT d.reason, count(*) FROM dead_letters d
    WHERE d.batch_id IN (SELECT batch_id FROM batches WHERE committed_at >= $1 AND committed_at < $2)
    GROUP BY 1 ORDER BY 2 DESC, 1
"""
_ERASURES = """
    SELECT e.id::text, b.committed_at, e.reason, e.said_by,
           (SELECT count(*) FROM erased_records r WHERE r.batch_id = e.batch_id) AS records
    FROM erasures e JOIN (SELECT batch_id, min(committed_at) AS committed_at FROM batches GROUP BY 1) b USING (batch_id)
    WHERE b.committed_at >= $1 AND b.committed_at < $2 ORDER BY 2, 1
"""
_READS = """
    SELECT reader, role, endpoint, count(*) AS reads, sum(cardinality(journeys))::bigint AS journeys
    FROM reads WHERE read_at >= $1 AND read_at < $2 GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
"""
_READ_DAYS = """
    SELECT (read_at AT TIME ZONE 'UTC')::date::text AS day, count(*) AS reads
    FROM reads WHERE read_at >= $1 AND read_at < $2 GROUP BY 1 ORDER BY 1
"""


class Span(NamedTuple):
    """A span of time; its end is exclusive."""

    start: datetime
    end: datetime


async def days(connection: Connection, span: Span) -> list[dict[str, Any]]:
    """What was applied, by day of UTC."""
    return [dict(row) for row in await connection.fetch(_DAYS, *span)]


async def dead_by_reason(connection: Connection, span: Span) -> list[dict[str, Any]]:
    """Dead letters by reason."""
    return [{"reason": row[0], "records": row[1]} for row in await connection.fetch(_REASONS, *span)]


async def erasures(connection: Connection, span: Span) -> list[dict[str, Any]]:
    """Erasures: when, why and by whom. Nobody can tell of whom."""
    return [
        {
            "erasure": row[0],
            "committed_at": row[1].isoformat(),
            "reason": row[2],
            "by": row[3],
            "records": row[4],
        }
        for row in await connection.fetch(_ERASURES, *span)
    ]


async def readers(connection: Connection, span: Span) -> list[dict[str, Any]]:
    """Who read personal data through the API, and how often."""
    return [dict(row) for row in await connection.fetch(_READS, *span)]


async def read_days(connection: Connection, span: Span) -> list[dict[str, Any]]:
    """Reads of personal data by day of UTC."""
    return [dict(row) for row in await connection.fetch(_READ_DAYS, *span)]
