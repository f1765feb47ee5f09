"""Every size from 0 to 1,100: roots, frontiers, tiles and proofs as in the text of RFC 9162, and no other proof."""

import random
from collections.abc import Callable, Mapping, Sequence

import pytest

from audit.tiles import Edge, TileHashes, read_edge, tile_widths
from audit.tree import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    read_frontier,
    verify_consistency,
    verify_inclusion,
)
from tests.rfc9162 import Subtrees, leaves, mth, path, proof

LARGEST = 1_100
SIZES = range(LARGEST + 1)
OTHER = leaf_hash(b"other")
Tiles = Mapping[tuple[int, int], Sequence[bytes]]


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    """Those of the largest tree, which serve every smaller one."""
    return Edge().append(leaves(0, LARGEST))[1]


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Another draw in each run; a failing test shows it."""
    seed = random.SystemRandom().getrandbits(32)
    request.node.add_report_section("setup", "seed", str(seed))
    return random.Random(seed)


def reader(tiles: Tiles) -> Callable[[int, int], Sequence[bytes]]:
    return lambda level, index: tiles[level, index]


def test_the_root_of_every_size(tiles: Tiles) -> None:
    frontier, edge = Frontier(), Edge()
    for size in SIZES:
        expected = mth(0, size)
        assert frontier.root() == edge.frontier.root() == expected, size
        assert read_frontier(size, Subtrees()) == read_frontier(size, TileHashes(reader(tiles))) == frontier, size
        assert read_edge(size, reader(tiles)) == edge, size
        frontier = frontier.extend(leaves(size, size + 1))
        edge, _ = edge.append(leaves(size, size + 1))
    assert mth(0, 0) == EMPTY_ROOT


def test_the_tiles_of_every_size(tiles: Tiles) -> None:
    """A hash of level l is MTH over 256**l leaves; the tiles of a size are the beginnings of later ones."""
    for size in SIZES:
        for level, index, width in tile_widths(size):
            held = tiles[level, index][:width]
            assert len(held) == width
            last, span = index * 256 + width - 1, 256**level
            assert held[-1] == mth(last * span, (last + 1) * span)


def test_every_subtree_of_the_largest_tree(tiles: Tiles) -> None:
    hashes = TileHashes(reader(tiles))
    for level in range(LARGEST.bit_length()):
        for index in range(LARGEST >> level):
            assert hashes.subtree(level, index) == mth(index << level, (index + 1) << level)


def test_inclusion_in_every_size(tiles: Tiles, chance: random.Random) -> None:
    hashes = TileHashes(reader(tiles))
    for size in SIZES[1:]:
        for index in {0, size - 1, chance.randrange(size), chance.randrange(size)}:
            good, leaf, root = path(index, 0, size), mth(index, index + 1), mth(0, size)
            assert inclusion_proof(index, size, hashes) == inclusion_proof(index, size, Subtrees()) == good
            verify_inclusion(leaf, index, size, good, root)
            for at in range(len(good)):
                wrong = [*good[:at], OTHER, *good[at + 1 :]]
                assert not included(leaf, index, size, wrong, root), (index, size, at)
            assert not included(OTHER, index, size, good, root)
            assert not included(leaf, index, size, good, OTHER)
            assert not included(leaf, index, size, [*good, OTHER], root)
            assert not good or not included(leaf, index, size, good[:-1], root)
            other = chance.randrange(size)
            assert other == index or not included(leaf, other, size, good, root), (index, other, size)


def included(leaf: bytes, index: int, size: int, given: list[bytes], root: bytes) -> bool:
    try:
        verify_inclusion(leaf, index, size, given, root)
    except ProofError:
        return False
    return True


def test_consistency_with_every_size(tiles: Tiles, chance: random.Random) -> None:
    hashes = TileHashes(reader(tiles))
    for second in SIZES[1:]:
        for first in {1, second, max(1, second - 1), chance.randint(1, second), chance.randint(1, second)}:
            good, roots = proof(first, second), (mth(0, first), mth(0, second))
            assert consistency_proof(first, second, hashes) == consistency_proof(first, second, Subtrees()) == good
            verify_consistency(first, second, good, *roots)
            for at in range(len(good)):
                wrong = [*good[:at], OTHER, *good[at + 1 :]]
                assert not consistent(first, second, wrong, *roots), (first, second, at)
            assert not consistent(first, second, good, OTHER, roots[1])
            assert not consistent(first, second, good, roots[0], OTHER)
            assert not consistent(first, second, [*good, OTHER], *roots)
            assert not good or not consistent(first, second, good[:-1], *roots)
            assert first == second or not consistent(first, second, good, roots[1], roots[0])


def consistent(first: int, second: int, given: list[bytes], first_root: bytes, second_root: bytes) -> bool:
    try:
        verify_consistency(first, second, given, first_root, second_root)
    except ProofError:
        return False
    return True
