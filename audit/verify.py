"""Verify: whether the live projection follows from the recorded events. Recomputes all of it, while work goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import asyncpg
import msgspec

from audit.digest import projection_digest
from audit.from_kafka import read_log
from audit.progress import Progress
from audit.rebuild import fold_archive
from projections.journey.journey import UnknownStateFormat, decode_journey
from projections.playbook.rules import Rules
from projections.text import id_text, time_text
from store.archive import DamagedBlock
from store.rebuild import claimed, forget, position_of
from store.session import closing, open_connection, open_engine_connection
from store.verification import (
    Counts,
    Differing,
    both_states,
    changes_after,
    counts,
    differing,
    letters_differing,
)
from streams.kafka import KafkaSettings

_NAME = "verification"  #: of the projection that is built beside the live one, and dropped


class Difference(NamedTuple):
    """One row that does not follow from the events."""

    table: str
    key: str
    journey_id: str | None
    what: str  #: what differs, with the first event that differs where there is one


class Verdict(NamedTuple):
    """The result of `tandem verify`."""

    journeys: int
    sha256: str  #: the digest of what the facts make
    events: int
    meanwhile: int  #: changes that came while it was computed: their journeys are not compared
    differences: list[Difference]

    @property
    def sound(self) -> bool:
        """Whether everything is as the facts make it."""
        return not self.differences


async def verify(database_url: str, rules: Rules, progress: Progress) -> Verdict:
    """Rebuild from the archive, compare row by row, drop what was built.

    Raises BeingBuilt where another one runs, and what `fold_archive` raises.

    An archive too damaged to rebuild from counts as a difference.
    """
    async with _scratch(database_url):
        counting = asyncio.create_task(_counted(database_url))  # PostgreSQL has time for it while the archive is folded
        try:
            try:
                await fold_archive(database_url, rules, _NAME, progress, lasting=False)
            except (DamagedBlock, msgspec.MsgspecError, ValueError, asyncpg.DataError) as error:
                return Verdict(0, "", 0, 0, [Difference("archive", "", None, f"the archive cannot be read: {error}")])
            return await _compared(database_url, await counting, [])
        finally:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)


async def verify_from_kafka(kafka: KafkaSettings, database_url: str, rules: Rules, progress: Progress) -> Verdict:
    """The same against Kafka's log, dead letters included. Raises BeingBuilt, and what `read_log` raises."""
    async with _scratch(database_url):
        await read_log(kafka, database_url, rules, _NAME, progress)
        async with closing(await open_connection(database_url)) as connection:
            letters = [
                Difference("dead_letters", where, None, f"it is {live or 'not there'}; Kafka's log makes it {again}")
                for where, live, again in await letters_differing(connection, _NAME)
            ]
        return await _compared(database_url, await _counted(database_url), letters)


@asynccontextmanager
async def _scratch(database_url: str) -> AsyncIterator[None]:
    """Claim the scratch projection, and drop it before and after. Raises BeingBuilt."""
    async with claimed(database_url, _NAME):
        await _forget(database_url)
        try:
            yield
        finally:
            await _forget(database_url)


async def _compared(database_url: str, sums: Counts, more: list[Difference]) -> Verdict:
    """Compare what was built beside the live projection with it, row by row, and digest it at the same time."""
    async with (
        closing(await open_engine_connection(database_url, _NAME)) as connection,
        closing(await open_engine_connection(database_url, _NAME)) as other,
    ):
        position = await position_of(connection)
        (rows, meanwhile), digest = await asyncio.gather(
            _compared_rows(connection, position.until_batch), projection_digest(other)
        )
    differences = [Difference("counts", "", None, text) for text in sums.objections()] + rows
    return Verdict(digest.journeys, digest.sha256, position.total, meanwhile, differences + more)


async def _compared_rows(connection: asyncpg.Connection, until_batch: int) -> tuple[list[Difference], int]:
    """(what differs, how many changes came meanwhile)."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await differing(connection, _NAME, until_batch)
        return [await _described(connection, row) for row in rows], await changes_after(connection, until_batch)


async def _counted(database_url: str) -> Counts:
    async with closing(await open_connection(database_url)) as connection:
        return await counts(connection)


async def _forget(database_url: str) -> None:
    async with closing(await open_connection(database_url)) as connection:
        await forget(connection, _NAME)


async def _described(connection: asyncpg.Connection, row: Differing) -> Difference:
    journey_id = None if row.journey_id is None else id_text(row.journey_id)
    if not row.lives:
        what = "the facts make it, and it is missing"
    elif not row.rebuilt:
        what = "it is there, and no fact makes it"
    elif row.table == "journeys":
        what = _of_states(*await both_states(connection, _NAME, row.key), row.key)
    else:
        what = "it is not what the facts make of it"
    return Difference(row.table, id_text(row.key), journey_id, what)


def _of_states(live: bytes | None, again: bytes | None, key: bytes) -> str:
    """The first event of which two states say something else."""
    if live == again:
        return "the state is right, and a column that lists and funnels read is not"
    assert live is not None, "it lives"
    assert again is not None, "it was rebuilt"
    try:
        stored = decode_journey(key, 0, live)
    except (msgspec.MsgspecError, UnknownStateFormat, ValueError) as error:
        return f"the stored state cannot be read: {error}"
    made = decode_journey(key, 0, again)
    for one, other in zip([*stored.moments, None], [*made.moments, None], strict=False):
        if one != other:
            moment = other or one
            assert moment is not None, "they differ"
            named = f"{moment.type} of {moment.source}, {id_text(moment.id)}, {time_text(moment.at)}"
            return f"the first event of which it says something else: {named}"
    return "the events are right, and what is derived from them (identity, stages, hand-offs) is not"
