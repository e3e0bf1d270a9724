"""Reading the change feed: gap-free and in the order of commits, because its numbers are.

The counter that numbers the rows is the last lock of every transaction that writes them. So whoever sees number n sees
all numbers below it, and a cursor is one number. NOTIFY is only a hint that there may be news.
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
from store.session import Reader

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

#: Looks at no more than the oldest rows: there may be millions that are young.
_PRUNE = """
    DELETE FROM changes WHERE seq < (SELECT min(seq) FROM changes) + $2 AND committed_at < $1
"""

_detail = msgspec.json.Decoder(ChangeDetail)


class Head(NamedTuple):
    """How far the feed goes."""

    epoch: UUID  #: of the projection; numbers of different epochs do not compare
    seq: int  #: of the last change
    oldest: int  #: of the first change that is still kept; seq + 1 where none is


async def read_head(connection: Reader) -> Head | None:
    """How far the feed goes; None before the first worker has run."""
    row = await connection.fetchrow(_HEAD)
    if row is None:
        return None
    return Head(row["feed_epoch"], row["feed_seq"], row["oldest"] or row["feed_seq"] + 1)


async def read_changes(connection: Reader, after: int, limit: int) -> list[FeedChange]:
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


async def read_journeys(connection: Reader, after: UUID, limit: int) -> list[FeedJourney]:
    """Journeys in the order of their ids, from behind `after`."""
    return [_journey(row) for row in await connection.fetch(_JOURNEYS, after, limit)]


async def prune_changes(connection: asyncpg.Connection, before: datetime, limit: int) -> int:
    """Forget changes that were committed before a time, the oldest first. Returns how many."""
    return int(str(await connection.execute(_PRUNE, before, limit)).rsplit(" ", 1)[1])


async def hint(connection: asyncpg.Connection) -> None:
    """Wake up whoever listens. Not within the transaction of a batch: NOTIFY takes one lock for the whole server."""
    await connection.execute(f"NOTIFY {CHANNEL}")


def _journey(row: asyncpg.Record) -> FeedJourney:
    return FeedJourney(summary_of(row), row["accounts"], row["state"])


def summary_of(row: asyncpg.Record) -> Summary:
    """The columns of SUMMARY as a value."""
    return Summary(
        row["journey_id"],
        row["events"],
        row["stage"],
        row["stage_since"],
        orjson.loads(row["due"]) if row["due"] else [],
        row["first_seen"],
        row["last_seen"],
        row["channel"],
        row["campaign"],
        row["owner"],
        row["account"],
        row["score"],
        orjson.loads(row["value"]),
    )
