"""The tree against the text of RFC 9162, and against everything that a forger may do to a proof."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from tests.rfc9162 import Subtrees, entry, leaves, mth, path, proof

LARGEST = 1_100
D = Subtrees()

# The entries and roots with which the implementations of RFC 6962 test themselves.
KNOWN_ENTRIES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int]:
    """A leaf's index and the size of a tree that holds it."""
    size = draw(st.integers(1, LARGEST))
    return draw(st.integers(0, size - 1)), size


@st.composite
def prefixes(draw: st.DrawFn) -> tuple[int, int]:
    """The sizes of an older tree and a newer one, or twice the same."""
    second = draw(st.integers(1, LARGEST))
    return draw(st.integers(1, second)), second


@st.composite
def inner_prefixes(draw: st.DrawFn) -> tuple[int, int]:
    """Sizes whose consistency is not trivial."""
    second = draw(st.integers(2, LARGEST))
    return draw(st.integers(1, second - 1)), second


def forgeries(good: list[bytes]) -> Iterator[list[bytes]]:
    """``good`` with one hash dropped, doubled, replaced, moved, cut or grown, and with one more in front or behind."""
    other = leaf_hash(b"other")
    yield from ([other, *good], [*good, other], [*good, b""])
    for at, item in enumerate(good):
        before, after = good[:at], good[at + 1 :]
        yield from (
            [*before, *after],
            [*before, item, item, *after],
            [*before, other, *after],
            [*before, item[:-1], *after],
            [*before, item + b"\x00", *after],
        )
        if after:
            yield [*before, after[0], item, *after[1:]]


def single_bits(good: list[bytes]) -> Iterator[list[bytes]]:
    """``good`` with one bit turned over, for every bit of it."""
    for at, item in enumerate(good):
        for bit in range(8 * len(item)):
            turned = (int.from_bytes(item, "big") ^ 1 << bit).to_bytes(len(item), "big")
            yield [*good[:at], turned, *good[at + 1 :]]


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    frontier = Frontier().extend(leaf_hash(bytes.fromhex(data)) for data in KNOWN_ENTRIES[:size])
    assert frontier.root().hex() == KNOWN_ROOTS[size]


def test_a_leaf_hash_is_that_of_the_rfc() -> None:
    assert leaf_hash(entry(3)) == mth(3, 4)


@given(st.integers(0, LARGEST))
def test_the_root_is_mth(size: int) -> None:
    assert Frontier().extend(leaves(0, size)).root() == mth(0, size)


@given(st.lists(st.integers(0, 80), max_size=8))
def test_appending_in_parts_is_appending_at_once(parts: list[int]) -> None:
    frontier = Frontier()
    for part in parts:
        frontier = frontier.extend(leaves(frontier.size, frontier.size + part))
        assert frontier.root() == mth(0, frontier.size)
    assert frontier == Frontier().extend(leaves(0, sum(parts)))


@given(st.integers(0, LARGEST))
def test_a_frontier_read_from_subtrees_is_the_one_that_grew(size: int) -> None:
    assert read_frontier(size, D) == Frontier().extend(leaves(0, size))


@given(places())
def test_an_inclusion_proof_is_path_and_holds(place: tuple[int, int]) -> None:
    index, size = place
    found = inclusion_proof(index, size, D)
    assert found == path(index, 0, size)
    verify_inclusion(mth(index, index + 1), index, size, found, mth(0, size))


@given(prefixes())
def test_a_consistency_proof_is_proof_and_holds(sizes: tuple[int, int]) -> None:
    first, second = sizes
    found = consistency_proof(first, second, D)
    assert found == proof(first, second)
    verify_consistency(first, second, found, mth(0, first), mth(0, second))


@given(st.integers(1, LARGEST))
def test_an_empty_tree_needs_no_proof_and_gets_none_accepted(size: int) -> None:
    assert consistency_proof(0, size, D) == []
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    with pytest.raises(ProofError, match=f"nothing is shown by a proof from an empty tree to one of {size}"):
        verify_consistency(0, size, [], EMPTY_ROOT, mth(0, size))


@pytest.mark.parametrize(("index", "size"), [(0, 2), (4, 5), (2, 7), (255, 256), (256, 257), (599, 600), (511, 600)])
def test_no_bit_of_an_inclusion_proof_is_without_meaning(index: int, size: int) -> None:
    for forged in single_bits(path(index, 0, size)):
        with pytest.raises(ProofError, match="the path does not lead to the root"):
            verify_inclusion(mth(index, index + 1), index, size, forged, mth(0, size))


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 5), (3, 7), (6, 8), (255, 256), (256, 600), (511, 600)])
def test_no_bit_of_a_consistency_proof_is_without_meaning(first: int, second: int) -> None:
    for forged in single_bits(proof(first, second)):
        with pytest.raises(ProofError, match="the proof does not lead to both roots"):
            verify_consistency(first, second, forged, mth(0, first), mth(0, second))


