"""The hash chain: what is hashed of a batch, so that no change goes unseen (seals, contents, links, leaves).

    content  SHA-256 over what the batch stored: roots of its blocks, seals of its dead letters, holes,
             and which records it erased
    link     SHA-256 over the content, and one partition's step and counts
    chain    SHA-256 over the partition's chain before the batch, and its link
    leaf     batch id, time of the commit, and the chain of each partition that the batch advanced

All numbers are big-endian and of fixed size. docs/explanation/tamper-evidence.md has the same for auditors.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

import msgspec

_encode = msgspec.msgpack.Encoder().encode
_counts, _block, _letter = Struct(">iiii"), Struct(">h"), Struct(">iq")
_hole, _step = Struct(">iqq"), Struct(">iqqiiiq")
_head, _link = Struct(">qq"), Struct(">i")


class Step(NamedTuple):
    """How far a batch took one partition, and what it counted."""

    partition_id: int
    from_offset: int
    to_offset: int  #: exclusive
    applied: int
    duplicates: int
    dead: int
    holes: int


class Link(NamedTuple):
    """A partition's chain after a batch."""

    partition_id: int
    chain: bytes


class Leaf(NamedTuple):
    """A batch in the tree. The time is microseconds since 1970 UTC."""

    batch_id: int
    committed_at: int
    links: tuple[Link, ...]  #: by partition id


def letter_seal(
    partition_id: int,
    offset: int,
    reason: str,
    field: str,
    message: str,
    payload: bytes | None,
    recorded_at: int,
    salt: bytes,
) -> bytes:
    """The seal of a dead letter: it stays when the letter is erased."""
    row = (partition_id, offset, reason, field, message, payload, recorded_at, salt)
    return sha256(_encode(row)).digest()


def content_of(
    blocks: Sequence[tuple[int, bytes]],
    letters: Sequence[tuple[int, int, bytes]],
    holes: Sequence[tuple[int, int, int]],
    erased: Sequence[tuple[int, int]],
) -> bytes:
    """SHA-256 over what a batch stored, all of it sorted.

    Blocks are (bucket, root), letters (partition id, offset, seal), holes (partition id, from, to), `erased` records of
    which this batch left the seal (partition id, offset).
    """
    parts = [_counts.pack(len(blocks), len(letters), len(holes), len(erased))]
    parts += [_block.pack(bucket) + root for bucket, root in blocks]
    parts += [_letter.pack(partition_id, offset) + seal for partition_id, offset, seal in letters]
    parts += [_hole.pack(*hole) for hole in holes]
    parts += [_letter.pack(*place) for place in erased]
    return sha256(b"".join(parts)).digest()


def link_of(content: bytes, step: Step) -> bytes:
    """What a batch adds to the chain of a partition."""
    return sha256(content + _step.pack(*step)).digest()


def chained(before: bytes, link: bytes) -> bytes:
    """A partition's chain after one more batch; it begins with nothing."""
    return sha256(before + link).digest()


def leaf_bytes(leaf: Leaf) -> bytes:
    """A leaf as the tree hashes it."""
    links = [_link.pack(link.partition_id) + link.chain for link in leaf.links]
    return _head.pack(leaf.batch_id, leaf.committed_at) + b"".join(links)
