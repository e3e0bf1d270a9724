"""API keys, with which systems write. The database has only the SHA-256 of a secret."""

from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from schemas.errors import TandemError

_ADD = """
    INSERT INTO api_keys (key_id, hash, department, sources, name, expires_at)
    VALUES ($1, $2, $3, $4, $5, now() + $6::interval)
"""

_LIST = """
    SELECT key_id, department, sources, name, created_at, expires_at, revoked_at FROM api_keys
    ORDER BY created_at, key_id
"""

_VALID = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())"

_LIVE = f"SELECT key_id, hash, department, sources FROM api_keys WHERE {_VALID}"

#: The successor of a key with a lifetime gets the same lifetime.
_FOLLOW = f"""
    INSERT INTO api_keys (key_id, hash, department, sources, name, expires_at)
    SELECT $2, $3, department, sources, name, now() + (expires_at - created_at) FROM api_keys
    WHERE key_id = $1 AND {_VALID} RETURNING key_id
"""

_EXPIRE = "UPDATE api_keys SET expires_at = least(expires_at, now() + $2::interval) WHERE key_id = $1"

_REVOKE = "UPDATE api_keys SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL RETURNING key_id"


class NoSuchKey(TandemError):
    """There is no key with this id that is still valid. `tandem keys list` shows the keys."""


class LiveKey(NamedTuple):
    """A key that is valid now."""

    key_id: str
    hash: bytes  #: SHA-256 of the secret
    department: str  #: the department whose topic it may write
    sources: frozenset[str]  #: that its events may name; empty for any


class KeyEntry(NamedTuple):
    """A key as lists show it."""

    key_id: str
    department: str
    sources: list[str]
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def add_key(connection: asyncpg.Connection, key: LiveKey, name: str, lifetime: timedelta | None) -> None:
    """Store a new key; without a lifetime it does not expire."""
    await connection.execute(_ADD, key.key_id, key.hash, key.department, sorted(key.sources), name, lifetime)


async def follow_key(
    connection: asyncpg.Connection, key_id: str, new_id: str, hash_: bytes, overlap: timedelta
) -> None:
    """Store a successor of a key with the same rights; the old one stays valid for `overlap`. Raises NoSuchKey."""
    async with connection.transaction():
        if await connection.fetchval(_FOLLOW, key_id, new_id, hash_) is None:
            raise NoSuchKey(f"there is no key {key_id} that is valid now: see `tandem keys list`")
        await connection.execute(_EXPIRE, key_id, overlap)


async def revoke_key(connection: asyncpg.Connection, key_id: str) -> None:
    """End a key now. Raises NoSuchKey."""
    if await connection.fetchval(_REVOKE, key_id) is None:
        raise NoSuchKey(f"there is no key {key_id} that could be revoked: see `tandem keys list`")


async def list_keys(connection: asyncpg.Connection) -> list[KeyEntry]:
    """All keys there ever were, the oldest first."""
    return [KeyEntry(*row) for row in await connection.fetch(_LIST)]


async def live_keys(pool: asyncpg.Pool) -> dict[str, LiveKey]:
    """The keys that are valid now, by id."""
    rows = await pool.fetch(_LIVE)
    return {
        row["key_id"]: LiveKey(row["key_id"], row["hash"], row["department"], frozenset(row["sources"])) for row in rows
    }
