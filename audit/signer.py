"""The signer: signs the tree of batches at intervals, into a file outside the database."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import asyncpg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoints import Checkpoint, add, adding_to, check, read_checkpoints, sign
from audit.merkle import Tree
from schemas.errors import TandemError
from store.chain import leaf_bytes
from store.session import CONNECTION_LOST, DatabaseUnreachable, closing, open_connection
from store.tree import batches_from, read_tree

log = structlog.get_logger(__name__)


class LogChanged(TandemError):
    """The database does not hold what was signed before.

    Treat it as tampering: run `tandem audit verify`, and restore a backup.
    """


class Signer:
    """Knows the tree as far as it was signed, or found to be as it was signed."""

    def __init__(self, key: Ed25519PrivateKey, path: Path, now: Callable[[], datetime]) -> None:
        self._key = key
        self._path = path
        self._now = now
        self._tree = Tree()
        self._signed = -1  #: batches under the last checkpoint; -1: not read yet

    async def sign(self, connection: asyncpg.Connection) -> Checkpoint | None:
        """Sign what has been committed since the last time; None where nothing has. Raises LogChanged and others.

        See `audit.checkpoints` for what else it raises.
        """
        tree = await read_tree(connection)
        with adding_to(self._path) as file:
            if self._signed < 0:
                await self._go_on(connection, str(tree.log_id), tree.size)
            if tree.size == self._signed:
                return None
            await self._grow(connection, tree.size)
            made = sign(self._key, str(tree.log_id), tree.size, self._tree.root(), self._now().isoformat())
            add(file, made)
        self._signed = tree.size
        return made

    async def _go_on(self, connection: asyncpg.Connection, log_id: str, size: int) -> None:
        """Signing over changed records would vouch for them: what was signed last must still be there."""
        signed = read_checkpoints(self._path)
        if not signed:
            self._signed = 0
            return
        last = signed[-1]
        check(last, self._key.public_key())
        if last.log != log_id:
            raise LogChanged(f"{self._path} is of the log {last.log}, the database's is {log_id}: name another file")
        if last.size <= size:
            await self._grow(connection, last.size)
        if self._tree.root().hex() != last.root:
            raise LogChanged(
                f"the database does not hold the {last.size} batches that were signed at {last.signed_at}: "
                "`tandem audit verify` says what was changed. Nothing is signed"
            )
        self._signed = last.size

    async def _grow(self, connection: asyncpg.Connection, size: int) -> None:
        async with aclosing(batches_from(connection, self._tree.size, size)) as pages:
            async for page in pages:
                for batch in page:
                    if batch.place != self._tree.size:
                        raise LogChanged(
                            f"the record of batch {self._tree.size} of the tree is missing: nothing is signed; "
                            "`tandem audit verify` says what was changed"
                        )
                    self._tree.add(leaf_bytes(batch.leaf))


async def sign_on(database_url: str, signer: Signer, every: float) -> None:
    """Sign every so many seconds, for ever; wait for a database that does not answer. Raises LogChanged and others."""
    while True:
        try:
            async with closing(await open_connection(database_url)) as connection:
                while True:
                    made = await signer.sign(connection)
                    if made is not None:
                        log.info("signed", batches=made.size, root=made.root)
                    await asyncio.sleep(every)
        except (*CONNECTION_LOST, DatabaseUnreachable) as error:
            log.warning("not signed", error=type(error).__name__, detail=str(error))
            await asyncio.sleep(every)
