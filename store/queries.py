"""Reads for the API: one statement a question, each served by an index or one scan of narrow columns."""

import uuid
from collections import Counter
from collections.abc import Collection
from typing import Any, Literal, NamedTuple

import asyncpg
import orjson
from msgspec import UNSET

from projections.journey.journey import Journey, decode_journey
from projections.playbook.model import Rules
from projections.text import time_text
from projections.views.summary import summary_view
from schemas.answers.accounts import Account
from schemas.answers.funnel import FunnelGroup, FunnelStage
from schemas.answers.journeys import JourneySummary
from store.feed import SUMMARY, summary_of
from store.session import Reader

#: An identifier that was released means its newest owner.
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
_STAGE_NOW = """
    coalesce((SELECT (entry ->> 1)::smallint FROM jsonb_array_elements(due) WITH ORDINALITY AS d (entry, n)
              WHERE (entry ->> 0)::bigint <= $1 ORDER BY n DESC LIMIT 1), stage)
"""

_LIST = f"""
    SELECT {SUMMARY}
    FROM journeys
    WHERE ($2::uuid IS NULL OR journey_id > $2)
      AND ($3::smallint IS NULL OR {_STAGE_NOW} = $3)
      AND ($4::text IS NULL OR account = $4)
      AND ($5::text IS NULL OR channel = $5)
      AND ($6::text IS NULL OR owner = $6)
      AND ($7::timestamptz IS NULL OR journey_id IN (
              SELECT c.journey_id FROM changes c WHERE c.committed_at >= $7))
    ORDER BY journey_id LIMIT $8
"""

_FUNNEL = """
    WITH line AS (
        SELECT {by} AS name, value,
               ARRAY(SELECT reached[stage + 1] FROM unnest($1::int[]) WITH ORDINALITY AS s (stage, n) ORDER BY n) AS at
        FROM journeys
    ), spread AS (
        SELECT name, n, at[n] AS own,
               (SELECT e FROM unnest(at[:n - 1]) WITH ORDINALITY AS p (e, i)
                WHERE e IS NOT NULL ORDER BY i DESC LIMIT 1) AS before,
               EXISTS (SELECT FROM unnest(at[n:]) AS later WHERE later IS NOT NULL) AS reached
        FROM line, generate_series(1, cardinality($1::int[])) AS n
    )
    SELECT name, n, count(*) FILTER (WHERE reached) AS reached,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY (own - before)) FILTER (WHERE own >= before) AS median
    FROM spread GROUP BY name, n ORDER BY name NULLS LAST, n
"""

_GROUPS = """
    SELECT name, sum(journeys)::bigint AS journeys, jsonb_object_agg(currency, total) FILTER (WHERE total > 0) AS value
    FROM (
        SELECT {by} AS name, currency, sum(minor::numeric) AS total,
               count(*) FILTER (WHERE currency = '') AS journeys
        FROM journeys,
             LATERAL (SELECT '' AS currency, '0' AS minor UNION ALL SELECT * FROM jsonb_each_text(value)) AS amounts
        GROUP BY 1, 2
    ) AS sums GROUP BY name
"""

_STAGES_NOW = f"SELECT {{by}} AS name, {_STAGE_NOW} AS stage, count(*) AS journeys FROM journeys GROUP BY 1, 2"

_ACCOUNT = f"""
    SELECT {_STAGE_NOW} AS stage, account, stays, score, last_seen FROM journeys
    WHERE accounts @> ARRAY[$2::text] AND accounts <> '{{}}'
"""

_DEAD_LETTERS = """
    SELECT p.topic, p.partition, p.log_epoch, d.partition_id, d.record_offset, d.reason, d.field, d.message,
           d.recorded_at, length(d.payload) AS bytes
    FROM dead_letters d JOIN partitions p USING (partition_id)
    WHERE ($1::text IS NULL OR d.reason = $1) AND (d.partition_id, d.record_offset) > ($2, $3)
      AND ($4::text[] IS NULL OR p.owner_room = ANY ($4))
    ORDER BY d.partition_id, d.record_offset LIMIT $5
"""

_DEAD_LETTER = """
    SELECT d.payload FROM dead_letters d JOIN partitions p USING (partition_id)
    WHERE p.topic = $1 AND p.partition = $2 AND d.record_offset = $3
      AND ($4::text[] IS NULL OR p.owner_room = ANY ($4))
    ORDER BY p.log_epoch DESC LIMIT 1
"""

By = Literal["channel", "campaign"]
_BY: dict[By | None, str] = {None: "NULL::text", "channel": "channel", "campaign": "campaign"}


class Filter(NamedTuple):
    """Which journeys a list holds; None does not restrict."""

    stage: int | None = None
    account: str | None = None
    channel: str | None = None
    owner: str | None = None
    changed_since: Any = None  #: an aware datetime


