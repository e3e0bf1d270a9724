"""Reading journeys: found by identifiers, and listed; each list is served by an index."""

import uuid
from collections.abc import Collection
from typing import Any, NamedTuple

from projections.journey.journey import Journey, decode_journey
from projections.playbook.rules import Rules
from projections.views.summary import summary_view
from schemas.answers.journeys import JourneySummary
from store.feed import SUMMARY, summary_of
from store.session import Connection

#: A released identifier means whom it was given to last.
_JOURNEYS = """
    SELECT wanted.key AS wanted, found.* FROM unnest($1::uuid[]) AS wanted (key) CROSS JOIN LATERAL (
        SELECT j.journey_id, j.rev, j.state
        FROM (SELECT wanted.key, 0 AS released_at
              UNION ALL SELECT later_key, released_at FROM releases WHERE releases.key = wanted.key) AS named
        JOIN identifiers i ON i.key = named.key JOIN journeys j USING (journey_id)
        ORDER BY named.released_at DESC LIMIT 1
    ) AS found
"""

#: The stage at time $1: the last one that silence has led to by then, else the folded one.
STAGE_NOW = """
    coalesce((SELECT (entry ->> 1)::smallint FROM jsonb_array_elements(due) WITH ORDINALITY AS d (entry, n)
              WHERE (entry ->> 0)::bigint <= $1 ORDER BY n DESC LIMIT 1), stage)
"""

_LIST = f"""
    SELECT {SUMMARY}
    FROM journeys
    WHERE ($2::uuid IS NULL OR journey_id > $2)
      AND ($3::smallint IS NULL OR {STAGE_NOW} = $3)
      AND ($4::text IS NULL OR account = $4)
      AND ($5::text IS NULL OR channel = $5)
      AND ($6::text IS NULL OR owner = $6)
      AND ($7::timestamptz IS NULL OR journey_id IN (
              SELECT c.journey_id FROM changes c WHERE c.committed_at >= $7))
    ORDER BY journey_id LIMIT $8
"""


class Filter(NamedTuple):
    """Which journeys a list holds; None does not restrict."""

    stage: int | None = None
    account: str | None = None
    channel: str | None = None
    owner: str | None = None
    changed_since: Any = None  #: an aware datetime


async def find_journeys(connection: Connection, keys: Collection[bytes]) -> dict[bytes, Journey]:
    """The journeys that identifiers' keys, or present or former journey ids, find; without those that find none."""
    rows = await connection.fetch(_JOURNEYS, [uuid.UUID(bytes=key) for key in keys])
    return {row["wanted"].bytes: decode_journey(row["journey_id"].bytes, row["rev"], row["state"]) for row in rows}


async def list_journeys(
    connection: Connection, rules: Rules, at: int, wanted: Filter, after: uuid.UUID | None, limit: int
) -> list[JourneySummary]:
    """Summaries of journeys in the order of their ids, the first after `after`."""
    rows = await connection.fetch(_LIST, at, after, *wanted, limit)
    return [summary_view(summary_of(row), rules, at) for row in rows]
