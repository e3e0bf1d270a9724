"""The queue of hand-offs: a list of 1,000 overdue ones among 1,000,000 journeys."""

import time
from statistics import quantiles

import asyncpg

from bench.services import Servers, make_testbed
from store.handoffs import queue
from streams.engine.gc_tuning import SERVING, look_seldom

_JOURNEYS, _OVERDUE = 1_000_000, 1_000
_NOW = 1_780_000_000_000_000
_WARM_UP, _ROUNDS = 20, 300

_FILL = """
    INSERT INTO journeys (journey_id, component, rev, stage, stage_since, reached, first_seen, last_seen, events, score,
                          value, state)
    SELECT md5(n::text)::uuid, NULL, 1, 2, 0, '{}', 0, 0, 1, 0, '{}', decode(repeat('00', 600), 'hex')
    FROM generate_series(1, $1) AS n;
"""
#: Every tenth journey has a hand-off; most are closed, of the open ones some are overdue.
_HANDOFFS = """
    INSERT INTO handoffs (handoff_id, journey_id, kind, sender, receiver, team, state, since, offered_at, due_at,
                          open_until, alarms, told)
    SELECT md5('h' || n)::uuid, md5(n::text)::uuid, 'qualified-lead', 'marketing', 'sales', 'sales',
           CASE WHEN n % 50 = 0 THEN 0 ELSE 5 END, 0, $2 - 1000000 * n::bigint,
           CASE WHEN n % 1000 = 0 THEN $2 - n::bigint ELSE $2 + 1000000 * n::bigint END,
           CASE WHEN n % 50 = 0 THEN 4611686018427387904 END, '[]', '{}'
    FROM generate_series(1, $1) AS n WHERE n % 10 = 0
"""


async def measure_queue(on: Servers) -> dict[str, float]:
    """Milliseconds of a list of 1,000 overdue hand-offs of a team, in one page and in pages of fifty."""
    connection = await asyncpg.connect((await make_testbed(on)).database_url)
    await connection.execute(_FILL.replace("$1", str(_JOURNEYS)))
    await connection.execute(_HANDOFFS, _JOURNEYS, _NOW)
    await connection.execute("VACUUM ANALYZE journeys, handoffs")
    await connection.execute("CHECKPOINT")
    look_seldom(SERVING)  # as the API does
    figures: dict[str, float] = {}
    for name, limit in (("whole", _OVERDUE), ("page", 50)):
        took = []
        for _ in range(_WARM_UP):
            await queue(connection, _NOW, "sales", None, True, None, limit)
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            found = await queue(connection, _NOW, "sales", None, True, None, limit)
            took.append((time.perf_counter() - start) * 1000)
            assert len(found) == limit, len(found)
        figures |= {
            f"queue_{name}_p50_ms": quantiles(took, n=100)[49],
            f"queue_{name}_p99_ms": quantiles(took, n=100)[98],
        }
    await connection.close()
    return {name: round(figure, 2) for name, figure in figures.items()}
