"""The archive: every applied event's own bytes, in compressed blocks.

A batch's events lie in 64 buckets, by their strongest identifier, and each block lists whom its events name: to fold a
person again, only blocks that have events of that person are read. One block is one zstd frame of a MessagePack list.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from typing import NamedTuple

import asyncpg
import msgspec
import zstandard

from schemas.errors import TandemError
from store.session import Reader

BUCKETS = 64
_FEW_KEYS = 2_000  #: for more, whole buckets are read


class DamagedBlock(TandemError):
    """A block of the archive is not what was written."""


class LogRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One record of an event topic. Times are microseconds since 1970 UTC."""

    partition_id: int
    offset: int
    recorded_at: int  #: by the broker
    received_at: str | None  #: by our edge, RFC 3339; None where the producer spoke to Kafka itself
    value: bytes | None


class Archived(LogRecord, array_like=True, frozen=True, gc=False):
    """A record that holds an event."""

    value: bytes


class Block(NamedTuple):
    """One batch's events of one bucket, packed."""

    bucket: int
    events: int
    payload: bytes
    names: list[int]  #: of the events' strongest identifiers


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Archived])
_compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)  # a flipped bit never opens
_decompressor = zstandard.ZstdDecompressor()


def bucket_of(key: bytes) -> int:
    """The bucket of the events whose strongest identifier has this key."""
    return key[-1] % BUCKETS


def name_of(key: bytes) -> int:
    """What stands for an identifier's key in a block's list of names: a signed number of four bytes."""
    return int.from_bytes(key[:4], "big", signed=True)


def blocks_of(events: Iterable[tuple[bytes, LogRecord]]) -> list[Block]:
    """The blocks, by bucket, of events given with the key of their strongest identifier."""
    by_bucket: dict[int, list[LogRecord]] = defaultdict(list)
    names: dict[int, set[int]] = defaultdict(set)
    for key, event in events:
        bucket = bucket_of(key)
        by_bucket[bucket].append(event)
        names[bucket].add(name_of(key))
    if not by_bucket:
        return []
    buckets = sorted(by_bucket)
    return [
        Block(
            bucket,
            len(by_bucket[bucket]),
            _compressor.compress(_encoder.encode(by_bucket[bucket])),
            sorted(names[bucket]),
        )
        for bucket in buckets
    ]


def open_block(payload: bytes) -> list[Archived]:
    """The events of a block. Raises DamagedBlock."""
    try:
        return _decoder.decode(_decompressor.decompress(payload))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise DamagedBlock(f"a block of the archive cannot be opened: {error}") from error


_BLOCK = "SELECT payload FROM archive WHERE bucket = $1 AND batch_id = $2"
_NAMED = """
    SELECT a.batch_id, a.payload FROM archive a
    WHERE a.bucket = ANY ($1::smallint[]) AND ($2::int[] IS NULL OR a.names && $2) ORDER BY a.batch_id, a.bucket
"""
_ALL = "SELECT payload FROM archive ORDER BY batch_id, bucket"


async def read_block(connection: Reader, bucket: int, batch_id: int) -> list[Archived]:
    """The events of one block."""
    payload = await connection.fetchval(_BLOCK, bucket, batch_id)
    return open_block(payload) if payload is not None else []


async def read_named(connection: Reader, keys: Collection[bytes]) -> list[tuple[int, Archived]]:
    """(batch id, event) of all events whose strongest identifier has one of these keys, and of some others."""
    buckets = sorted({bucket_of(key) for key in keys})
    names = sorted({name_of(key) for key in keys}) if len(keys) <= _FEW_KEYS else None
    rows = await connection.fetch(_NAMED, buckets, names)
    return [(row["batch_id"], event) for row in rows for event in open_block(row["payload"])]


async def read_all(connection: asyncpg.Connection) -> AsyncIterator[Archived]:
    """Every archived event, in memory of one block at a time."""
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(_ALL, prefetch=64):
            for event in open_block(row["payload"]):
                yield event
