"""The ticker: adds to the feed what time alone has done to journeys, and prunes old rows.

Every worker has one. Several do no harm: each takes only journeys that no other holds.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
import structlog

from schemas.times import DAY
from store.feed import hint, prune_changes
from store.handoffs import tell_alarms
from store.session import CONNECTION_LOST, open_engine_connection
from store.silence import tell_silence

log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0
_TICKS_BETWEEN_PRUNING = 60
_PRUNED_AT_ONCE = 10_000


async def tick(database_url: str, retention_days: int, clock: Callable[[], int]) -> None:
    """Work until cancelled. `clock` gives microseconds since 1970 UTC."""
    while True:
        try:
            connection = await open_engine_connection(database_url)
            try:
                while True:
                    await _prune(connection, clock() - retention_days * DAY)
                    for _ in range(_TICKS_BETWEEN_PRUNING):
                        await _tell(connection, clock())
                        await asyncio.sleep(_TICK_SECONDS)
            finally:
                connection.terminate()
        except CONNECTION_LOST as error:
            log.warning("ticker starts over", error=type(error).__name__, detail=str(error))
            await asyncio.sleep(_TICK_SECONDS)


async def _tell(connection: asyncpg.Connection, now: int) -> None:
    told = 0
    for tell in (tell_silence, tell_alarms):
        while count := await tell(connection, now):
            told += count
    if told:
        await hint(connection)


async def _prune(connection: asyncpg.Connection, before: int) -> None:
    while await prune_changes(connection, datetime.fromtimestamp(before / 1_000_000, UTC), _PRUNED_AT_ONCE):
        pass
