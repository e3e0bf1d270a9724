"""The chain, proven: hashes of chain, tree and blocks are computed again and compared with checkpoints.

That shows that no record was changed since it was signed. `verify` shows that the projection follows from the records.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

import asyncpg

from audit.checkpoints import Checkpoint
from audit.merkle import Tree
from audit.progress import Progress
from store.archive import DamagedBlock, open_sealed, root_of, seal_of
from store.chain import chained, content_of, leaf_bytes, letter_seal, link_of
from store.tree import (
    Contents,
    End,
    Record,
    SealedBlock,
    SealedLetter,
    StoredBatch,
    batches_from,
    contents_of,
    ends,
    erased_since,
    read_tree,
    stray_blocks,
)


class Finding(NamedTuple):
    """One record that is not as it was committed."""

    batch_id: int | None
    where: str
    what: str


class Proven(NamedTuple):
    """The outcome of the proof."""

    log: str
    size: int  #: batches
    root: str
    events: int  #: that the archive holds of these batches
    erased: int  #: events and dead letters of which only the seal is left
    checkpoints: int  #: compared
    signed: int  #: batches under the last of them
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        """Whether everything is as it was committed and signed."""
        return not self.findings


class _Walk:
    """The state of the proof after some batches."""

    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        self.tree = Tree()
        self.chains: dict[int, bytes] = {}
        self.offsets: dict[int, int] = {}
        self.events = 0
        #: (partition id, offset) of records of which the seal is left -> batch that has them, and where
        self.erased: dict[tuple[int, int], tuple[int, str]] = {}
        self.allowed: set[tuple[int, int]] = set()  #: those that some batch erased
        self.findings: list[Finding] = []

    def find(self, batch_id: int | None, where: str, what: str) -> None:
        self.findings.append(Finding(batch_id, where, what))


async def prove(connection: asyncpg.Connection, checkpoints: Sequence[Checkpoint], progress: Progress) -> Proven:
    """Compute everything again up to now, while batches go on being committed. The caller checks the signatures."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        tree, last = await read_tree(connection), await ends(connection)
    walk, due = _Walk({end.partition_id: end.name for end in last}), sorted(checkpoints, key=lambda one: one.size)
    foreign = [one for one in due if one.log != str(tree.log_id)]
    for one in foreign:
        walk.find(None, f"checkpoint of {one.signed_at}", f"it belongs to the log {one.log}, not to {tree.log_id}")
    due = [one for one in due if one not in foreign]
    at = {one.size: one for one in due}  # checkpoints of one size have one root, or one of them is false
    for one in due:
        if one.root != at[one.size].root:
            walk.find(None, f"checkpoint of {one.signed_at}", f"another one over {one.size} batches has another root")
    before: Checkpoint | None = None
    agree = True  # after the first checkpoint that disagrees, no later one can agree
    async with aclosing(_with_contents(connection, tree.size)) as pages:
        async for page in pages:
            for batch, contents in page:
                _check_batch(walk, batch, contents)
                if agree and (signed := at.get(walk.tree.size)) is not None:
                    agree = _compare(walk, signed, before)
                    before = signed
            progress(walk.tree.size, tree.size)
    for one in due:
        if one.size > tree.size:
            walk.find(
                None,
                f"checkpoint of {one.signed_at}",
                f"it was signed over {one.size} batches, and there are {tree.size}: the end was cut off",
            )
    walk.allowed.update(await erased_since(connection, tree.size))  # while this was computed
    for place, (batch_id, where) in walk.erased.items():
        if place not in walk.allowed:
            walk.find(batch_id, where, f"the record at offset {place[1]} is taken out, and no batch erased it")
    _check_ends(walk, last, tree.size)
    for batch_id, bucket in await stray_blocks(connection):
        walk.find(batch_id, f"archive, bucket {bucket}", "no batch stored this block")
    compared = sum(one.size <= tree.size for one in due)
    signed_size = max((one.size for one in due), default=0)
    root = walk.tree.root().hex()
    erased = len(walk.erased)
    return Proven(
        log=str(tree.log_id),
        size=tree.size,
        root=root,
        events=walk.events,
        erased=erased,
        checkpoints=compared,
        signed=signed_size,
        findings=walk.findings,
    )


