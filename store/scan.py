"""Reading all journeys, in memory of a few at a time."""

from collections.abc import AsyncIterator

import asyncpg

_STATES = "SELECT journey_id, state FROM journeys"


async def scan_states(connection: asyncpg.Connection) -> AsyncIterator[tuple[bytes, bytes]]:
    """(journey id, stored state) of every journey, in one snapshot and no certain order.

    The connection may have any codec for uuid.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for journey_id, state in connection.cursor(_STATES, prefetch=500):
            yield (journey_id if isinstance(journey_id, bytes) else journey_id.bytes), state
