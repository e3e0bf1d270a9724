"""How hand-offs went: counts by kind and tier, as of a time."""

from schemas.answers.handoffs import HandoffReportLine
from store.session import Reader

_REPORT = """
    WITH offered AS (
        SELECT *, coalesce(open_until, since) AS ended,
               open_until IS NOT NULL AND open_until > $1 AS open
        FROM handoffs WHERE offered_at <= $1 AND state <> 6
    )
    SELECT kind, team, tier, count(*) AS offered,
           count(*) FILTER (WHERE open) AS open,
           count(*) FILTER (WHERE state = 1 OR (state = 5 AND owner IS NOT NULL)) AS accepted,
           count(*) FILTER (WHERE state = 2) AS rejected,
           count(*) FILTER (WHERE state = 5) AS resolved,
           count(*) FILTER (WHERE state = 4 AND NOT open) AS expired,
           count(*) FILTER (WHERE touched_at <= touch_due) AS touch_met,
           count(*) FILTER (WHERE touch_due <= $1 AND least(touched_at, ended) > touch_due) AS touch_missed,
           count(*) FILTER (WHERE state = 5 AND since <= resolution_due) AS resolution_met,
           count(*) FILTER (WHERE resolution_due <= $1 AND ended > resolution_due) AS resolution_missed
    FROM offered GROUP BY kind, team, tier ORDER BY kind, tier
"""


async def handoff_report(connection: Reader, at: int) -> list[HandoffReportLine]:
    """One line for each kind and tier, superseded ones left out. `at`: microseconds since 1970 UTC."""
    return [HandoffReportLine(**row) for row in await connection.fetch(_REPORT, at)]
