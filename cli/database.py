"""The database, for commands that ask it themselves: operators hold its address, others ask the API."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncpg

_T = TypeVar("_T")


def on_database(data_dir: Path | None, work: "Callable[[asyncpg.Connection], Awaitable[_T]]") -> _T:
    """Do some work on a connection to the running stack's database. Raises NoStack, DatabaseUnreachable."""
    from cli.settings import load_settings

    return asyncio.run(with_connection(load_settings(data_dir).database_url, work))


async def with_connection(database_url: str, work: "Callable[[asyncpg.Connection], Awaitable[_T]]") -> _T:
    """Do some work on a connection. Raises DatabaseUnreachable."""
    from store.session import closing, open_connection

    async with closing(await open_connection(database_url)) as connection:
        return await work(connection)


async def with_engine_connection(database_url: str, work: "Callable[[asyncpg.Connection], Awaitable[_T]]") -> _T:
    """Do some work on a connection of the engine's kind: uuid values are 16 raw bytes there."""
    from store.session import closing, open_engine_connection

    async with closing(await open_engine_connection(database_url)) as connection:
        return await work(connection)
