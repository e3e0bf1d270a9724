"""Tables for a replay of the log: a projection with all tables, migrated within a schema beside the live one."""

import asyncpg

from store.migrate import migrate
from store.rebuild import check_name, quoted

_SCHEMA = """
    CREATE SCHEMA IF NOT EXISTS {name};
    CREATE TABLE IF NOT EXISTS {name}.rebuild (
        bucket smallint NOT NULL, batch_id bigint NOT NULL, events bigint NOT NULL,
        until_batch bigint NOT NULL, total bigint NOT NULL, at bigint, known_at timestamptz
    );
"""
_HERE, _BACK = "SET search_path = {name}", "RESET search_path"
#: The secret tells whom erasures are about; the log does not have it.
_SECRETS = "INSERT INTO {name}.secrets SELECT * FROM public.secrets ON CONFLICT DO NOTHING"
_ENDS = """
    CREATE TABLE IF NOT EXISTS {name}.replay (topic text, partition int, until_offset bigint);
    LOCK TABLE public.partitions IN SHARE MODE; -- offsets of one moment: no batch is half in
    INSERT INTO {name}.replay
    SELECT topic, partition, next_offset FROM public.partitions
    WHERE log_epoch = (SELECT max(log_epoch) FROM public.partitions) AND NOT EXISTS (SELECT FROM {name}.replay);
    INSERT INTO {name}.rebuild (bucket, batch_id, events, until_batch, total)
    SELECT -1, 0, 0, (SELECT coalesce(max(batch_id), 0) FROM public.batches), coalesce(sum(until_offset), 0)
    FROM {name}.replay HAVING NOT EXISTS (SELECT FROM {name}.rebuild);
"""
_READ_ENDS = "SELECT topic, partition, until_offset FROM {name}.replay ORDER BY 1, 2"
_PROGRESS = """
    SELECT coalesce((SELECT sum(next_offset) FROM {name}.partitions), 0)::bigint,
           (SELECT sum(until_offset) FROM {name}.replay)::bigint
"""
_NOTE = "UPDATE {name}.rebuild SET events = (SELECT coalesce(sum(next_offset), 0) FROM {name}.partitions)"


async def begin(connection: asyncpg.Connection, name: str) -> None:
    """Make the tables, or find those of a replay that was interrupted. Raises UnusableName."""
    await check_name(connection, name)
    schema = quoted(name)
    await connection.execute(_SCHEMA.format(name=schema))
    await connection.execute(_HERE.format(name=schema))
    try:
        await migrate(connection)
    finally:
        await connection.execute(_BACK)
    async with connection.transaction():
        await connection.execute(_SECRETS.format(name=schema))
        await connection.execute(_ENDS.format(name=schema))


async def ends_of(connection: asyncpg.Connection, name: str) -> list[tuple[str, int, int]]:
    """(topic, partition, the first offset that is not read) of a replay."""
    return [tuple(row) for row in await connection.fetch(_READ_ENDS.format(name=quoted(name)))]


async def replay_progress(connection: asyncpg.Connection, name: str) -> tuple[int, int]:
    """(records read so far, records to read)."""
    row = await connection.fetchrow(_PROGRESS.format(name=quoted(name)))
    assert row is not None, "a select without table always returns a row"
    return row[0], row[1] or 0


async def note_progress(connection: asyncpg.Connection, name: str) -> None:
    """Note how far it is, for the list of projections."""
    await connection.execute(_NOTE.format(name=quoted(name)))
