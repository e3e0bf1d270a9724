"""Which projection a question is about: the live one, or one beside it, such as one of the past."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, NamedTuple

import asyncpg
from fastapi import Query
from starlette.exceptions import HTTPException

from api.context import Context
from projections.playbook.proposals import agreed_rules
from projections.playbook.rules import Rules
from projections.text import micros
from store.proposals import read_said
from store.rebuild import NoSuchProjection, look_at
from store.session import Connection

#: Name of a projection beside the live one, which `tandem replay` has built; the live one, without.
Beside = Annotated[str | None, Query(max_length=40)]


class Reading(NamedTuple):
    """What a question is asked of."""

    connection: Connection
    rules: Rules
    at: int  #: the time that it is seen at, in microseconds since 1970 UTC


@asynccontextmanager
async def reading(context: Context, projection: str | None) -> AsyncIterator[Reading]:
    """A connection that means the projection. Raises HTTPException 404, or 409 where it cannot be read as it is."""
    async with context.pool.acquire() as connection:
        if projection is None:
            yield Reading(connection, context.rules, context.clock())
            return
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield await _beside(context, connection, projection)


async def _beside(context: Context, connection: "asyncpg.pool.PoolConnectionProxy", name: str) -> Reading:
    try:
        projection = await look_at(connection, name)
    except NoSuchProjection as error:
        raise HTTPException(404, str(error)) from error
    first = context.agreed.first
    if not projection.done:
        raise HTTPException(409, f"the projection {name} is not finished: start `tandem replay --into {name}` again")
    if projection.playbook != first.digest:
        raise HTTPException(409, f"the projection {name} was built with another playbook than this API has")
    at = projection.at
    if at is None:
        at = context.clock() if projection.known_at is None else micros(projection.known_at)
    return Reading(connection, agreed_rules(first, await read_said(connection)), at)