async def _with_contents(
    connection: asyncpg.Connection, size: int
) -> AsyncGenerator[list[tuple[StoredBatch, Contents]], None]:
    async with aclosing(batches_from(connection, 0, size)) as pages:
        async for page in pages:
            contents = await contents_of(connection, [batch.batch_id for batch in page])
            yield [(batch, contents[batch.batch_id]) for batch in page]


def _check_batch(walk: _Walk, batch: StoredBatch, contents: Contents) -> None:
    if batch.place != walk.tree.size:
        missing = batch.place - walk.tree.size
        what = f"{missing} batch records are missing before batch {batch.batch_id}"
        walk.find(None, f"leaf {walk.tree.size} of the tree", what)
        while walk.tree.size < batch.place:
            walk.tree.add(b"missing")  # later batches keep their places
    blocks = [(block.bucket, _check_block(walk, batch, block)) for block in contents.blocks]
    letters = [(*letter[:2], _check_letter(walk, batch, letter)) for letter in contents.letters]
    content = content_of(blocks, letters, contents.holes, contents.erased)
    walk.allowed.update(contents.erased)
    for record in batch.records:
        _check_record(walk, batch, record, content)
    walk.tree.add(leaf_bytes(batch.leaf))


def _check_record(walk: _Walk, batch: StoredBatch, record: Record, content: bytes) -> None:
    step = record.step
    where = f"{walk.names.get(step.partition_id, step.partition_id)}, offsets {step.from_offset} to {step.to_offset}"
    if step.from_offset != walk.offsets.get(step.partition_id, step.from_offset):
        due = walk.offsets[step.partition_id]
        walk.find(batch.batch_id, where, f"it should begin at {due}: batches were swapped or lost")
    elif record.chain != chained(walk.chains.get(step.partition_id, b""), link_of(content, step)):
        walk.find(batch.batch_id, where, "the batch's record, or what it stored, is not what was committed")
    walk.chains[step.partition_id], walk.offsets[step.partition_id] = record.chain, step.to_offset


def _check_block(walk: _Walk, batch: StoredBatch, block: SealedBlock) -> bytes:
    """The root of a block, as the chain should cover it."""
    where = f"archive, bucket {block.bucket}"
    walk.events += block.events
    try:
        records = open_sealed(block.payload)
    except DamagedBlock as error:
        walk.find(batch.batch_id, where, str(error))
        return block.root or b""
    walk.erased |= {(one.partition_id, one.offset): (batch.batch_id, where) for one in records if one.erased}
    root = root_of(block.bucket, [seal_of(record) for record in records], block.names)
    if root != block.root or block.events != len(records):
        walk.find(batch.batch_id, where, "the block is not what was committed")
    return block.root or b""


def _check_letter(walk: _Walk, batch: StoredBatch, letter: SealedLetter) -> bytes:
    """The seal of a dead letter, as the chain should cover it."""
    seal = letter.seal or b""
    where = f"dead letter {walk.names.get(letter.partition_id, str(letter.partition_id))}/{letter.offset}"
    if letter.salt is None:
        walk.erased[letter.partition_id, letter.offset] = (batch.batch_id, where)
    elif letter_seal(*letter[:-2], letter.salt) != seal:
        walk.find(batch.batch_id, where, "it is not what was committed")
    return seal


def _compare(walk: _Walk, signed: Checkpoint, before: Checkpoint | None) -> bool:
    if walk.tree.root().hex() == signed.root:
        return True
    since = "the beginning" if before is None else f"the one of {before.signed_at}, over {before.size}"
    walk.find(
        None,
        f"checkpoint of {signed.signed_at}, over {signed.size} batches",
        f"the batches are not those that were signed: the first change is after {since}",
    )
    return False


def _check_ends(walk: _Walk, last: Sequence[End], size: int) -> None:
    if walk.tree.size != size:
        walk.find(None, "the end of the tree", f"{size - walk.tree.size} batch records of {size} are missing")
    for end in last:
        if end.chain != walk.chains.get(end.partition_id, b""):
            offset = walk.offsets.get(end.partition_id)
            last_known = "nowhere" if offset is None else f"at {offset}"
            what = f"it stands at {end.next_offset}, and its chain ends {last_known}: batches are missing"
            walk.find(None, end.name, what)
