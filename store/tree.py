"""Reading the tree of batches, in the order of commits, and what each batch stored."""

from collections.abc import AsyncGenerator
from typing import NamedTuple
from uuid import UUID

import asyncpg

from projections.text import micros
from store.archive import BUCKETS
from store.chain import Leaf, Link, Step
from store.session import Connection

_PAGE_LEAVES = 200

_TREE = "SELECT log_id, size FROM tree"
_LEAVES = """
    SELECT leaf, batch_id, committed_at, partition_id, from_offset, to_offset, applied, duplicates, dead, holes, chain
    FROM batches WHERE leaf >= $1 AND leaf < $2 ORDER BY leaf, partition_id
"""
_LEAF_OF = "SELECT min(leaf) FROM batches WHERE batch_id = $1"
_BLOCKS = """
    SELECT batch_id, bucket, events, payload, names, root
    FROM unnest($1::bigint[]) AS batch_id CROSS JOIN generate_series(0, $2::int) AS bucket
    JOIN archive USING (bucket, batch_id) ORDER BY batch_id, bucket
"""
_LETTERS = """
    SELECT batch_id, partition_id, record_offset, reason, field, message, payload, recorded_at, salt, seal
    FROM dead_letters WHERE batch_id = ANY ($1::bigint[]) ORDER BY batch_id, partition_id, record_offset
"""
_HOLES = """
    SELECT batch_id, partition_id, from_offset, to_offset
    FROM holes WHERE batch_id = ANY ($1::bigint[]) ORDER BY batch_id, partition_id, from_offset
"""
_ERASED = """
    SELECT batch_id, partition_id, record_offset FROM erased_records
    WHERE batch_id = ANY ($1::bigint[]) ORDER BY 1, 2, 3
"""
_ERASED_SINCE = """
    SELECT partition_id, record_offset FROM erased_records
    WHERE batch_id IN (SELECT batch_id FROM batches WHERE leaf >= $1)
"""
_ENDS = "SELECT partition_id, topic, partition, next_offset, chain FROM partitions ORDER BY partition_id"
_STRAYS = """
    SELECT batch_id, bucket FROM archive a WHERE NOT EXISTS (SELECT FROM batches b WHERE b.batch_id = a.batch_id)
    ORDER BY batch_id, bucket LIMIT 100
"""


class Tree(NamedTuple):
    """Which log it is, and how many batches it has."""

    log_id: UUID
    size: int


class Record(NamedTuple):
    """A batch as it is recorded for one partition."""

    step: Step
    chain: bytes


class StoredBatch(NamedTuple):
    """A leaf of the tree."""

    place: int  #: from 0
    batch_id: int
    committed_at: int  #: microseconds since 1970 UTC
    records: list[Record]  #: by partition id

    @property
    def leaf(self) -> Leaf:
        """As it is hashed."""
        links = tuple(Link(record.step.partition_id, record.chain) for record in self.records)
        return Leaf(self.batch_id, self.committed_at, links)


class SealedBlock(NamedTuple):
    """A block of the archive, with what the chain has of it."""

    bucket: int
    events: int
    payload: bytes
    names: list[int]
    root: bytes | None


class SealedLetter(NamedTuple):
    """A dead letter, with what the chain has of it. Erased: no payload and no salt."""

    partition_id: int
    offset: int
    reason: str
    field: str
    message: str
    payload: bytes | None
    recorded_at: int
    salt: bytes | None
    seal: bytes | None


class Contents(NamedTuple):
    """What one batch stored, sorted."""

    blocks: list[SealedBlock]
    letters: list[SealedLetter]
    holes: list[tuple[int, int, int]]
    erased: list[tuple[int, int]]  #: (partition id, offset) of records that it erased


class End(NamedTuple):
    """Where a partition is."""

    partition_id: int
    name: str  #: topic/partition
    next_offset: int
    chain: bytes


async def read_tree(connection: Connection) -> Tree:
    """The log's id and the number of batches."""
    row = await connection.fetchrow(_TREE)
    assert row is not None, "the migration made it"
    return Tree(*row)


async def batches_from(connection: Connection, first: int, size: int) -> AsyncGenerator[list[StoredBatch], None]:
    """Batches from a place of the tree up to its size then, some hundreds at a time. Those missing are left out."""
    for place in range(first, size, _PAGE_LEAVES):
        rows = await connection.fetch(_LEAVES, place, min(place + _PAGE_LEAVES, size))
        if rows:
            yield _batches(rows)


def _batches(rows: list[asyncpg.Record]) -> list[StoredBatch]:
    batches: dict[int, StoredBatch] = {}
    for row in rows:
        batch = batches.setdefault(row["leaf"], StoredBatch(row["leaf"], row["batch_id"], micros(row[2]), []))
        step = Step(*(row[name] for name in Step._fields))
        batch.records.append(Record(step, row["chain"]))
    return list(batches.values())


async def contents_of(connection: Connection, batch_ids: list[int]) -> dict[int, Contents]:
    """What some batches stored, by batch id."""
    contents = {batch_id: Contents([], [], [], []) for batch_id in batch_ids}
    for row in await connection.fetch(_BLOCKS, batch_ids, BUCKETS - 1):
        contents[row["batch_id"]].blocks.append(SealedBlock(*row[1:]))
    for row in await connection.fetch(_LETTERS, batch_ids):
        contents[row["batch_id"]].letters.append(SealedLetter(*row[1:]))
    for row in await connection.fetch(_HOLES, batch_ids):
        contents[row["batch_id"]].holes.append((row[1], row[2], row[3]))
    for row in await connection.fetch(_ERASED, batch_ids):
        contents[row["batch_id"]].erased.append((row[1], row[2]))
    return contents


async def ends(connection: Connection) -> list[End]:
    """Where all partitions are."""
    rows = await connection.fetch(_ENDS)
    return [End(row[0], f"{row['topic']}/{row['partition']}", row["next_offset"], row["chain"]) for row in rows]


async def erased_since(connection: Connection, place: int) -> list[tuple[int, int]]:
    """(partition id, offset) of records that batches from a place of the tree on have erased."""
    return [(row[0], row[1]) for row in await connection.fetch(_ERASED_SINCE, place)]


async def stray_blocks(connection: Connection) -> list[tuple[int, int]]:
    """(batch id, bucket) of blocks that belong to no batch; at most a hundred."""
    return [(row["batch_id"], row["bucket"]) for row in await connection.fetch(_STRAYS)]


async def place_of_batch(connection: Connection, batch_id: int) -> int | None:
    """A batch's place in the tree."""
    place: int | None = await connection.fetchval(_LEAF_OF, batch_id)
    return place