async def find_journeys(connection: Reader, keys: Collection[bytes]) -> dict[bytes, Journey]:
    """The journeys that identifiers' keys, or present or former journey ids, find; without those that find none."""
    rows = await connection.fetch(_JOURNEYS, [uuid.UUID(bytes=key) for key in keys])
    return {row["wanted"].bytes: decode_journey(row["journey_id"].bytes, row["rev"], row["state"]) for row in rows}


async def list_journeys(
    connection: Reader, rules: Rules, at: int, wanted: Filter, after: uuid.UUID | None, limit: int
) -> list[JourneySummary]:
    """Summaries of journeys in the order of their ids, from behind `after`."""
    rows = await connection.fetch(_LIST, at, after, *wanted, limit)
    return [summary_view(summary_of(row), rules, at) for row in rows]


async def funnel(connection: Reader, rules: Rules, at: int, by: By | None) -> list[FunnelGroup]:
    """The funnel of the main line, split by channel or campaign of the first touchpoint, or not at all.

    A journey has reached a stage if it met that stage's criterion or a later one's. Conversion is the share of those
    that reached the stage before. The median is over journeys that met the criterion itself, from the one met before
    it on the line; those that met them in the other order are left out.
    """
    column, line = _BY[by], list(rules.at(at).main_line)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(_FUNNEL.format(by=column), line)
        groups = await connection.fetch(_GROUPS.format(by=column))
        present = await connection.fetch(_STAGES_NOW.format(by=column), at)
    now = {(row["name"], row["stage"]): row["journeys"] for row in present}
    sizes = {row["name"]: row for row in groups}
    found: dict[str | None, list[FunnelStage]] = {name: [] for name in sizes}
    for row in rows:
        stage = line[row["n"] - 1]
        before = found[row["name"]][-1].reached if found[row["name"]] else None
        found[row["name"]].append(
            FunnelStage(
                stage=rules.names[stage],
                reached=row["reached"],
                now=now.get((row["name"], stage), 0),
                conversion=round(row["reached"] / before, 4) if before else None,
                median_seconds=row["median"] / 1_000_000 if row["median"] is not None else None,
            )
        )
    order = sorted(found, key=lambda name: (-sizes[name]["journeys"], name is None, name or ""))
    return [_group(by, name, found[name], sizes[name], now, rules, line) for name in order]


def _group(
    by: By | None,
    name: str | None,
    stages: list[FunnelStage],
    size: asyncpg.Record,
    now: dict[tuple[str | None, int], int],
    rules: Rules,
    line: list[int],
) -> FunnelGroup:
    beside = [stage for stage in range(len(rules.names)) if stage not in line]
    return FunnelGroup(
        channel=name if by == "channel" else UNSET,
        campaign=name if by == "campaign" else UNSET,
        journeys=size["journeys"],
        stages=stages,
        beside={rules.names[stage]: now.get((name, stage), 0) for stage in beside},
        value=orjson.loads(size["value"]) if size["value"] else {},
    )


async def account_rollup(connection: Reader, rules: Rules, at: int, account: str) -> Account | None:
    """What an account's journeys add up to; None for an account that there never was.

    Stages and score are of those who belong to it now; the value is what was booked while people belonged to it.
    """
    rows = await connection.fetch(_ACCOUNT, at, account)
    if not rows:
        return None
    members = [row for row in rows if row["account"] == account]
    stages = Counter(rules.names[row["stage"]] for row in members)
    value: Counter[str] = Counter()
    for row in rows:
        for stay in orjson.loads(row["stays"]):
            if stay[0] == account:
                value.update(stay[4])
    return Account(
        account=account,
        journeys=len(members),
        former=len(rows) - len(members),
        stages={name: stages[name] for name in rules.names if name in stages},
        score=sum(row["score"] for row in members),
        value=dict(sorted(value.items())),
        last_seen=time_text(max(row["last_seen"] for row in rows)),
    )


async def list_dead_letters(
    connection: Reader, reason: str | None, owners: list[str] | None, after: tuple[int, int], limit: int
) -> list[asyncpg.Record]:
    """Dead letters of some owners' topics, or of all, in the order of (partition id, offset), from behind `after`."""
    return list(await connection.fetch(_DEAD_LETTERS, reason, *after, owners, limit))


async def dead_letter_bytes(
    connection: Reader, topic: str, partition: int, offset: int, owners: list[str] | None
) -> tuple[bool, bytes | None]:
    """(whether there is such a dead letter in some owners' topics, or in any; its original bytes)."""
    row = await connection.fetchrow(_DEAD_LETTER, topic, partition, offset, owners)
    return (row is not None, row["payload"] if row is not None else None)
