"""What is computed from the stored tiles: proofs, and the edge that a log goes on from."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from audit.store import LedgerStore
from audit.tiles import TILE_HEIGHT, TILE_WIDTH, TileHashes
from audit.tree import HashReader

T = TypeVar("T")
Tiles = Callable[[int, int], Sequence[bytes]]


async def with_hashes(store: LedgerStore, compute: Callable[[HashReader], T]) -> T:
    """The result of the pure ``compute``, from stored hashes; which it reads must not depend on their values.

    It runs twice: the first time only to see which tiles it asks for.
    """
    asked = _Asked()
    compute(asked)
    tiles = await store.tiles(asked.tiles)
    return compute(TileHashes(lambda level, index: tiles.get((level, index), ())))


async def with_tiles(store: LedgerStore, compute: Callable[[Tiles], T]) -> T:
    """The result of the pure ``compute``, with the stored tiles that it turns out to ask for, one query for each."""
    loaded: dict[tuple[int, int], Sequence[bytes]] = {}
    while True:
        try:
            return compute(lambda level, tile: loaded[level, tile])
        except KeyError as missing:
            level, tile = missing.args[0]
            loaded[level, tile] = await store.tile(level, tile)


class _Asked:
    """A :class:`HashReader` that only notes the tiles behind what it is asked for."""

    def __init__(self) -> None:
        self.tiles: set[tuple[int, int]] = set()

    def subtree(self, level: int, index: int) -> bytes:
        """An empty hash."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        self.tiles.add((tile_level, (index << height) // TILE_WIDTH))
        return b""
