"""Migrations: numbered SQL files, each applied once, in order."""

from hashlib import sha256
from pathlib import Path

import asyncpg

from schemas.errors import TandemError

MIGRATIONS = Path(__file__).with_name("migrations")

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tandem migrations', 0))"
_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
"""
_APPLIED = "SELECT name, sha256 FROM schema_migrations"
_NOTE = "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)"


class MigrationChanged(TandemError):
    """An applied migration was changed or is missing: use the version of Tandem that applied it."""


async def create_database(server_url: str, name: str) -> str:
    """Make a database where it is missing; `name` must be an identifier of ours. Returns its URL."""
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    except asyncpg.DuplicateDatabaseError:
        pass
    finally:
        await connection.close()
    return f"{server_url.rsplit('/', 1)[0]}/{name}"


async def migrate(connection: asyncpg.Connection, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing, in one transaction. Returns the names applied. Raises MigrationChanged."""
    files = _files(folder)
    async with connection.transaction():
        await connection.execute(_LOCK)
        await connection.execute(_TABLE)
        applied = {row["name"]: row["sha256"] for row in await connection.fetch(_APPLIED)}
        for name, digest in applied.items():
            if name not in files or sha256(files[name].encode()).hexdigest() != digest:
                raise MigrationChanged(
                    f"migration {name} was applied with another text: use the version of Tandem that made this "
                    "database, or write a new migration"
                )
        fresh = [name for name in files if name not in applied]
        for name in fresh:
            await connection.execute(files[name])
            await connection.execute(_NOTE, name, sha256(files[name].encode()).hexdigest())
    return fresh


def _files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("[0-9]*.sql"))}
