"""Switch: a projection beside the live one takes its place, in one transaction, and can be switched back.

It is brought up to date in rounds: everybody whom a new event names is folded again from the archive. While the last
round runs, no batch is committed; then the tables change places.
"""

from contextlib import AsyncExitStack
from typing import NamedTuple

import asyncpg

from audit.progress import Progress
from audit.rebuild import write_effects
from projections.playbook.rules import Rules
from schemas.decode import decode, decode_again
from store.archive import open_block
from store.loading import load_register
from store.partitions import read_departments
from store.rebuild import AnotherPlaybook, claimed, look_at, position_of
from store.session import closing, open_connection, open_engine_connection, open_writer
from store.switch import Behind, behind, blocks_between, check_kind, exchange, hold, losers_between
from streams.engine.cache import Cache
from streams.engine.effects import Effects, reap
from streams.engine.refolding import Refolding

_FEW = 5_000  #: events: so many are folded while nothing is committed
_TRIES = 5  #: of the exchange, against deadlocks with readers


class Switched(NamedTuple):
    """The result of a switch."""

    projection: str  #: name of the former live one
    caught_up: int  #: events that it was behind when the switch began


class _Parts(NamedTuple):
    """The connections of a switch."""

    control: asyncpg.Connection
    writer: asyncpg.Connection
    lookups: asyncpg.Connection
    cache: Cache
    refolding: Refolding
    departments: dict[int, str]


async def switch(database_url: str, rules: Rules, name: str, progress: Progress) -> Switched:
    """Let the projection take the place of the live one. `rules`: those that it was built with.

    Raises NoSuchProjection, BeingBuilt, NotSwitchable, AnotherPlaybook, and what asyncpg raises.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(claimed(database_url, name))
        control = await stack.enter_async_context(closing(await open_connection(database_url)))
        async with control.transaction(readonly=True):
            built_with = (await look_at(control, name)).playbook
        if built_with != rules.digest:
            raise AnotherPlaybook(
                f"the projection {name!r} was built with the playbook {built_with[:12]}, not with {rules.digest[:12]}: "
                "name that one with --playbook"
            )
        writer = await stack.enter_async_context(closing(await open_writer(database_url, name)))
        lookups = await stack.enter_async_context(closing(await open_engine_connection(database_url, name)))
        await check_kind(control, name, await position_of(writer))
        departments = await read_departments(lookups)
        cache = Cache(lookups, rules, await load_register(lookups))
        parts = _Parts(
            control=control,
            writer=writer,
            lookups=lookups,
            cache=cache,
            refolding=Refolding(cache, rules, departments),
            departments=departments,
        )
        done = await _nearly(parts, progress)
        done += await _exchanged(parts, name)
    return Switched(name, done)


async def _exchanged(parts: _Parts, name: str) -> int:
    """Catch up with what is missing and exchange the tables, in one transaction. Returns by how many events.

    A worker that reads several tables and the exchange may wait for each other; PostgreSQL undoes one of the two, and
    if that is the exchange, it is tried again.
    """
    done = 0
    for left in reversed(range(_TRIES)):
        try:
            async with parts.control.transaction():
                await hold(parts.control)
                while (missing := await behind(parts.control, await position_of(parts.writer))) is not None:
                    done += await _catch_up(parts, missing)
                await exchange(parts.control, name)
            break
        except asyncpg.DeadlockDetectedError:
            if not left:
                raise
    return done


async def _nearly(parts: _Parts, progress: Progress) -> int:
    """Catch up while batches go on being committed, until little is missing. Returns by how many events."""
    done = 0
    while True:
        async with parts.control.transaction():
            await hold(parts.control)
            missing = await behind(parts.control, await position_of(parts.writer))
        if missing is None or missing.events <= _FEW:
            return done
        done += await _catch_up(parts, missing)
        progress(done, done)


async def _catch_up(parts: _Parts, missing: Behind) -> int:
    """Fold everybody again whom the events of some batches name. Returns how many events there are."""
    position = await position_of(parts.writer)
    blocks = await blocks_between(parts.lookups, position.until_batch, missing.until_batch)
    archived = [event for block in blocks for event in open_block(block.payload)]
    events = [decode(one.value, parts.departments[one.partition_id]) for one in archived]
    effects = Effects(parts.cache.register_version)
    taken = await losers_between(parts.lookups, position.until_batch, missing.until_batch)
    losers = [decode_again(payload) for payload in taken]
    await parts.refolding.refold(events, losers, missing.until_batch)
    await reap(parts.cache, effects, tells_feed=False)
    total = position.total + sum(block.events for block in blocks)
    position = position._replace(until_batch=missing.until_batch, events=total, total=total)
    await write_effects(parts.writer, effects, effects.harvest.entries, position)
    return len(events)
