"""Tiles of a transparency log: paths, contents, and hashes read from them (C2SP tlog-tiles).

A tile holds up to 256 hashes of one level; each hash at level ``L`` is the root over ``256**L`` leaves. Entry bundles
hold up to 256 entries. Pure and alone, as ``audit.tree``.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from audit.tree import HASH_SIZE, Frontier, node_hashes, read_frontier

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_ENTRY_SIZE = 65_535
MAX_PATH = 80
MAX_LEVEL = 63


class TileError(Exception):
    """A tile, an entry bundle or a path does not have the form that tlog-tiles demands."""


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """``tile/<level>/<index>[.p/<width>]``, such as ``tile/0/x001/234.p/8``."""
    return f"tile/{level}/{_index_path(index, width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """``tile/entries/<index>[.p/<width>]``."""
    return f"tile/entries/{_index_path(index, width)}"


_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)
ENTRIES = -1
"""The "level" of entry bundles."""


def parse_path(path: str) -> tuple[int, int, int]:
    """What :func:`tile_path` or :func:`entries_path` made ``path`` of: level (``ENTRIES`` for bundles), index, width.

    Raises:
        TileError: No tile has that path.
    """
    found = _PATH.fullmatch(path) if len(path) <= MAX_PATH else None
    if found is None or (len(found[1]) == 2 and int(found[1]) > MAX_LEVEL):
        raise TileError(f"{path:.60} is no path of a tile")
    level = ENTRIES if found[1] == "entries" else int(found[1])
    index, width = int(found[2].replace("x", "").replace("/", "")), int(found[3] or TILE_WIDTH)
    if path != (entries_path(index, width) if level == ENTRIES else tile_path(level, index, width)):
        raise TileError(f"{path} is not the form in which that tile is named")
    return level, index, width


def _index_path(index: int, width: int) -> str:
    if index < 0 or not 1 <= width <= TILE_WIDTH:
        raise TileError(f"no tile {index} of width {width}")
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    path = "/".join(reversed(groups))
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def tile_widths(size: int) -> Iterator[tuple[int, int, int]]:
    """Every hash tile of a tree of ``size`` leaves as (level, index, width): full ones, then the partial one."""
    level, count = 0, size
    while count:
        for index in range(count // TILE_WIDTH):
            yield level, index, TILE_WIDTH
        if count % TILE_WIDTH:
            yield level, count // TILE_WIDTH, count % TILE_WIDTH
        level, count = level + 1, count // TILE_WIDTH


def bundle_widths(size: int) -> Iterator[tuple[int, int]]:
    """Every entry bundle of a log of ``size`` entries as (index, width)."""
    for level, index, width in tile_widths(size):
        if level > 0:
            return
        yield index, width


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Each entry behind its length, two bytes big endian (tlog-tiles, "Log Entries").

    Raises:
        TileError: An entry has more than 65,535 bytes.
    """
    for entry in entries:
        if len(entry) > MAX_ENTRY_SIZE:
            raise TileError(f"an entry has at most {MAX_ENTRY_SIZE} bytes, not {len(entry)}")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The ``width`` entries of a bundle.

    Raises:
        TileError: The bundle holds fewer or more, or ends inside an entry.
    """
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at + 1 < end:
        start = at + 2
        at = start + (data[at] << 8 | data[at + 1])
        entries.append(data[start:at])
    if at != end:
        raise TileError(f"the bundle ends inside entry {len(entries) - (at > end)} of it")
    if len(entries) != width:
        raise TileError(f"the bundle holds {len(entries)} entries, not {width}")
    return entries


def decode_tile(data: bytes, width: int) -> list[bytes]:
    """The ``width`` hashes of a tile.

    Raises:
        TileError: The length is not ``32 * width``.
    """
    if len(data) != HASH_SIZE * width:
        raise TileError(f"a tile of width {width} has {HASH_SIZE * width} bytes, not {len(data)}")
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """The root over ``hashes``, whose number is a power of two."""
    nodes = list(hashes)
    while len(nodes) > 1:
        nodes = node_hashes(nodes)
    return nodes[0]


@dataclass(frozen=True, slots=True)
class TileHashes:
    """A :class:`audit.tree.HashReader` over tiles: ``tile(level, index)`` gives at least the hashes that exist."""

    tile: Callable[[int, int], Sequence[bytes]]

    def subtree(self, level: int, index: int) -> bytes:
        """The hash over ``2**level`` leaves from leaf ``index * 2**level`` on.

        Raises:
            TileError: The tile holds too few hashes.
        """
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        hashes = self.tile(tile_level, first // TILE_WIDTH)
        start = first % TILE_WIDTH
        part = hashes[start : start + (1 << height)]
        if len(part) != 1 << height:
            raise TileError(f"tile {tile_level}/{first // TILE_WIDTH} holds {len(hashes)} hashes, too few")
        return subtree_root(part)


@dataclass(frozen=True, slots=True)
class Edge:
    """What appending needs of the tree so far: its frontier and its partial tile at every level."""

    frontier: Frontier = field(default_factory=Frontier)
    partial: tuple[tuple[bytes, ...], ...] = ()

    def append(self, leaf_hashes: Sequence[bytes]) -> tuple["Edge", dict[tuple[int, int], tuple[bytes, ...]]]:
        """The edge after ``leaf_hashes``, and every tile that changed: (level, index) → its hashes."""
        changed: dict[tuple[int, int], tuple[bytes, ...]] = {}
        partial: list[tuple[bytes, ...]] = []
        fresh, count, level = list(leaf_hashes), self.frontier.size, 0
        while fresh:
            held = self.partial[level] if level < len(self.partial) else ()
            hashes, index = [*held, *fresh], count // TILE_WIDTH
            full = len(hashes) // TILE_WIDTH
            for at in range(full):
                changed[level, index + at] = tuple(hashes[at * TILE_WIDTH : (at + 1) * TILE_WIDTH])
            rest = tuple(hashes[full * TILE_WIDTH :])
            if rest:
                changed[level, index + full] = rest
            partial.append(rest)
            fresh = [subtree_root(changed[level, index + at]) for at in range(full)]
            count, level = count // TILE_WIDTH, level + 1
        partial.extend(self.partial[level:])
        return Edge(self.frontier.extend(leaf_hashes), tuple(partial)), changed

    def tiles(self) -> dict[tuple[int, int], tuple[bytes, ...]]:
        """Its partial tiles: (level, index) → their hashes."""
        found, count = {}, self.frontier.size
        for level, hashes in enumerate(self.partial):
            count //= TILE_WIDTH
            if hashes:
                found[level, count] = hashes
        return found


def read_edge(size: int, tile: Callable[[int, int], Sequence[bytes]]) -> Edge:
    """The edge of a tree of ``size`` leaves, read from its stored tiles."""
    partial, level, count = [], 0, size
    while count:
        width = count % TILE_WIDTH
        partial.append(tuple(tile(level, count // TILE_WIDTH)[:width]) if width else ())
        level, count = level + 1, count // TILE_WIDTH
    return Edge(read_frontier(size, TileHashes(tile)), tuple(partial))
