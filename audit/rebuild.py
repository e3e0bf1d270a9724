"""Rebuild: fold the archive again into a second projection beside the live one.

Law 2 lets it read the archive in whatever order is cheapest: person by person as far as the buckets go, so that a
journey is written once or twice, however long its history is. Rulings and releases come first: what is folded after
them is folded once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import NamedTuple

import asyncpg

from audit.digest import ProjectionDigest, projection_digest
from audit.past import NOW, Point
from audit.progress import Progress
from projections.identity.erasure import ERASURE
from projections.identity.register import ABOUT_IDENTITY, Entries
from projections.playbook.events import ABOUT_PLAYBOOK
from projections.playbook.rules import Rules
from schemas.canonical import body_hash
from schemas.decode import decode_again
from store.archive import Archived, DamagedBlock, LogRecord, open_block
from store.erasure import read_erasures
from store.loading import load_register
from store.partitions import read_departments
from store.rebuild import (
    RebuildPosition,
    StoredBlock,
    blocks_after,
    claimed,
    commit_rebuilt,
    create,
    joint_blocks,
    losers,
    position_of,
)
from store.session import closing, open_connection, open_engine_connection, open_writer
from streams.engine.batch import BatchEvent, Originals, PendingBatch, ReadBatch
from streams.engine.cache import Cache
from streams.engine.effects import Effects
from streams.engine.folding import BulkFold
from streams.engine.joint_facts import take_joint
from streams.engine.preparation import Preparation
from streams.engine.rate_limit import RateLimit
from streams.engine.reader_process import BatchReader

_CHUNK_EVENTS = 16_384
#: Journeys that are changed before they are written: few are written twice, and a kill loses little.
_TOUCHED = 10_000
#: The same, and moments in memory (see Cache), for a rebuild that nobody resumes: only memory is a reason to write.
_MOST_TOUCHED, _MOST_HELD = 25_000, 750_000
_PACED_SECONDS = 10.0  #: of folding at a limited rate before it is written: a kill loses no more
_READERS = 2  #: processes that read chunks: one alone is slower than the fold

#: What is folded before anybody is there whom it concerns.
_JOINT_FIRST = ABOUT_IDENTITY | ABOUT_PLAYBOOK | {ERASURE}
#: (event id, source, body hash) of events whose id another body has taken.
Losers = set[tuple[bytes, str, int]]


class _Chunk(NamedTuple):
    """Some blocks, read."""

    batch: ReadBatch
    position: RebuildPosition  #: once they are folded


class _Rebuilding(NamedTuple):
    """What a rebuild works with."""

    writer: asyncpg.Connection
    blocks: asyncpg.Connection
    readers: list[BatchReader]
    cache: Cache
    folding: BulkFold
    departments: dict[int, str]
    losers: Losers
    lasting: bool
    rate_limit: RateLimit | None


async def rebuild(
    database_url: str,
    rules: Rules,
    name: str,
    progress: Progress,
    rate_limit: RateLimit | None = None,
    *,
    point: Point = NOW,
) -> ProjectionDigest:
    """Fold all that is archived by now into the projection `name`, and digest it. Resumes an interrupted one.

    `point`: only what had happened, and was known, then. Raises BeingBuilt, and what `fold_archive` raises.
    """
    async with claimed(database_url, name):
        await fold_archive(database_url, rules, name, progress, rate_limit, point=point)
    async with closing(await open_engine_connection(database_url, name)) as connection:
        return await projection_digest(connection)


async def fold_archive(
    database_url: str,
    rules: Rules,
    name: str,
    progress: Progress,
    rate_limit: RateLimit | None = None,
    *,
    point: Point = NOW,
    lasting: bool = True,
) -> None:
    """The same without the digest. Not `lasting`: for a comparison that is dropped at its end.

    Raises UnusableName, AnotherPlaybook, AnotherPoint, DamagedBlock, what asyncpg raises, and Stale where two
    rebuild the same.
    """
    connection = await open_connection(database_url)
    try:
        await create(connection, name, rules.digest, *point, lasting=lasting)
    finally:
        await connection.close()
    async with AsyncExitStack() as stack:
        writer, blocks, lookups = (
            await open_writer(database_url, name),
            *([await open_engine_connection(database_url, name) for _ in range(2)]),
        )
        for one in (writer, blocks, lookups):
            stack.push_async_callback(one.close)
        readers = [BatchReader(rules) for _ in range(_READERS)]
        for reader in readers:
            stack.push_async_callback(reader.close)
        departments = await read_departments(blocks)
        register = await load_register(lookups)
        async with closing(await open_engine_connection(database_url)) as live:
            for erasure in await read_erasures(live):
                register.erased.add(erasure)  # who is erased today is not in the past, either
        lost: Losers = set()
        for payload in await losers(blocks, point.known_at):
            event = decode_again(payload)
            lost.add((event.id, event.source, body_hash(payload)))
        cache = Cache(lookups, rules, register)
        parts = _Rebuilding(
            writer=writer,
            blocks=blocks,
            readers=readers,
            cache=cache,
            folding=BulkFold(cache),
            departments=departments,
            losers=lost,
            lasting=lasting,
            rate_limit=rate_limit,
        )
        await _work(parts, await position_of(writer), progress)


async def _work(parts: _Rebuilding, position: RebuildPosition, progress: Progress) -> None:
    """Write the result of some chunks while the next one is folded and those after it are read."""
    if position.bucket < 0:
        position = await _fold_joint_events(parts, position)
    commit: asyncio.Task[None] | None = None
    effects: Effects | None = None
    written = position.events
    chunks = _chunks(parts, position)
    try:
        async for chunk in chunks:
            effects = effects or Effects(parts.cache.register_version)
            await parts.folding.fold(chunk.batch)
            done, position = position.events, chunk.position
            if parts.rate_limit is not None:
                await parts.rate_limit.keep(position.events - done)
            progress(position.events, position.total)
            if _is_much(parts, position.events - written):
                commit, effects = await _write(parts, effects, position, commit), None
                written = position.events
        if effects is not None:
            commit = await _write(parts, effects, position, commit)
        if commit is not None:
            await asyncio.gather(commit, parts.folding.forget())
    finally:
        await chunks.aclose()
        if commit is not None:
            commit.cancel()
            await asyncio.gather(commit, return_exceptions=True)


def _is_much(parts: _Rebuilding, unwritten: int) -> bool:
    """Whether it is time to write: `unwritten` events were folded since the last write."""
    folded = parts.folding
    if not parts.lasting:
        return folded.touched >= _MOST_TOUCHED or folded.held >= _MOST_HELD
    paced = parts.rate_limit is not None and unwritten >= parts.rate_limit.rate * _PACED_SECONDS
    return paced or folded.touched >= _TOUCHED


async def _write(
    parts: _Rebuilding, effects: Effects, position: RebuildPosition, before: "asyncio.Task[None] | None"
) -> "asyncio.Task[None]":
    """Start to write what was folded, once the write before has ended."""
    await parts.folding.reap(effects)
    if before is not None:
        await before
    return asyncio.create_task(_commit(parts.writer, effects, position))


async def _fold_joint_events(parts: _Rebuilding, position: RebuildPosition) -> RebuildPosition:
    """Joint events, before anybody is there whom they concern: erasures first, then all others."""
    blocks = await joint_blocks(parts.blocks, position)
    records: list[LogRecord] = [event for block in blocks for event in _opened(block)]
    records = [record for record in records if parts.departments[record.partition_id] == "joint"]
    position = position._replace(bucket=0, batch_id=0)
    batch = await parts.readers[0].read(parts.departments, records)
    first = [event for event in _live(batch, parts.losers, position.at) if _comes_first(event)]
    cache, originals = parts.cache, Originals(records, parts.departments, parts.cache.rules)
    erasures = [originals.candidate(event).event for event in first if event.moment.type == ERASURE]
    take_joint(cache.workspace, erasures, cache.rules)
    batch.events = [event for event in first if event.moment.type != ERASURE]
    pending = PendingBatch(records=records, read=batch, hashes={}, known={}, sources={})
    effects = await Preparation(cache, None, parts.departments).prepare(pending, None)
    cache.workspace.register.swept_until = None  # all stored journeys follow the terms agreed: there are none yet
    await _commit(parts.writer, effects, position)
    return position


async def _chunks(parts: _Rebuilding, position: RebuildPosition) -> AsyncGenerator[_Chunk]:
    """The archive after a position, in chunks; each reader is ahead by one."""
    ahead: deque[asyncio.Task[_Chunk]] = deque()
    size = _CHUNK_EVENTS if parts.rate_limit is None else min(_CHUNK_EVENTS, int(parts.rate_limit.rate))  # a second's
    coming = asyncio.create_task(blocks_after(parts.blocks, position))
    try:
        while page := await coming:
            last = position._replace(bucket=page[-1].bucket, batch_id=page[-1].batch_id)
            coming = asyncio.create_task(blocks_after(parts.blocks, last))
            for number, some in enumerate(_of_some_size(page, size)):
                events = position.events + sum(block.events for block in some)
                position = position._replace(bucket=some[-1].bucket, batch_id=some[-1].batch_id, events=events)
                ahead.append(asyncio.create_task(_read(parts, parts.readers[number % _READERS], some, position)))
                if len(ahead) > _READERS:
                    yield await ahead[0]
                    ahead.popleft()
        while ahead:
            yield await ahead[0]
            ahead.popleft()
    finally:
        for task in (coming, *ahead):
            task.cancel()
        await asyncio.gather(coming, *ahead, return_exceptions=True)


async def _read(
    parts: _Rebuilding, reader: BatchReader, blocks: list[StoredBlock], position: RebuildPosition
) -> _Chunk:
    try:
        batch = await reader.open(parts.departments, [block.payload for block in blocks])
    except DamagedBlock:
        for block in blocks:
            _opened(block)  # raises for the one that is damaged, and names it
        raise
    batch.events = [event for event in _live(batch, parts.losers, position.at) if not _comes_first(event)]
    return _Chunk(batch, position)


def _comes_first(event: BatchEvent) -> bool:
    """Whether it is folded before anybody is there; an erasure of the first version is a fact of somebody's."""
    type_ = event.moment.type
    return type_ in _JOINT_FIRST and (type_ != ERASURE or event.subject is None)


