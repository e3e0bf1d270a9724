"""Whether the process lives, whether it can work, and its figures."""

import asyncpg
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from api.context import context_of
from api.problems import problem
from store.status import has_tables

router = APIRouter()


@router.get("/healthz", summary="The process lives")
async def healthz() -> dict[str, str]:
    """Always answers while the process can."""
    return {"status": "ok"}


@router.get("/readyz", summary="Queries can be answered")
async def readyz(request: Request) -> Response:
    """503 while the database does not answer."""
    try:
        # whether it answers is the question: it was migrated, or the application would not have started
        await has_tables(context_of(request).pool, timeout=3)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        return problem(503, "Not ready", "the database does not answer", Retry_After="1")
    return Response(b'{"status":"ready"}', media_type="application/json")


@router.get("/metrics", summary="Figures for Prometheus")
async def metrics() -> Response:
    """Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
