"""The archive: every applied event's own bytes, in compressed blocks.

A batch's events lie in 64 buckets, by their anchor identifier: to fold a person again, only that person's buckets are
read. One block is one zstd frame of a MessagePack list.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg
import msgspec
import zstandard

BUCKETS = 64


class Archived(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One event as it was recorded. Times are microseconds since 1970 UTC."""

    partition_id: int
    offset: int
    recorded_at: int  #: by the broker
    received_at: str | None  #: by our edge, RFC 3339; None where the producer spoke to Kafka itself
    value: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Archived])
_decompressor = zstandard.ZstdDecompressor()


def bucket_of(anchor: bytes) -> int:
    """The bucket of an identifier's key."""
    return anchor[-1] % BUCKETS


async def blocks_of(events: Iterable[tuple[int, Archived]]) -> list[tuple[int, int, bytes]]:
    """(bucket, number of events, payload) for each bucket in (bucket, event) pairs, by bucket.

    Compresses in a thread, in one call: it leaves the interpreter to others meanwhile.
    """
    by_bucket: dict[int, list[Archived]] = defaultdict(list)
    for bucket, event in events:
        by_bucket[bucket].append(event)
    if not by_bucket:
        return []
    buckets = sorted(by_bucket)
    plain: list[Any] = [_encoder.encode(by_bucket[bucket]) for bucket in buckets]
    compressor = zstandard.ZstdCompressor(level=1)  # threads must not share one
    packed = await asyncio.to_thread(compressor.multi_compress_to_buffer, plain, threads=1)
    return [(bucket, len(by_bucket[bucket]), packed[n].tobytes()) for n, bucket in enumerate(buckets)]


def open_block(payload: bytes) -> list[Archived]:
    """The events of a block."""
    return _decoder.decode(_decompressor.decompress(payload))


_BLOCK = "SELECT payload FROM archive WHERE bucket = $1 AND batch_id = $2"
_BUCKETS = "SELECT payload FROM archive WHERE bucket = ANY ($1::smallint[]) ORDER BY bucket, batch_id"
_ALL = "SELECT payload FROM archive ORDER BY batch_id, bucket"


async def read_block(connection: asyncpg.Connection, bucket: int, batch_id: int) -> list[Archived]:
    """The events of one block."""
    payload = await connection.fetchval(_BLOCK, bucket, batch_id)
    return open_block(payload) if payload is not None else []


async def read_buckets(connection: asyncpg.Connection, buckets: Iterable[int]) -> list[Archived]:
    """All archived events of the given buckets."""
    rows = await connection.fetch(_BUCKETS, sorted(set(buckets)))
    return [event for row in rows for event in open_block(row["payload"])]


async def read_all(connection: asyncpg.Connection) -> AsyncIterator[Archived]:
    """Every archived event, in memory of one block at a time."""
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(_ALL, prefetch=64):
            for event in open_block(row["payload"]):
                yield event
