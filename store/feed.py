"""Reading the change feed: without gaps and in the order of commits, as its numbers are.

The counter that numbers the rows is the last lock of every transaction that writes them. So whoever sees number n sees
all numbers below it, and a cursor is one number. NOTIFY is only a hint that there may be changes.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import orjson

from projections.views.feed import FeedChange, FeedJourney
from projections.views.summary import Summary
from schemas.answers.changes import ChangeDetail
from store.session import Connection

CHANNEL = "tandem_changes"  #: of NOTIFY

#: Columns of `journeys` that `summary_of` takes.
SUMMARY = """journeys.journey_id, events, stage, stage_since, due, first_seen, last_seen, channel, campaign, owner,
           account, score, value"""

_HEAD = "SELECT feed_epoch, feed_seq, (SELECT min(seq) FROM changes) AS oldest FROM projection"

_CHANGES = f"""
    SELECT c.seq, c.committed_at, c.journey_id AS id, c.kind, c.cause, c.related, c.stage_from, c.stage_to, c.detail,
           {SUMMARY}, accounts, state
    FROM changes c LEFT JOIN journeys USING (journey_id)
    WHERE c.seq > $1 ORDER BY c.seq LIMIT $2
"""

_JOURNEYS = f"""
    SELECT {SUMMARY}, accounts, state FROM journeys
    WHERE journey_id > $1 ORDER BY journey_id LIMIT $2
"""

#: Looks at the oldest rows alone: there may be millions of young ones.
_PRUNE = """
    DELETE FROM changes WHERE seq < (SELECT min(seq) FROM changes) + $2 AND committed_at < $1
"""

_detail = msgspec.json.Decoder(ChangeDetail)


class Head(NamedTuple):
    """The end of the feed."""

    epoch: UUID  #: of the projection; numbers of different epochs do not compare
    seq: int  #: of the last change
    oldest: int  #: of the first change that is kept; seq + 1 where there is none


async def read_head(connection: Connection) -> Head | None:
    """The end of the feed; None before the first worker has run."""
    row = await connection.fetchrow(_HEAD)
    if row is None:
        return None
    return Head(row["feed_epoch"], row["feed_seq"], row["oldest"] or row["feed_seq"] + 1)


async def read_changes(connection: Connection, after: int, limit: int) -> list[FeedChange]:
    """The changes after a number, in order, without gaps from there on: as many as there are, at most `limit`."""
    rows = await connection.fetch(_CHANGES, after, limit)
    return [
        FeedChange(
            row["seq"],
            row["committed_at"],
            row["id"],
            row["kind"],
            row["cause"],
            row["related"],
            row["stage_from"],
            row["stage_to"],
            _journey(row) if row["journey_id"] is not None else None,
            _detail.decode(row["detail"]) if row["detail"] else None,
        )
        for row in rows
    ]


async def read_journeys(connection: Connection, after: UUID, limit: int) -> list[FeedJourney]:
    """Journeys in the order of their ids, the first after `after`."""
    return [_journey(row) for row in await connection.fetch(_JOURNEYS, after, limit)]


async def prune_changes(connection: asyncpg.Connection, before: datetime, limit: int) -> int:
    """Prune changes that were committed before a time, the oldest first. Returns how many."""
    return int(str(await connection.execute(_PRUNE, before, limit)).rsplit(" ", 1)[1])


async def hint(connection: asyncpg.Connection) -> None:
    """Wake up listeners. Not within the transaction of a batch: NOTIFY takes one lock for the whole server."""
    await connection.execute(f"NOTIFY {CHANNEL}")


def _journey(row: asyncpg.Record) -> FeedJourney:
    return FeedJourney(summary_of(row), row["accounts"], row["state"])


def summary_of(row: asyncpg.Record) -> Summary:
    """The columns of SUMMARY as a value."""
    return Summary(
        journey_id=row["journey_id"],
        version=row["events"],
        stage=row["stage"],
        stage_since=row["stage_since"],
        due=orjson.loads(row["due"]) if row["due"] else [],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        channel=row["channel"],
        campaign=row["campaign"],
        owner=row["owner"],
        account=row["account"],
        score=row["score"],
        value=orjson.loads(row["value"]),
    )
