"""Tiles: paths and widths as C2SP tlog-tiles gives them, contents as RFC 9162 does."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.tiles import (
    ENTRIES,
    Edge,
    TileError,
    TileHashes,
    bundle_widths,
    decode_bundle,
    decode_tile,
    encode_bundle,
    entries_path,
    parse_path,
    read_edge,
    tile_path,
    tile_widths,
)
from audit.tree import Frontier, consistency_proof, inclusion_proof
from tests.rfc9162 import leaves, mth, path, proof

LARGEST = 1_100
Tiles = dict[tuple[int, int], Sequence[bytes]]

entries = st.lists(st.binary(max_size=300), max_size=20)
lengths = st.lists(st.sampled_from([0, 1, 2, 44, 255, 256, 257, 512]), max_size=5)


def tiles_of(size: int) -> Tiles:
    """Every tile of the tree: the n-th of level l is MTH(D[(256 n + i) * 256**l : (256 n + i + 1) * 256**l])."""
    return {
        (level, index): [mth((256 * index + i) * 256**level, (256 * index + i + 1) * 256**level) for i in range(width)]
        for level, index, width in tile_widths(size)
    }


def reader(tiles: Tiles) -> Callable[[int, int], Sequence[bytes]]:
    return lambda level, index: tiles[level, index]


@pytest.mark.parametrize(
    ("level", "index", "width", "expected"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 1234067, 256, "tile/0/x001/x234/067"),
        (0, 1234067, 8, "tile/0/x001/x234/067.p/8"),
        (3, 999, 255, "tile/3/999.p/255"),
        (3, 1000, 256, "tile/3/x001/000"),
        (2, 1_000_000, 1, "tile/2/x001/x000/000.p/1"),
    ],
)
def test_the_path_of_a_tile(level: int, index: int, width: int, expected: str) -> None:
    assert tile_path(level, index, width) == expected
    assert entries_path(index, width) == expected.replace(f"tile/{level}/", "tile/entries/")


@pytest.mark.parametrize(("index", "width"), [(-1, 256), (0, 0), (0, 257)])
def test_a_path_for_no_tile_is_refused(index: int, width: int) -> None:
    with pytest.raises(TileError, match=f"no tile {index} of width {width}"):
        tile_path(0, index, width)
    with pytest.raises(TileError, match=f"no tile {index} of width {width}"):
        entries_path(index, width)


def test_the_tiles_of_the_specifications_example() -> None:
    """A tree of 70,000: tlog-tiles, "Partial Tiles"."""
    widths = list(tile_widths(70_000))
    assert widths == [
        *((0, index, 256) for index in range(273)),
        (0, 273, 112),
        (1, 0, 256),
        (1, 1, 17),
        (2, 0, 1),
    ]
    assert list(tile_widths(256)) == [(0, 0, 256), (1, 0, 1)]
    assert not list(tile_widths(0))
    assert not list(bundle_widths(0))


@given(st.integers(0, 200_000))
def test_the_tiles_of_a_level_hold_its_hashes_and_only_the_last_is_partial(size: int) -> None:
    for level in range(4):
        found = [(index, width) for at, index, width in tile_widths(size) if at == level]
        assert sum(width for _, width in found) == size // 256**level
        assert [index for index, _ in found] == list(range(len(found)))
        assert all(width == 256 for _, width in found[:-1])
    assert list(bundle_widths(size)) == [(index, width) for level, index, width in tile_widths(size) if level == 0]


@given(entries)
def test_a_bundle_is_decoded_as_it_was_encoded(given_entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(given_entries), len(given_entries)) == given_entries


def test_a_bundle_is_what_the_specification_says() -> None:
    assert encode_bundle([b"", b"ab", b"c" * 258]) == b"\x00\x00" + b"\x00\x02ab" + b"\x01\x02" + b"c" * 258


@given(entries, st.data())
def test_a_bundle_of_another_length_or_width_is_refused(given_entries: list[bytes], data: st.DataObject) -> None:
    bundle, width = encode_bundle(given_entries), len(given_entries)
    with pytest.raises(TileError, match=f"the bundle holds {width} entries, not {width + 1}"):
        decode_bundle(bundle, width + 1)
    with pytest.raises(TileError, match=f"the bundle ends inside entry {width} of it"):
        decode_bundle(bundle + b"\x00", width)
    if bundle:
        with pytest.raises(TileError):
            decode_bundle(bundle[: data.draw(st.integers(0, len(bundle) - 1))], width)


def test_an_entry_of_65535_bytes_is_the_largest() -> None:
    assert decode_bundle(encode_bundle([bytes(65_535)]), 1) == [bytes(65_535)]
    with pytest.raises(TileError, match="an entry has at most 65535 bytes, not 65536"):
        encode_bundle([b"small", bytes(65_536)])


@pytest.mark.parametrize("length", [0, 63, 65, 96])
def test_a_tile_of_another_length_is_refused(length: int) -> None:
    assert decode_tile(mth(0, 1) + mth(1, 2), 2) == leaves(0, 2)
    with pytest.raises(TileError, match=f"a tile of width 2 has 64 bytes, not {length}"):
        decode_tile(bytes(length), 2)


@given(lengths)
def test_appending_in_parts_leaves_the_tiles_and_the_edge_of_the_whole(parts: list[int]) -> None:
    edge, stored = Edge(), dict[tuple[int, int], Sequence[bytes]]()
    for part in parts:
        edge, changed = edge.append(leaves(edge.frontier.size, edge.frontier.size + part))
        stored |= changed
        assert edge == read_edge(edge.frontier.size, reader(stored))
    assert {at: list(hashes) for at, hashes in stored.items()} == tiles_of(sum(parts))
    assert edge.frontier.root() == mth(0, sum(parts))


@given(st.integers(0, LARGEST), st.integers(0, 600))
def test_appending_says_which_tiles_changed_and_no_other(before: int, count: int) -> None:
    edge, _ = Edge().append(leaves(0, before))
    _, changed = edge.append(leaves(before, before + count))
    old, new = tiles_of(before), tiles_of(before + count)
    assert {at: list(hashes) for at, hashes in changed.items()} == {
        at: hashes for at, hashes in new.items() if hashes != old.get(at)
    }


@given(st.integers(ENTRIES, 63), st.integers(0, 10**9), st.integers(1, 256))
def test_a_path_is_read_back(level: int, index: int, width: int) -> None:
    made = entries_path(index, width) if level == ENTRIES else tile_path(level, index, width)
    assert parse_path(made) == (level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        *("", "tile", "tile/0", "tile/0/1", "tile/0/0001", "tile/00/001", "tile/64/x/001", "tile/-1/001"),
        *("tile/0/001.p/0", "tile/0/001.p/256", "tile/0/001.p/01", "tile/0/001.p/", "tile/0/x000/001", "tile/0/x001"),
        *("tile/0/001/", "/tile/0/001", "tile/0/001\n", "tile/entries/1", "tile/0/x001/x001", "tile/０/001"),
        "tile/0/" + "x001/" * 40 + "001",
    ],
)
def test_what_is_no_path_of_a_tile_is_refused(path: str) -> None:
    with pytest.raises(TileError):
        parse_path(path)


def test_a_second_level_is_reached() -> None:
    edge, stored = Edge(), dict[tuple[int, int], Sequence[bytes]]()
    for start, end in ((0, 65_300), (65_300, 65_535), (65_535, 65_536), (65_536, 65_800)):
        edge, changed = edge.append(leaves(start, end))
        stored |= changed
        assert edge == read_edge(end, reader(stored))
    assert list(stored[2, 0]) == [mth(0, 65_536)]
    assert edge.frontier.root() == mth(0, 65_800)


@given(st.integers(1, LARGEST), st.data())
def test_subtrees_and_proofs_are_read_from_tiles(size: int, data: st.DataObject) -> None:
    hashes = TileHashes(reader(tiles_of(size)))
    level = data.draw(st.integers(0, size.bit_length() - 1))
    index = data.draw(st.integers(0, (size >> level) - 1))
    leaf, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    assert hashes.subtree(level, index) == mth(index << level, (index + 1) << level)
    assert inclusion_proof(leaf, size, hashes) == path(leaf, 0, size)
    assert consistency_proof(first, size, hashes) == proof(first, size)


@given(st.integers(0, LARGEST), st.integers(1, 600))
def test_the_edge_before_and_what_changed_prove_that_the_tree_was_extended(before: int, count: int) -> None:
    edge, _ = Edge().append(leaves(0, before))
    after, changed = edge.append(leaves(before, before + count))
    tiles = {**edge.tiles(), **changed}
    found = consistency_proof(before, after.frontier.size, TileHashes(lambda level, tile: tiles[level, tile]))
    assert found == (proof(before, before + count) if before else [])


def test_a_tile_with_too_few_hashes_is_refused() -> None:
    hashes = TileHashes(reader({(0, 1): leaves(256, 300)}))
    with pytest.raises(TileError, match="tile 0/1 holds 44 hashes, too few"):
        hashes.subtree(3, 37)


def test_an_edge_is_read_from_fuller_tiles_too() -> None:
    """Tiles only grow: those of a later tree serve an earlier one."""
    edge = read_edge(300, reader(tiles_of(LARGEST)))
    assert edge == read_edge(300, reader(tiles_of(300)))
    assert edge.frontier == Frontier().extend(leaves(0, 300))
