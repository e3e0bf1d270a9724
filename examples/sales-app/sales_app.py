"""A small system of sales: keeps a table of the journeys that sales works on, and a log of what changed in them."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress

import asyncpg

import tandem

#: The stages that concern sales, as the playbook that both departments agreed to has them.
OURS = {"marketing-qualified", "sales-accepted", "opportunity", "customer", "at-risk", "lapsed", "won-back"}

_TABLES = """
    CREATE TABLE IF NOT EXISTS deals (
        journey_id  uuid    PRIMARY KEY,
        version     integer NOT NULL,
        stage       text    NOT NULL,
        owner       text,
        account     text,
        value       jsonb   NOT NULL,              -- minor units by currency; null where it is hidden from sales
        identifiers text[]  NOT NULL,
        doubted     boolean NOT NULL DEFAULT false -- it was here before the snapshot that is under way
    );
    -- Nothing here makes a row unique: each change is told once.
    CREATE TABLE IF NOT EXISTS deal_log (seq bigint, journey_id uuid, kind text, stage_from text, stage_to text);
"""
_KEEP = """
    INSERT INTO deals (journey_id, version, stage, owner, account, value, identifiers)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (journey_id) DO UPDATE SET
        version = $2, stage = $3, owner = $4, account = $5, value = $6, identifiers = $7, doubted = false
"""


async def apply(connection: asyncpg.Connection, change: tandem.Change) -> None:
    """What one change does to our tables; `follow` has a transaction open."""
    if change.kind == "reset":
        await connection.execute("UPDATE deals SET doubted = true")
    elif change.kind == "live":
        await connection.execute("DELETE FROM deals WHERE doubted")
    else:
        await keep_or_drop(connection, change)
    if change.seq is not None:
        row = (change.seq, change.journey_id, change.kind, change.stage_from, change.stage_to)
        await connection.execute("INSERT INTO deal_log VALUES ($1, $2, $3, $4, $5)", *row)


async def keep_or_drop(connection: asyncpg.Connection, change: tandem.Change) -> None:
    """A journey that left our stages, was merged or is no more leaves the table, too."""
    journey = change.journey
    if journey is None or journey.stage not in OURS:
        await connection.execute("DELETE FROM deals WHERE journey_id = $1", change.journey_id)
        return
    await connection.execute(
        _KEEP,
        journey.journey_id,
        journey.version,
        journey.stage,
        journey.owner or None,  # sales may not be allowed to see these three: they are UNSET then
        journey.account or None,
        json.dumps(None if journey.value is tandem.UNSET else journey.value),
        [str(one) for one in journey.identifiers],
    )


async def main() -> None:
    """Follow until SIGTERM or SIGINT."""
    task = asyncio.current_task()
    assert task is not None
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    address, token = os.environ.get("TANDEM_API", "http://127.0.0.1:8765"), os.environ.get("TANDEM_TOKEN")
    with suppress(asyncio.CancelledError):
        connection = await asyncpg.connect(os.environ["SALES_DATABASE_URL"], timeout=10)
        try:
            await connection.execute(_TABLES)
            async with tandem.AsyncClient(address, token=token) as client:
                await tandem.follow(client, connection, name="sales-app", apply=apply, department="sales")
        finally:
            await connection.close()


if __name__ == "__main__":
    if not os.environ.get("SALES_DATABASE_URL"):
        sys.exit("sales-app: set SALES_DATABASE_URL to postgresql://user:password@host/database")
    try:
        asyncio.run(main())
    except tandem.TandemError as error:
        sys.exit(f"sales-app: {error}")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        sys.exit(f"sales-app: SALES_DATABASE_URL: {str(error) or 'the database does not answer'}")
