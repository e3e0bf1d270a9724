"""Merkle trees against the definition of RFC 9162, 2.1.1, as it is written there."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.merkle import (
    Tree,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    leaf_hash,
    root_of,
)

LEAVES = st.lists(st.binary(max_size=4), max_size=40)


def _naively(leaves: list[bytes]) -> bytes:
    """MTH(D[n])."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = max(1 << n for n in range(7) if 1 << n < len(leaves))
    return sha256(b"\x01" + _naively(leaves[:k]) + _naively(leaves[k:])).digest()


@given(LEAVES)
def test_the_root_is_that_of_the_definition_at_every_size(leaves: list[bytes]) -> None:
    tree = Tree()
    for n, leaf in enumerate(leaves):
        assert tree.root() == _naively(leaves[:n])
        tree.add(leaf)
    assert (tree.root(), tree.size) == (_naively(leaves), len(leaves))


@settings(max_examples=300)
@given(LEAVES.filter(bool), st.data())
def test_a_proof_shows_its_own_leaf_and_no_other(leaves: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = inclusion_proof(leaves, place), root_of(leaves)
    assert is_included(leaves[place], place, len(leaves), proof, root)
    assert not is_included(leaves[place] + b"x", place, len(leaves), proof, root)
    other = data.draw(st.integers(-1, len(leaves)))
    if other != place:
        assert not is_included(leaves[place], other, len(leaves), proof, root) or leaves[other] == leaves[place]
    if proof:
        broken = data.draw(st.integers(0, len(proof) - 1))
        damaged = [step if n != broken else bytes(32) for n, step in enumerate(proof)]
        assert not is_included(leaves[place], place, len(leaves), damaged, root)
        assert not is_included(leaves[place], place, len(leaves), proof[:-1], root)
        assert not is_included(leaves[place], place, len(leaves), [*proof, bytes(32)], root)


def test_known_roots() -> None:
    """Of RFC 6962's reference tests, which RFC 9162 hashes like."""
    assert root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of([b""]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    with pytest.raises(IndexError):
        inclusion_proof([b""], 1)


@settings(max_examples=300)
@given(LEAVES.filter(bool), st.data())
def test_a_consistency_proof_shows_its_own_beginning_and_no_other(leaves: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(leaves)))
    proof, root = consistency_proof(leaves, first), root_of(leaves)
    beginning = root_of(leaves[:first])
    assert is_consistent(first, beginning, len(leaves), root, proof)
    other = root_of([*leaves[: first - 1], leaves[first - 1] + b"x"])
    assert not is_consistent(first, other, len(leaves), root, proof)
    assert not is_consistent(first, beginning, len(leaves), bytes(32), proof)
    assert not is_consistent(first, beginning, len(leaves), root, [*proof, bytes(32)])
    if proof:
        broken = data.draw(st.integers(0, len(proof) - 1))
        damaged = [step if n != broken else bytes(32) for n, step in enumerate(proof)]
        assert not is_consistent(first, beginning, len(leaves), root, damaged)
        assert not is_consistent(first, beginning, len(leaves), root, proof[:-1])


def test_there_is_no_beginning_of_nothing() -> None:
    with pytest.raises(IndexError):
        consistency_proof([b""], 0)
    assert not is_consistent(0, root_of([]), 1, root_of([b""]), [])
    assert not is_consistent(2, root_of([b"", b""]), 1, root_of([b""]), [])
