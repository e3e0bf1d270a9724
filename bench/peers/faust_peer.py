"""The task in idiomatic Faust: one agent, and one transaction of asyncpg an event.

The transaction upserts the row of the event's journey and appends the change; Faust commits the offsets afterwards, so
an event is applied at least once.

It does no identity resolution (what a device did before its login stays with the device), no dedupe (an event that
comes twice counts twice, as does one that is processed again after a crash), and it keeps no archive.

Run by `faust -A bench.peers.faust_peer worker`, with its settings in the environment.
"""

import os
from datetime import datetime
from typing import Any

import asyncpg
import faust

from bench.peers.task import POINTS, journey_of

_UPSERT = """
    INSERT INTO journeys AS kept (journey, events, first_seen, last_seen, last_type, channels, score)
    VALUES ($1, 1, $2, $2, $3, jsonb_build_object($4::text, 1), $5)
    ON CONFLICT (journey) DO UPDATE SET
        events = kept.events + 1,
        first_seen = least(kept.first_seen, excluded.first_seen),
        last_seen = greatest(kept.last_seen, excluded.last_seen),
        last_type = CASE WHEN excluded.last_seen >= kept.last_seen THEN excluded.last_type ELSE kept.last_type END,
        channels = kept.channels
            || jsonb_build_object($4::text, coalesce((kept.channels ->> $4::text)::bigint, 0) + 1),
        score = kept.score + excluded.score
"""
_CHANGE = "INSERT INTO changes (journey, event, type, at) VALUES ($1, $2, $3, $4)"


async def apply(connection: Any, event: dict[str, Any]) -> None:
    """One event into the tables, in one transaction."""
    journey, type_, at = journey_of(event), event["type"], datetime.fromisoformat(event["occurred_at"])
    channel = event["data"].get("channel", "none")
    async with connection.transaction():
        await connection.execute(_UPSERT, journey, at, type_, channel, POINTS.get(type_, 0))
        await connection.execute(_CHANGE, journey, event["id"], type_, at)


app = faust.App(
    os.environ["PEER_APPLICATION"],
    broker=f"kafka://{os.environ['PEER_KAFKA']}",
    datadir=os.environ["PEER_STATE_FOLDER"],
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
    web_enabled=False,
)
marketing = app.topic(os.environ["PEER_INPUT"], key_type=bytes, key_serializer="raw", value_serializer="json")


@app.agent(marketing)
async def project(events: Any) -> None:
    """All events, in the order of each partition."""
    connection = await asyncpg.connect(os.environ["PEER_DATABASE_URL"])
    async for event in events:
        await apply(connection, event)
