"""Merkle trees as RFC 9162 has them (section 2.1): a root over a list of leaves, and proofs about it. Pure.

A leaf's hash is SHA-256(0x00 || leaf), an inner node's SHA-256(0x01 || left || right); a list of n leaves is split at
the largest power of two below n.
"""

from collections.abc import Sequence
from hashlib import sha256

Hash = bytes  #: 32 bytes


def leaf_hash(leaf: bytes) -> Hash:
    """The hash of one leaf."""
    return sha256(b"\x00" + leaf).digest()


def _node(left: Hash, right: Hash) -> Hash:
    return sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


class Tree:
    """The root of a growing list of leaves, in memory of one hash for each bit of its size."""

    def __init__(self) -> None:
        self.size = 0
        #: roots of full subtrees, the largest first: one for each bit that is set in `size`
        self._peaks: list[tuple[int, Hash]] = []

    def add(self, leaf: bytes) -> None:
        """Take the next leaf."""
        count, root = 1, leaf_hash(leaf)
        while self._peaks and self._peaks[-1][0] == count:
            _, left = self._peaks.pop()
            count, root = 2 * count, _node(left, root)
        self._peaks.append((count, root))
        self.size += 1

    def root(self) -> Hash:
        """The root over all leaves so far; of none the hash of nothing."""
        if not self._peaks:
            return sha256(b"").digest()
        *others, (_, root) = self._peaks
        for _, left in reversed(others):
            root = _node(left, root)
        return root


def root_of(leaves: Sequence[bytes]) -> Hash:
    """The root over a list of leaves."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def inclusion_proof(leaves: Sequence[bytes], place: int) -> list[Hash]:
    """What proves that the leaf at `place` (from 0) is in the tree: RFC 9162, 2.1.3.1."""
    if not 0 <= place < len(leaves):
        raise IndexError(f"there is no leaf {place} among {len(leaves)}")
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if place < middle:
        return [*inclusion_proof(leaves[:middle], place), root_of(leaves[middle:])]
    return [*inclusion_proof(leaves[middle:], place - middle), root_of(leaves[:middle])]


def is_included(leaf: bytes, place: int, size: int, proof: Sequence[Hash], root: Hash) -> bool:
    """Whether a proof shows that a leaf stands at `place` of the tree with this size and root: RFC 9162, 2.1.3.2."""
    if not 0 <= place < size:
        return False
    first, last, computed = place, size - 1, leaf_hash(leaf)
    for step in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            computed = _node(step, computed)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            computed = _node(computed, step)
        first, last = first >> 1, last >> 1
    return last == 0 and computed == root


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[Hash]:
    """What proves that the first `first` leaves were the whole tree once: RFC 9162, 2.1.4.1."""
    if not 0 < first <= len(leaves):
        raise IndexError(f"a tree of {len(leaves)} leaves never had {first}")
    return _subproof(first, leaves, whole=True)


def _subproof(first: int, leaves: Sequence[bytes], *, whole: bool) -> list[Hash]:
    if first == len(leaves):
        return [] if whole else [root_of(leaves)]
    middle = _split(len(leaves))
    if first <= middle:
        return [*_subproof(first, leaves[:middle], whole=whole), root_of(leaves[middle:])]
    return [*_subproof(first - middle, leaves[middle:], whole=False), root_of(leaves[:middle])]


def is_consistent(first: int, first_root: Hash, second: int, second_root: Hash, proof: Sequence[Hash]) -> bool:
    """Whether a proof shows that the tree of size `second` only added leaves to that of `first`: RFC 9162, 2.1.4.2."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    steps = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not steps:
        return False
    one, other = first - 1, second - 1
    while one & 1:
        one, other = one >> 1, other >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if other == 0:
            return False
        if one & 1 or one == other:
            before, after = _node(step, before), _node(step, after)
            while not one & 1 and one:
                one, other = one >> 1, other >> 1
        else:
            after = _node(after, step)
        one, other = one >> 1, other >> 1
    return other == 0 and before == first_root and after == second_root