def _opened(block: StoredBlock) -> list[Archived]:
    """The events of a block. Raises DamagedBlock, which names it."""
    try:
        return open_block(block.payload)
    except DamagedBlock as error:
        raise DamagedBlock(f"bucket {block.bucket} of batch {block.batch_id}: {error}") from error


def _of_some_size(page: list[StoredBlock], size: int) -> Iterator[list[StoredBlock]]:
    """The page's blocks in pieces of some `size` events."""
    some, events = list[StoredBlock](), 0
    for block in page:
        some.append(block)
        events += block.events
        if events >= size:
            yield some
            some, events = [], 0
    if some:
        yield some


def _live(batch: ReadBatch, lost: Losers, at: int | None) -> list[BatchEvent]:
    """The events that had happened by then, without bodies whose id another one has taken."""
    events = batch.events
    if at is not None:
        events = [event for event in events if event.moment.at <= at]
    if not lost:
        return events
    return [event for event in events if (*event.key, event.body_hash) not in lost]


async def _commit(writer: asyncpg.Connection, effects: Effects, position: RebuildPosition) -> None:
    entries = replace(effects.harvest.entries, terms_changed=False)  # whatever is written follows the terms agreed
    await write_effects(writer, effects, entries, position)


async def write_effects(
    writer: asyncpg.Connection, effects: Effects, entries: Entries, position: RebuildPosition
) -> None:
    """Write what was folded into a projection beside the live one, and how far it is now. Raises Stale."""
    await commit_rebuilt(
        writer,
        journeys=effects.rows,
        gone=effects.harvest.gone,
        moved=effects.harvest.moved,
        with_handoffs=effects.with_handoffs,
        had_handoffs=effects.had_handoffs,
        entries=entries,
        register_version=effects.register_version,
        position=position,
    )
