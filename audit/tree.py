"""The Merkle tree of RFC 9162, section 2.1: hashes, roots, inclusion and consistency proofs.

Pure and alone: an auditor runs this file with nothing but the standard library.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

HASH_SIZE = 32


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data): the hash of one entry (RFC 9162, section 2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right): the hash of an inner node (RFC 9162, section 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


_LEAF, _NODE = sha256(b"\x00"), sha256(b"\x01")


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """:func:`leaf_hash` of each; a hash that was begun is copied, in less time than to begin one."""
    hashes, begun = [], _LEAF.copy
    for entry in entries:
        leaf = begun()
        leaf.update(entry)
        hashes.append(leaf.digest())
    return hashes


def node_hashes(nodes: Sequence[bytes]) -> list[bytes]:
    """:func:`node_hash` of each pair of ``nodes``, whose number is even."""
    hashes, begun, rest = [], _NODE.copy, iter(nodes)
    for left, right in zip(rest, rest, strict=True):
        node = begun()
        node.update(left + right)
        hashes.append(node.digest())
    return hashes


EMPTY_ROOT = sha256(b"").digest()


class ProofError(Exception):
    """A proof does not hold, or does not have the form that the sizes demand."""


@dataclass(frozen=True, slots=True)
class Head:
    """A tree head: size and root."""

    size: int = 0
    root: bytes = EMPTY_ROOT


class HashReader(Protocol):
    """Where the hashes of complete subtrees come from."""

    def subtree(self, level: int, index: int) -> bytes:
        """The hash over leaves ``index * 2**level`` up to, not including, ``(index + 1) * 2**level``."""
        ...


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: enough to append and to tell the root, in O(log size).

    ``peaks`` holds one hash for each 1 in the binary form of ``size``, the largest subtree first.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = field(default=())

    def extend(self, leaves: Iterable[bytes]) -> "Frontier":
        """The frontier after the hashes ``leaves`` were appended in that order."""
        fresh, held, peaks = list(leaves), list(self.peaks), []
        size, below = self.size + len(fresh), self.size
        while fresh or below:  # a level at a time; each 1 of the size is a peak, which stands before what is new
            if below & 1:
                fresh.insert(0, held.pop())
            if len(fresh) & 1:
                peaks.append(fresh.pop())
            fresh, below = node_hashes(fresh), below >> 1
        return Frontier(size, tuple(reversed(peaks)))

    def root(self) -> bytes:
        """The tree head MTH(D_size) (RFC 9162, section 2.1.1)."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node)
        return node


def read_frontier(size: int, reader: HashReader) -> Frontier:
    """The frontier of the first ``size`` leaves, read from stored hashes."""
    return Frontier(size, tuple(reader.subtree(level, index) for level, index in _perfect_subtrees(0, size)))


def inclusion_proof(index: int, size: int, reader: HashReader) -> list[bytes]:
    """PATH(index, D_size): the proof that leaf ``index`` is in the tree of ``size`` (RFC 9162, section 2.1.3.1).

    Raises:
        ProofError: ``index`` is not in ``0 … size - 1``.
    """
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    low, high, path = 0, size, []
    while high - low > 1:
        split = low + _split(high - low)
        if index < split:
            path.append(_range_hash(split, high, reader))
            high = split
        else:
            path.append(_range_hash(low, split, reader))
            low = split
    return path[::-1]


def consistency_proof(first: int, second: int, reader: HashReader) -> list[bytes]:
    """PROOF(first, D_second): the proof that a tree of ``first`` is a prefix (RFC 9162, section 2.1.4.1).

    Empty for ``first`` equal to 0 or to ``second``.

    Raises:
        ProofError: ``first`` is not in ``0 … second``.
    """
    if not 0 <= first <= second:
        raise ProofError(f"no tree of {first} within a tree of {second}")
    if first in (0, second):
        return []
    low, high, whole, path = 0, second, True, []
    while first != high:
        split = low + _split(high - low)
        if first <= split:
            path.append(_range_hash(split, high, reader))
            high = split
        else:
            path.append(_range_hash(low, split, reader))
            low, whole = split, False
    if not whole:
        path.append(_range_hash(low, high, reader))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return when ``proof`` shows the leaf hash ``leaf`` at ``index`` of the tree (RFC 9162, section 2.1.3.2).

    Raises:
        ProofError: It does not.
    """
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    _check_lengths(leaf, root, *proof)
    first, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the proof is longer than the path")
        if first & 1 or first == last:
            node = node_hash(sibling, node)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        first, last = first >> 1, last >> 1
    if last != 0:
        raise ProofError("the proof is shorter than the path")
    if node != root:
        raise ProofError("the path does not lead to the root")


def verify_consistency(first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> None:
    """Return when ``proof`` shows that the first tree is a prefix of the second (RFC 9162, section 2.1.4.2).

    An empty first tree is a prefix of every tree, so that no proof from it says anything: it is refused.

    Raises:
        ProofError: It does not.
    """
    if not 0 <= first <= second:
        raise ProofError(f"no tree of {first} within a tree of {second}")
    if first == second:
        _verify_same(first, proof, first_root, second_root)
        return
    if first == 0:
        raise ProofError(f"nothing is shown by a proof from an empty tree to one of {second}")
    _check_lengths(first_root, second_root, *proof)
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        raise ProofError("the proof is empty")
    if _fold(first, second, path) != (first_root, second_root):
        raise ProofError("the proof does not lead to both roots")


def _fold(first: int, second: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The two roots that the consistency path leads to; steps 3 to 6 of RFC 9162, section 2.1.4.2."""
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for node in path[1:]:
        if sn == 0:
            raise ProofError("the proof is longer than the path")
        if fn & 1 or fn == sn:
            old, new = node_hash(node, old), node_hash(node, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, node)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofError("the proof is shorter than the path")
    return old, new


def _verify_same(size: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> None:
    if proof:
        raise ProofError("the proof must be empty for equal sizes")
    if first_root != second_root:
        raise ProofError("two roots for one size")
    if size == 0 and first_root != EMPTY_ROOT:
        raise ProofError("the root of an empty tree is SHA-256 of nothing")


def _check_lengths(*hashes: bytes) -> None:
    for value in hashes:
        if len(value) != HASH_SIZE:
            raise ProofError(f"a hash has {HASH_SIZE} bytes, not {len(value)}")


def _split(count: int) -> int:
    """The largest power of two smaller than ``count`` (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _perfect_subtrees(low: int, high: int) -> list[tuple[int, int]]:
    """The complete subtrees, left to right, that make up the leaves ``low … high - 1``; ``low`` is aligned."""
    parts = []
    while low < high:
        level = (high - low).bit_length() - 1
        if low:
            level = min(level, (low & -low).bit_length() - 1)
        parts.append((level, low >> level))
        low += 1 << level
    return parts


def _range_hash(low: int, high: int, reader: HashReader) -> bytes:
    """MTH(D[low:high]) where the range is one that the proofs of RFC 9162 ask for."""
    parts = _perfect_subtrees(low, high)
    node = reader.subtree(*parts[-1])
    for level, index in reversed(parts[:-1]):
        node = node_hash(reader.subtree(level, index), node)
    return node
