"""What is computed from the stored tiles: proofs, and the edge that a log goes on from."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from audit.store import LedgerStore
from audit.tiles import TILE_HEIGHT, TILE_WIDTH, TileError, decode_tile
from audit.tree import HASH_SIZE, HashReader, node_hashes

T = TypeVar("T")
KEPT = 64
"""Tiles whose inner hashes stay in memory: at most 64 times 34 kB."""
Tiles = Callable[[int, int], Sequence[bytes]]


async def with_hashes(store: LedgerStore, compute: Callable[[HashReader], T]) -> T:
    """The result of the pure ``compute``, from stored hashes; which it reads must not depend on their values.

    It runs twice: the first time only to see which tiles it asks for.
    """
    asked = _Asked()
    compute(asked)
    return compute(_Stored(await store.tiles(asked.tiles)))


async def with_tiles(store: LedgerStore, compute: Callable[[Tiles], T]) -> T:
    """The result of the pure ``compute``, with the stored tiles that it turns out to ask for, one query for each."""
    loaded: dict[tuple[int, int], Sequence[bytes]] = {}
    while True:
        try:
            return compute(lambda level, tile: loaded[level, tile])
        except KeyError as missing:
            level, tile = missing.args[0]
            loaded[level, tile] = await store.tile(level, tile)


class _Stored:
    """A :class:`HashReader` over stored tiles."""

    def __init__(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        self._tiles = tiles

    def subtree(self, level: int, index: int) -> bytes:
        """See :class:`HashReader`.

        Raises:
            TileError: The tile holds too few hashes.
        """
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile, first = divmod(index << height, TILE_WIDTH)
        nodes = _nodes(self._tiles.get((tile_level, tile), b""))
        if height >= len(nodes) or first >> height >= len(nodes[height]):
            raise TileError(f"tile {tile_level}/{tile} holds {len(nodes[0])} hashes, too few")
        return nodes[height][first >> height]


@lru_cache(KEPT)
def _nodes(tile: bytes) -> Sequence[Sequence[bytes]]:
    """The hashes of every whole subtree within a tile, by height; found by what is in it, so never out of date.

    The upper tiles and the last ones are in nearly every proof: with them kept, one tile is left to be hashed.
    """
    levels = [decode_tile(tile, len(tile) // HASH_SIZE)]
    while len(levels[-1]) > 1:
        levels.append(node_hashes(levels[-1][: len(levels[-1]) & ~1]))
    return levels


class _Asked:
    """A :class:`HashReader` that only notes the tiles behind what it is asked for."""

    def __init__(self) -> None:
        self.tiles: set[tuple[int, int]] = set()

    def subtree(self, level: int, index: int) -> bytes:
        """An empty hash."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        self.tiles.add((tile_level, (index << height) // TILE_WIDTH))
        return b""
