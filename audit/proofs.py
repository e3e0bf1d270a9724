"""Proofs that an auditor can check without the database: a small file and the signer's public key suffice."""

from collections.abc import Sequence
from contextlib import aclosing

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.checkpoints import Checkpoint, check
from audit.merkle import consistency_proof, inclusion_proof, is_consistent, is_included, root_of
from schemas.errors import TandemError
from store.chain import leaf_bytes
from store.tree import batches_from, place_of_batch, read_tree


class NoProof(TandemError):
    """What was asked for cannot be proved. Sign a checkpoint first, or ask for what the message names."""


class Inclusion(msgspec.Struct, frozen=True, tag="inclusion", tag_field="proves"):
    """That a batch was there when a checkpoint was signed. Hashes and bytes are hex."""

    batch_id: int
    place: int  #: in the tree, from 0
    leaf: str
    path: list[str]
    checkpoint: Checkpoint


class Consistency(msgspec.Struct, frozen=True, tag="consistency", tag_field="proves"):
    """That between two checkpoints batches were only added. Hashes are hex."""

    first: Checkpoint
    second: Checkpoint
    path: list[str]


Proof = Inclusion | Consistency


async def prove_inclusion(connection: asyncpg.Connection, batch_id: int, checkpoint: Checkpoint) -> Inclusion:
    """That a batch is under a checkpoint. Raises NoProof."""
    place = await place_of_batch(connection, batch_id)
    if place is None:
        raise NoProof(f"no batch {batch_id} is in the tree: see the batches that `tandem audit verify` counts")
    if place >= checkpoint.size:
        raise NoProof(f"batch {batch_id} was committed after the last checkpoint: wait for the next one")
    leaves = await _leaves(connection, checkpoint)
    path = [step.hex() for step in inclusion_proof(leaves, place)]
    return Inclusion(batch_id, place, leaves[place].hex(), path, checkpoint)


async def prove_consistency(connection: asyncpg.Connection, first: Checkpoint, second: Checkpoint) -> Consistency:
    """That the second checkpoint's batches begin with the first one's. Raises NoProof."""
    leaves = await _leaves(connection, second)
    if not 0 < first.size <= second.size or root_of(leaves[: first.size]).hex() != first.root:
        raise NoProof(f"the batches are not those that were signed at {first.signed_at}: run `tandem audit verify`")
    return Consistency(first, second, [step.hex() for step in consistency_proof(leaves, first.size)])


async def _leaves(connection: asyncpg.Connection, checkpoint: Checkpoint) -> Sequence[bytes]:
    tree = await read_tree(connection)
    if checkpoint.log != str(tree.log_id):
        raise NoProof(f"the checkpoint is of the log {checkpoint.log}, the database's is {tree.log_id}")
    leaves = list[bytes]()
    async with aclosing(batches_from(connection, 0, checkpoint.size)) as pages:
        async for page in pages:
            leaves += [leaf_bytes(batch.leaf) for batch in page]
    if root_of(leaves).hex() != checkpoint.root:
        raise NoProof(
            f"the batches are not those that were signed at {checkpoint.signed_at}: run `tandem audit verify`"
        )
    return leaves


def check_proof(proof: Proof, key: Ed25519PublicKey) -> str:
    """Check a proof. Returns what it proves, as a sentence. Raises NoProof, DamagedCheckpoint."""
    try:
        if isinstance(proof, Inclusion):
            return _check_inclusion(proof, key)
        return _check_consistency(proof, key)
    except ValueError as error:
        raise NoProof(f"the proof is damaged: {error}") from error


def _check_inclusion(proof: Inclusion, key: Ed25519PublicKey) -> str:
    signed = proof.checkpoint
    check(signed, key)
    path = [bytes.fromhex(step) for step in proof.path]
    leaf = bytes.fromhex(proof.leaf)
    if int.from_bytes(leaf[:8], "big") != proof.batch_id:
        raise NoProof(f"the leaf is not that of batch {proof.batch_id}")
    if not is_included(leaf, proof.place, signed.size, path, bytes.fromhex(signed.root)):
        raise NoProof(f"the proof does not show that batch {proof.batch_id} is under the checkpoint")
    return f"batch {proof.batch_id} was among the {signed.size} batches that were signed at {signed.signed_at}"


def _check_consistency(proof: Consistency, key: Ed25519PublicKey) -> str:
    first, second = proof.first, proof.second
    check(first, key)
    check(second, key)
    roots = bytes.fromhex(first.root), bytes.fromhex(second.root)
    path = [bytes.fromhex(step) for step in proof.path]
    if first.log != second.log or not is_consistent(first.size, roots[0], second.size, roots[1], path):
        raise NoProof("the proof does not show that batches were only added between the two checkpoints")
    return (
        f"from {first.signed_at} ({first.size} batches) to {second.signed_at} ({second.size}), batches were only added"
    )
