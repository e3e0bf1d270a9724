"""The funnel: how many journeys reached each stage, by one scan of narrow columns."""

from typing import Literal

import asyncpg
import orjson
from msgspec import UNSET

from projections.playbook.rules import Rules
from schemas.answers.funnel import FunnelGroup, FunnelStage
from store.journeys import STAGE_NOW
from store.session import Connection

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

_STAGES_NOW = f"SELECT {{by}} AS name, {STAGE_NOW} AS stage, count(*) AS journeys FROM journeys GROUP BY 1, 2"

By = Literal["channel", "campaign"]
_BY: dict[By | None, str] = {None: "NULL::text", "channel": "channel", "campaign": "campaign"}


async def funnel(connection: Connection, rules: Rules, at: int, by: By | None) -> list[FunnelGroup]:
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
    stages: dict[str | None, list[FunnelStage]] = {name: [] for name in sizes}
    for row in rows:
        stage = line[row["n"] - 1]
        before = stages[row["name"]][-1].reached if stages[row["name"]] else None
        stages[row["name"]].append(
            FunnelStage(
                stage=rules.names[stage],
                reached=row["reached"],
                now=now.get((row["name"], stage), 0),
                conversion=round(row["reached"] / before, 4) if before else None,
                median_seconds=row["median"] / 1_000_000 if row["median"] is not None else None,
            )
        )
    order = sorted(stages, key=lambda name: (-sizes[name]["journeys"], name is None, name or ""))
    return [_group(by, name, stages[name], sizes[name], now, rules, line) for name in order]


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
