"""Rebuild: fold the archive again, into a second projection beside the live one.

Law 2 lets it read the archive in whatever order is cheapest: person by person as far as the buckets go, so that a
journey is written once or twice, however long its history is. Rulings and releases come first: what is folded after
them is folded once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import NamedTuple

import asyncpg

from audit.digest import ProjectionDigest, projection_digest
from audit.past import NOW, Point
from projections.identity.erasure import ERASURE
from projections.identity.register import ABOUT_IDENTITY
from projections.playbook.events import ABOUT_PLAYBOOK
from projections.playbook.rules import Rules
from schemas.canonical import body_hash
from schemas.decode import decode_again
from store.archive import Archived, DamagedBlock, LogRecord, open_block
from store.erasure import read_erasures
from store.loading import load_register
from store.partitions import owners
from store.rebuild import (
    Place,
    StoredBlock,
    blocks_after,
    claimed,
    commit_rebuilt,
    create,
    joint_blocks,
    losers,
    place_of,
)
from store.session import closing, open_connection, open_engine_connection, open_writer
from streams.engine.desk import Found, Reading
from streams.engine.preparation import Ahead, Effects, Preparation
from streams.engine.rate_limit import Pace
from streams.engine.reader_process import Reader

_CHUNK_EVENTS = 16_384
#: Journeys that are changed before they are written: so few are written more than once. A kill costs what was not.
_TOUCHED = 10_000
#: The same where nobody goes on after a kill, and moments in memory: there, only as memory runs short (see Cache).
_MOST_TOUCHED, _MOST_HELD = 25_000, 750_000
_PACED_SECONDS = 10.0  #: of folding at a pace before it is written: a kill costs no more
_READERS = 2  #: processes that read chunks: one alone takes longer than it takes to fold

#: What is folded before anybody is there whom it concerns.
_JOINT_FIRST = ABOUT_IDENTITY | ABOUT_PLAYBOOK | {ERASURE}
#: Whom to tell how far it is: (events so far, events in all).
Tell = Callable[[int, int], None]
#: (event id, source, body hash) of events whose id another body has taken.
Losers = set[tuple[bytes, str, int]]


class _Chunk(NamedTuple):
    """Some blocks, read."""

    reading: Reading
    place: Place  #: once they are folded


class _Rebuilding(NamedTuple):
    """What a rebuild works with."""

    writer: asyncpg.Connection
    blocks: asyncpg.Connection
    readers: list[Reader]
    preparation: Preparation
    owners: dict[int, str]
    losers: Losers
    lasting: bool
    pace: Pace | None


async def rebuild(
    database_url: str,
    rules: Rules,
    name: str,
    tell: Tell,
    pace: Pace | None = None,
    *,
    point: Point = NOW,
) -> ProjectionDigest:
    """Fold all that is archived by now into the projection `name`, and digest it. Begun before, it goes on.

    `point`: only what had happened, and was known, then. Raises BeingBuilt, and what `fold_archive` raises.
    """
    async with claimed(database_url, name):
        await fold_archive(database_url, rules, name, tell, pace, point=point)
    async with closing(await open_engine_connection(database_url, name)) as connection:
        return await projection_digest(connection)


async def fold_archive(
    database_url: str,
    rules: Rules,
    name: str,
    tell: Tell,
    pace: Pace | None = None,
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
        readers = [Reader(rules) for _ in range(_READERS)]
        for reader in readers:
            stack.push_async_callback(reader.close)
        known = await owners(blocks)
        register = await load_register(lookups)
        async with closing(await open_engine_connection(database_url)) as live:
            for erasure in await read_erasures(live):
                register.erased.add(erasure)  # who is erased today is not in the past, either
        preparation = Preparation(lookups, None, rules, known, register)
        lost: Losers = set()
        for payload in await losers(blocks, point.known_at):
            event = decode_again(payload)
            lost.add((event.id, event.source, body_hash(payload)))
        parts = _Rebuilding(writer, blocks, readers, preparation, known, lost, lasting, pace)
        await _work(parts, await place_of(writer), tell)


async def _work(parts: _Rebuilding, place: Place, tell: Tell) -> None:
    """While what some chunks came to is written, the next one is folded, and those after that are read."""
    if place.bucket < 0:
        place = await _fold_joint_events(parts, place)
    commit: asyncio.Task[None] | None = None
    effects: Effects | None = None
    written = place.events
    chunks = _chunks(parts, place)
    try:
        async for chunk in chunks:
            effects = effects or parts.preparation.effects()
            await parts.preparation.fold(chunk.reading)
            done, place = place.events, chunk.place
            if parts.pace is not None:
                await parts.pace.keep(place.events - done)
            tell(place.events, place.total)
            if _is_much(parts, place.events - written):
                commit, effects = await _write(parts, effects, place, commit), None
                written = place.events
        if effects is not None:
            commit = await _write(parts, effects, place, commit)
        if commit is not None:
            await asyncio.gather(commit, parts.preparation.forget())
    finally:
        await chunks.aclose()
        if commit is not None:
            commit.cancel()
            await asyncio.gather(commit, return_exceptions=True)


def _is_much(parts: _Rebuilding, unwritten: int) -> bool:
    """Whether so much was folded, of so many events, that it must be written."""
    folded = parts.preparation
    if not parts.lasting:
        return folded.touched >= _MOST_TOUCHED or folded.held >= _MOST_HELD
    paced = parts.pace is not None and unwritten >= parts.pace.rate * _PACED_SECONDS
    return paced or folded.touched >= _TOUCHED


async def _write(
    parts: _Rebuilding, effects: Effects, place: Place, before: "asyncio.Task[None] | None"
) -> "asyncio.Task[None]":
    """Begin to write what was folded, once what was folded before is written."""
    await parts.preparation.reap(effects)
    if before is not None:
        await before
    return asyncio.create_task(_commit(parts.writer, effects, place))


async def _fold_joint_events(parts: _Rebuilding, place: Place) -> Place:
    """Rulings and releases, before anybody is there whom they concern."""
    blocks = await joint_blocks(parts.blocks, place)
    records: list[LogRecord] = [event for block in blocks for event in _opened(block)]
    records = [record for record in records if parts.owners[record.partition_id] == "joint"]
    place = place._replace(bucket=0, batch_id=0)
    reading = await parts.readers[0].read(parts.owners, records)
    found = [one for one in _live(reading, parts.losers, place.at) if _comes_first(one)]
    parts.preparation.recall(records, [one for one in found if one.moment.type == ERASURE])
    reading.found = [one for one in found if one.moment.type != ERASURE]
    effects = await parts.preparation.prepare(Ahead(records, reading, {}, {}, {}), None)
    parts.preparation.follow()
    await _commit(parts.writer, effects, place)
    return place


async def _chunks(parts: _Rebuilding, place: Place) -> AsyncGenerator[_Chunk]:
    """The archive after a place, in chunks; each reader is ahead by one."""
    ahead: deque[asyncio.Task[_Chunk]] = deque()
    size = _CHUNK_EVENTS if parts.pace is None else min(_CHUNK_EVENTS, int(parts.pace.rate))  # a second's
    coming = asyncio.create_task(blocks_after(parts.blocks, place))
    try:
        while page := await coming:
            last = place._replace(bucket=page[-1].bucket, batch_id=page[-1].batch_id)
            coming = asyncio.create_task(blocks_after(parts.blocks, last))
            for number, some in enumerate(_of_some_size(page, size)):
                events = place.events + sum(block.events for block in some)
                place = place._replace(bucket=some[-1].bucket, batch_id=some[-1].batch_id, events=events)
                ahead.append(asyncio.create_task(_read(parts, parts.readers[number % _READERS], some, place)))
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


async def _read(parts: _Rebuilding, reader: Reader, blocks: list[StoredBlock], place: Place) -> _Chunk:
    try:
        reading = await reader.open(parts.owners, [block.payload for block in blocks])
    except DamagedBlock:
        for block in blocks:
            _opened(block)  # finds which one it is
        raise
    reading.found = [one for one in _live(reading, parts.losers, place.at) if not _comes_first(one)]
    return _Chunk(reading, place)


def _comes_first(found: Found) -> bool:
    """Whether it is folded before anybody is there; an erasure of the first version is a fact of somebody's."""
    type_ = found.moment.type
    return type_ in _JOINT_FIRST and (type_ != ERASURE or found.subject is None)


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


def _live(reading: Reading, lost: Losers, at: int | None) -> list[Found]:
    """What was found and had happened by then, without bodies whose id another one has taken."""
    found = reading.found
    if at is not None:
        found = [one for one in found if one.moment.at <= at]
    if not lost:
        return found
    return [one for one in found if (one.moment.id, one.moment.source, one.body_hash) not in lost]


async def _commit(writer: asyncpg.Connection, effects: Effects, place: Place) -> None:
    harvest = effects.harvest
    entries = replace(harvest.entries, terms_changed=False)  # whatever is written follows the terms agreed
    await commit_rebuilt(
        writer,
        effects.rows,
        harvest.gone,
        harvest.moved,
        effects.with_handoffs,
        effects.had_handoffs,
        entries,
        effects.register_version,
        place,
    )
