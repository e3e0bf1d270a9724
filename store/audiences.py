"""Audiences: their sizes and members."""

from uuid import UUID

from projections.views.feed import FeedJourney
from store.feed import SUMMARY, summary_of
from store.session import Connection

#: The audiences at time $1: those of the last move that time has made by then, else those of the fold.
_NOW = """
    coalesce((SELECT entry -> 2 FROM jsonb_array_elements(due) WITH ORDINALITY AS d (entry, n)
              WHERE (entry ->> 0)::bigint <= $1 ORDER BY n DESC LIMIT 1), to_jsonb(audiences))
"""
_SIZES = f"SELECT name, count(*) FROM journeys, jsonb_array_elements_text({_NOW}) AS name GROUP BY name"
_MEMBERS = f"""
    SELECT {SUMMARY}, accounts, state FROM journeys
    WHERE journey_id > $2 AND (audiences @> ARRAY[$3::text] OR due IS NOT NULL) AND {_NOW} ? $3
    ORDER BY journey_id LIMIT $4
"""


async def audience_sizes(connection: Connection, at: int) -> dict[str, int]:
    """Members by audience at a time, microseconds since 1970 UTC."""
    return {row[0]: row[1] for row in await connection.fetch(_SIZES, at)}


async def audience_members(connection: Connection, at: int, name: str, after: UUID, limit: int) -> list[FeedJourney]:
    """Journeys that are in an audience at a time, in the order of their ids, the first after `after`."""
    rows = await connection.fetch(_MEMBERS, at, after, name, limit)
    return [FeedJourney(summary_of(row), row["accounts"], row["state"]) for row in rows]
