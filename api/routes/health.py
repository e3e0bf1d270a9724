"""Whether the process lives, whether it can work, and its figures."""

import asyncpg
from fastapi import Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.responses import Response

from api.context import context_of
from api.http.answers import answer
from api.http.problems import problem
from api.http.strict_parameters import strict_router
from schemas.answers.health import Alive, Ready
from store.identity import count_quarantined
from store.status import has_tables, progress

router = strict_router()


@router.get("/healthz", operation_id="get_health", summary="Check that the process lives")
async def healthz() -> Response:
    """Always answers while the process can."""
    return answer(Alive())


@router.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Check that queries can be answered",
    responses={503: {"description": "The database does not answer"}},
)
async def readyz(request: Request) -> Response:
    """503 while the database does not answer."""
    try:
        # whether it answers is the question: it was migrated, or the application would not have started
        await has_tables(context_of(request).pool, timeout=3)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        return problem(503, "Not ready", "the database does not answer", Retry_After="1")
    return answer(Ready())


@router.get("/metrics", operation_id="get_metrics", summary="Get figures for Prometheus")
async def metrics(request: Request) -> Response:
    """Prometheus text format: of the process, of each partition (law 4's counts), of the quarantine."""
    pool = context_of(request).pool
    registry = CollectorRegistry()
    labels = ("topic", "partition")
    gauges = {name: Gauge(f"tandem_records_{name}", text, labels, registry=registry) for name, text in _RECORDS.items()}
    for found in await progress(pool):
        for name, gauge in gauges.items():
            gauge.labels(found.topic, found.partition).set(getattr(found, name))
    Gauge("tandem_quarantined_identifiers", "Identifiers that too many others are linked to.", registry=registry).set(
        await count_quarantined(pool)
    )
    return Response(generate_latest() + generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


_RECORDS = {
    "read": "Records read: applied, duplicates, dead and holes add up to it.",
    "applied": "Records applied.",
    "duplicates": "Records that said what another one had said.",
    "dead": "Dead letters.",
    "holes": "Offsets that the log did not hold.",
}
