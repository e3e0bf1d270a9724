"""Committing: the effects of a batch, its offsets and its counts, as the one transaction takes them."""

import os
from collections import Counter

import asyncpg

from store.commit import Advance, Batch, Hole, commit_batch
from store.feed import hint
from streams.engine.batch import Packed
from streams.engine.effects import Effects


async def commit(writer: asyncpg.Connection, effects: Effects, advances: list[Advance], holes: list[Hole]) -> int:
    """Write a batch. Returns its id. Raises what `commit_batch` and the packing raise."""
    packed = Packed([], b"") if effects.packing is None else await effects.packing
    batch_id = await commit_batch(writer, _batch(effects, packed, advances, holes))
    await hint(writer)
    return batch_id


def _batch(effects: Effects, packed: Packed, advances: list[Advance], holes: list[Hole]) -> Batch:
    harvest = effects.harvest
    letters = sorted(effects.dead_letters, key=lambda letter: letter[:2])
    return Batch(
        advances=_counted(effects, advances, holes),
        events=packed.events,
        superseded=sorted(effects.superseded),
        blocks=packed.blocks,
        journeys=effects.rows,
        gone=harvest.gone,
        moved=harvest.moved,
        entries=harvest.entries,
        consulted=harvest.consulted,
        register_version=effects.register_version,
        dead_letters=[letter._replace(salt=os.urandom(16)) for letter in letters],
        holes=holes,
        changes=effects.changes,
        swept=effects.swept,
        with_handoffs=effects.with_handoffs,
        had_handoffs=effects.had_handoffs,
        removal=effects.removal,
    )


def _counted(effects: Effects, advances: list[Advance], holes: list[Hole]) -> list[Advance]:
    """The advances with law 4's counts, by partition."""
    applied = Counter([event.partition_id for event in effects.applied])
    dead = Counter([letter.partition_id for letter in effects.dead_letters])
    missing = Counter[int]()
    for hole in holes:
        missing[hole.partition_id] += hole.to_offset - hole.from_offset
    return sorted(
        advance._replace(
            applied=applied[advance.partition_id],
            duplicates=effects.duplicates[advance.partition_id],
            dead=dead[advance.partition_id],
            holes=missing[advance.partition_id],
        )
        for advance in advances
    )
