"""API keys: `tdm_<key id>_<secret>`, checked against those that are valid."""

import asyncio
import hmac
import re
from collections.abc import Callable
from hashlib import sha256
from secrets import token_bytes, token_hex, token_urlsafe
from time import monotonic
from typing import NamedTuple

import asyncpg

from schemas.errors import TandemError
from store.keys import LiveKey, live_keys

PREFIX = "tdm_"
_FORM = re.compile(rf"{PREFIX}([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_FRESH_SECONDS = 2.0  #: a key works this long after its creation at the latest, and no longer after its revocation


class InvalidKey(TandemError):
    """The API key is unknown, or no longer valid. Make a new one with `tandem keys create`."""


class KeysUnknown(TandemError):
    """The database does not answer which API keys are valid. Try again."""


class NewKey(NamedTuple):
    """A key that was just made. `text` is the secret itself."""

    key_id: str
    hash: bytes
    text: str


def new_key() -> NewKey:
    """A key with 256 bits from the system's source of randomness."""
    key_id, secret = token_hex(6), token_urlsafe(32)
    return NewKey(key_id, _hash(secret), f"{PREFIX}{key_id}_{secret}")


def _hash(secret: str) -> bytes:
    """Nobody guesses 256 bits, so a slow hash would protect nothing."""
    return sha256(secret.encode()).digest()


class KeyRing:
    """The valid keys, read again every other second: one query, however many requests there are."""

    def __init__(self, pool: asyncpg.Pool, clock: Callable[[], float] = monotonic) -> None:
        self._pool, self._clock = pool, clock
        self._keys: dict[str, LiveKey] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._nobodys = token_bytes(32)

    async def find(self, text: str) -> LiveKey:
        """The key that a text is. Raises InvalidKey, or KeysUnknown where the database does not answer."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise InvalidKey("it does not have the form of a key")
        async with self._reading:
            if self._read_at is None or self._clock() - self._read_at > _FRESH_SECONDS:
                await self._read()
        key_id, secret = match.groups()
        key = self._keys.get(key_id)
        right = hmac.compare_digest(_hash(secret), self._nobodys if key is None else key.hash)
        if key is None or not right:
            raise InvalidKey("there is no such key, or it was revoked, or it has expired")
        return key

    async def _read(self) -> None:
        now = self._clock()
        try:
            self._keys = await live_keys(self._pool)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise KeysUnknown(f"the database did not say which keys are valid ({type(error).__name__})") from error
        self._read_at = now
