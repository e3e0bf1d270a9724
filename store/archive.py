"""The archive: every applied event's own bytes, in compressed blocks.

A batch's events lie in 64 buckets, by their strongest identifier, and each block lists whom its events name: to fold a
person again, only blocks with events of that person are read. One block is one zstd frame of a MessagePack list.

Each event is sealed with the SHA-256 of its encoding, which holds a salt; the seals are in the block's root, and the
chain covers the root (store/chain.py). An event that is erased leaves its seal, so the root stays what it was.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

import asyncpg
import msgspec
import zstandard

from schemas.errors import TandemError
from store.session import Connection

BUCKETS = 64
_FEW_KEYS = 2_000  #: beyond, whole buckets are read


class DamagedBlock(TandemError):
    """A block of the archive is not what was written. Restore the database from a backup."""


RecordId = tuple[int, int]  #: (partition id, offset)


class LogRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One record of an event topic. Times are microseconds since 1970 UTC."""

    partition_id: int
    offset: int
    recorded_at: int  #: by the broker
    received_at: str | None  #: by our gateway, RFC 3339; None where the producer wrote to Kafka directly
    value: bytes | None


class Archived(LogRecord, array_like=True, frozen=True, gc=False):
    """A record that holds an event."""

    value: bytes


class Sealed(LogRecord, array_like=True, frozen=True, gc=False):
    """A record as a block has it. Of an event that was erased, `value` and `received_at` are None."""

    salt: bytes = b""  #: random bytes; of an erased event its seal

    @property
    def erased(self) -> bool:
        """Whether the event was erased."""
        return self.value is None


class Block(NamedTuple):
    """One batch's events of one bucket, packed."""

    bucket: int
    events: int
    payload: bytes
    names: list[int]  #: of the events' strongest identifiers
    root: bytes  #: SHA-256 over the place, the names and the seals of the events


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[Sealed])
_place, _name = Struct(">hii"), Struct(">i")
_SALT_BYTES = 16
_compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)  # so a flipped bit is noticed
_decompressor = zstandard.ZstdDecompressor()


def bucket_of(key: bytes) -> int:
    """The bucket of the events whose strongest identifier has this key."""
    return key[-1] % BUCKETS


def name_of(key: bytes) -> int:
    """The short form of an identifier's key in a block's list of names: a signed number of four bytes."""
    return int.from_bytes(key[:4], "big", signed=True)


def blocks_of(events: Iterable[tuple[bytes, LogRecord]], random: Callable[[int], bytes]) -> list[Block]:
    """The blocks, by bucket, of events given with the key of their strongest identifier.

    `random` gives that many bytes that nobody can guess.
    """
    by_bucket: dict[int, list[LogRecord]] = defaultdict(list)
    names: dict[int, set[int]] = defaultdict(set)
    for key, event in events:
        bucket = bucket_of(key)
        by_bucket[bucket].append(event)
        names[bucket].add(name_of(key))
    return [
        _block(bucket, [_encode(one) for one in _salted(by_bucket[bucket], random)], names[bucket])
        for bucket in sorted(by_bucket)
    ]


def _salted(records: list[LogRecord], random: Callable[[int], bytes]) -> Iterator[Sealed]:
    salts = random(_SALT_BYTES * len(records))
    for place, one in zip(range(0, len(salts), _SALT_BYTES), records, strict=True):
        salt = salts[place : place + _SALT_BYTES]
        yield Sealed(
            partition_id=one.partition_id,
            offset=one.offset,
            recorded_at=one.recorded_at,
            received_at=one.received_at,
            value=one.value,
            salt=salt,
        )


def _block(bucket: int, encoded: list[bytes], names: Collection[int]) -> Block:
    """A block of records none of which is erased."""
    seals = [sha256(one).digest() for one in encoded]
    packed = _compressor.compress(_encode([msgspec.Raw(one) for one in encoded]))
    return Block(bucket, len(encoded), packed, sorted(names), root_of(bucket, seals, sorted(names)))


def root_of(bucket: int, seals: Sequence[bytes], names: Sequence[int]) -> bytes:
    """A block's root, which the chain covers: SHA-256 over bucket, number of events, names and seals, of fixed size."""
    head = _place.pack(bucket, len(seals), len(names))
    return sha256(b"".join([head, *[_name.pack(name) for name in names], *seals])).digest()


def seal_of(record: Sealed) -> bytes:
    """The seal of a record: 32 bytes that neither tell the record nor fit another one.

    SHA-256 over the record as a block has it; an erased one keeps its former seal.
    """
    return record.salt if record.erased else sha256(_encode(record)).digest()


def without(records: Sequence[Sealed], erased: Collection[RecordId]) -> bytes:
    """The payload of a block without the events of these records: their places and seals stay."""
    left = [
        Sealed(
            partition_id=one.partition_id,
            offset=one.offset,
            recorded_at=one.recorded_at,
            received_at=None,
            value=None,
            salt=seal_of(one),
        )
        if (one.partition_id, one.offset) in erased
        else one
        for one in records
    ]
    return _compressor.compress(_encode(left))


def open_block(payload: bytes) -> list[Archived]:
    """The events of a block, without those that were erased. Raises DamagedBlock."""
    return opened(open_sealed(payload))


def opened(records: Iterable[Sealed]) -> list[Archived]:
    """The events of records, without those that were erased."""
    return [
        Archived(one.partition_id, one.offset, one.recorded_at, one.received_at, one.value)
        for one in records
        if one.value is not None
    ]


def open_sealed(payload: bytes) -> list[Sealed]:
    """The records of a block. Raises DamagedBlock."""
    try:
        return _decoder.decode(_decompressor.decompress(payload))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise DamagedBlock(f"a block of the archive cannot be opened: {error}") from error


_BLOCK = "SELECT payload FROM archive WHERE bucket = $1 AND batch_id = $2"
_NAMED = """
    SELECT a.bucket, a.batch_id, a.payload FROM archive a
    WHERE a.bucket = ANY ($1::smallint[]) AND ($2::int[] IS NULL OR a.names && $2) ORDER BY a.batch_id, a.bucket
"""
_ALL = "SELECT payload FROM archive ORDER BY batch_id, bucket"


async def read_block(connection: Connection, bucket: int, batch_id: int) -> list[Archived]:
    """The events of one block."""
    return opened(await read_sealed(connection, bucket, batch_id))


async def read_sealed(connection: Connection, bucket: int, batch_id: int) -> list[Sealed]:
    """The records of one block; of some events only seals may be left."""
    payload = await connection.fetchval(_BLOCK, bucket, batch_id)
    return open_sealed(payload) if payload is not None else []


async def read_named(
    connection: Connection, keys: Collection[bytes], may_be: Callable[[bytes], bool] = lambda _: True
) -> list[tuple[int, int, Archived]]:
    """(bucket, batch id, event) of all events whose strongest identifier has one of these keys, and of some others.

    `may_be`: whether an event's bytes may be wanted; others are left out.
    """
    buckets = sorted({bucket_of(key) for key in keys})
    names = sorted({name_of(key) for key in keys}) if len(keys) <= _FEW_KEYS else None
    rows = await connection.fetch(_NAMED, buckets, names)
    return [
        (row["bucket"], row["batch_id"], event)
        for row in rows
        for event in opened(one for one in open_sealed(row["payload"]) if one.value is not None and may_be(one.value))
    ]


async def read_all(connection: asyncpg.Connection) -> AsyncIterator[Archived]:
    """Every archived event, in memory of one block at a time."""
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(_ALL, prefetch=64):
            for event in open_block(row["payload"]):
                yield event
