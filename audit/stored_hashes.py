"""Proofs from the stored tiles: one query for all of those that a proof needs."""

from collections.abc import Callable
from typing import TypeVar

from audit.store import LedgerStore
from audit.tiles import TILE_HEIGHT, TILE_WIDTH, TileHashes
from audit.tree import HashReader

T = TypeVar("T")


async def with_hashes(store: LedgerStore, compute: Callable[[HashReader], T]) -> T:
    """The result of the pure ``compute``, from stored hashes; which it reads must not depend on their values.

    It runs twice: the first time only to see which tiles it asks for.
    """
    asked = _Asked()
    compute(asked)
    tiles = await store.tiles(asked.tiles)
    return compute(TileHashes(lambda level, index: tiles.get((level, index), ())))


class _Asked:
    """A :class:`HashReader` that only notes the tiles behind what it is asked for."""

    def __init__(self) -> None:
        self.tiles: set[tuple[int, int]] = set()

    def subtree(self, level: int, index: int) -> bytes:
        """An empty hash."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        self.tiles.add((tile_level, (index << height) // TILE_WIDTH))
        return b""
