"""A disk that is full while a projection is built: one clear line, nothing half done; with room it goes on."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from streams.kafka import KafkaSettings
from tests.commands import Done, command
from tests.support import body, produce, project, stored_digest

#: `LIKE ... INCLUDING ALL` copies constraints, so each projection beside the live one meets this in its own table.
_ASK_FOR_ROOM = "ALTER TABLE journeys ADD CONSTRAINT room CHECK (public.room(tableoid))"
_FULL = """
    CREATE OR REPLACE FUNCTION public.room(place oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
        IF place <> 'public.journeys'::regclass THEN
            RAISE 'could not extend file "base/1/2": No space left on device' USING ERRCODE = 'disk_full';
        END IF;
        RETURN true;
    END $$
"""
_ROOM = "CREATE OR REPLACE FUNCTION public.room(place oid) RETURNS boolean LANGUAGE sql AS 'SELECT true'"


@pytest.fixture
async def connection(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    await produce(kafka_settings, [("marketing", n % 3, body(n, who={"user_id": f"u{n % 7}"})) for n in range(40)])
    await project(kafka_settings, database_url, 40)
    connection = await asyncpg.connect(database_url)
    await connection.execute(_ROOM)
    await connection.execute(_ASK_FOR_ROOM)
    yield connection
    await connection.close()


async def _tandem(database_url: str, *arguments: str) -> Done:
    return await command({"TANDEM_DATABASE_URL": database_url, "TANDEM_KAFKA": "127.0.0.1:1"}, *arguments)


def _one_line(done: Done) -> bool:
    return done.code == 1 and done.err.count("\n") == 1 and "tandem: the database's disk is full" in done.err


async def test_a_replay_says_so_and_goes_on_when_there_is_room(
    connection: asyncpg.Connection, database_url: str
) -> None:
    live = await stored_digest(database_url)
    await connection.execute(_FULL)
    full = await _tandem(database_url, "replay", "--into", "beside")
    assert _one_line(full), full
    assert not await connection.fetchval("SELECT EXISTS (SELECT FROM beside.journeys)")
    assert (await _tandem(database_url, "projections", "switch", "beside")).code == 1, "it is not finished"
    assert await stored_digest(database_url) == live
    await connection.execute(_ROOM)
    assert live in (await _tandem(database_url, "replay", "--into", "beside")).out


async def test_verify_says_so_and_leaves_nothing_behind(connection: asyncpg.Connection, database_url: str) -> None:
    await connection.execute(_FULL)
    full = await _tandem(database_url, "verify")
    assert _one_line(full), full
    assert not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'verification')")
    await connection.execute(_ROOM)
    assert (await _tandem(database_url, "verify")).code == 0


async def test_nothing_is_half_switched(
    connection: asyncpg.Connection, database_url: str, kafka_settings: KafkaSettings
) -> None:
    await _tandem(database_url, "replay", "--into", "beside")
    await produce(kafka_settings, [("marketing", 0, body(50, who={"user_id": "u50"}))])
    await project(kafka_settings, database_url, 41)
    live = await stored_digest(database_url)
    await connection.execute(_FULL)
    full = await _tandem(database_url, "projections", "switch", "beside")
    assert _one_line(full), full
    assert await stored_digest(database_url) == live
    assert (await _tandem(database_url, "projections", "list")).out.count("beside") == 1
    await connection.execute(_ROOM)
    switched = await _tandem(database_url, "projections", "switch", "beside")
    assert switched.code == 0, switched
    assert await stored_digest(database_url) == live