@given(places())
def test_a_forged_inclusion_proof_is_refused(place: tuple[int, int]) -> None:
    index, size = place
    for forged in forgeries(path(index, 0, size)):
        with pytest.raises(ProofError):
            verify_inclusion(mth(index, index + 1), index, size, forged, mth(0, size))


@given(prefixes())
def test_a_forged_consistency_proof_is_refused(sizes: tuple[int, int]) -> None:
    first, second = sizes
    for forged in forgeries(consistency_proof(first, second, D)):
        with pytest.raises(ProofError):
            verify_consistency(first, second, forged, mth(0, first), mth(0, second))


@given(places(), st.integers(-1, LARGEST), st.integers(-1, LARGEST))
def test_an_inclusion_proof_holds_for_one_leaf_index_and_root(place: tuple[int, int], index: int, size: int) -> None:
    right, whole = place
    good, leaf, root, other_root = path(right, 0, whole), mth(right, right + 1), mth(0, whole), mth(0, max(size, 0))
    claims = [
        (index != right, leaf, index, whole, root),
        (index != right, mth(LARGEST, LARGEST + 1), right, whole, root),
        (size != whole, leaf, right, size, other_root),
        (size != whole, leaf, right, whole, other_root),
    ]
    for wrong, claimed, at, within, head in claims:
        if wrong:
            with pytest.raises(ProofError):
                verify_inclusion(claimed, at, within, good, head)


@given(inner_prefixes(), st.integers(-1, LARGEST))
def test_a_consistency_proof_holds_for_its_two_trees_only(sizes: tuple[int, int], other: int) -> None:
    first, second = sizes
    good, root = consistency_proof(first, second, D), mth(0, max(other, 0))
    claims = [
        (other != first, other, second, root, mth(0, second)),
        (other != second, first, other, mth(0, first), root),
        (other != first, first, second, root, mth(0, second)),
        (other != second, first, second, mth(0, first), root),
        (True, first, second, mth(0, second), mth(0, first)),
    ]
    for wrong, left, right, left_root, right_root in claims:
        if wrong:
            with pytest.raises(ProofError):
                verify_consistency(left, right, good, left_root, right_root)


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_there_is_no_proof_for_a_leaf_outside_the_tree(index: int) -> None:
    with pytest.raises(ProofError, match=f"no leaf {index} in a tree of 5"):
        inclusion_proof(index, 5, D)
    with pytest.raises(ProofError, match=f"no leaf {index} in a tree of 5"):
        verify_inclusion(mth(4, 5), index, 5, path(4, 0, 5), mth(0, 5))


@pytest.mark.parametrize("first", [-1, 6])
def test_there_is_no_proof_for_a_tree_that_is_no_prefix(first: int) -> None:
    with pytest.raises(ProofError, match=f"no tree of {first} within a tree of 5"):
        consistency_proof(first, 5, D)
    with pytest.raises(ProofError, match=f"no tree of {first} within a tree of 5"):
        verify_consistency(first, 5, [], mth(0, 5), mth(0, 5))


@pytest.mark.parametrize(
    ("forged", "says"),
    [
        (path(4, 0, 8)[:-1], "the proof is shorter than the path"),
        ([*path(4, 0, 8), mth(0, 1)], "the proof is longer than the path"),
        ([b"short", *path(4, 0, 8)[1:]], "a hash has 32 bytes, not 5"),
        (path(5, 0, 8), "the path does not lead to the root"),
    ],
)
def test_an_inclusion_proof_is_refused_in_words(forged: list[bytes], says: str) -> None:
    with pytest.raises(ProofError, match=says):
        verify_inclusion(mth(4, 5), 4, 8, forged, mth(0, 8))


@pytest.mark.parametrize(
    ("first", "second", "forged", "roots", "says"),
    [
        (3, 8, [], (mth(0, 3), mth(0, 8)), "the proof is empty"),
        (3, 8, proof(3, 8)[:-1], (mth(0, 3), mth(0, 8)), "the proof is shorter than the path"),
        (3, 8, [*proof(3, 8), mth(0, 1)], (mth(0, 3), mth(0, 8)), "the proof is longer than the path"),
        (3, 8, proof(3, 8), (mth(0, 4), mth(0, 8)), "the proof does not lead to both roots"),
        (3, 8, proof(3, 8), (mth(0, 3)[1:], mth(0, 8)), "a hash has 32 bytes, not 31"),
        (3, 3, proof(3, 8), (mth(0, 3), mth(0, 3)), "the proof must be empty for equal sizes"),
        (3, 3, [], (mth(0, 3), mth(1, 4)), "two roots for one size"),
        (0, 0, [], (EMPTY_ROOT, mth(0, 3)), "two roots for one size"),
        (0, 0, [], (mth(0, 3), mth(0, 3)), "the root of an empty tree is SHA-256 of nothing"),
    ],
)
def test_a_consistency_proof_is_refused_in_words(
    first: int, second: int, forged: list[bytes], roots: tuple[bytes, bytes], says: str
) -> None:
    with pytest.raises(ProofError, match=says):
        verify_consistency(first, second, forged, *roots)
