"""The structure of a bundle's log: its entries lead to every tile, and to the checkpoint's root. Pure."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from audit.parts import CHANGED, Bundle, Run, VerificationError, read_part
from audit.stretch import STRETCH, Examine, Leg, read_entries
from audit.tiles import TILE_HEIGHT, TILE_WIDTH, Edge, TileHashes, decode_tile, tile_path
from audit.tree import Frontier, read_frontier
from audit.walk import Walk

Progress = Callable[[int, int], None]


def check_entries(bundle: Bundle, size: int, walk: Walk, run: Run, progress: Progress) -> bytes:
    """Look at every stretch, by ``run``, hold their hashes against the upper tiles, and walk their legs.

    Returns the root. Memory: one stretch for each that ``run`` has in hand, and a tile a level.

    Raises:
        VerificationError: A file is missing, malformed, or not what its entries hash to.
    """
    tiles, done = _UpperTiles(bundle, size), 0
    leaves: Sequence[bytes] = ()
    for stretch in run(Examine(bundle, size), range(-(-size // (STRETCH * TILE_WIDTH)))):
        if stretch.wrong is not None:
            raise stretch.wrong
        tiles.append(stretch.roots)
        for leg in stretch.legs:
            walk.take(leg, lambda leg=leg: _entries_of(bundle, size, leg))  # type: ignore[misc]  # bound as it is now
        done += len(stretch.roots) * TILE_WIDTH + len(stretch.leaves)
        leaves = stretch.leaves
        progress(done, size)
    return tiles.root(leaves)


def _entries_of(bundle: Bundle, size: int, leg: Leg) -> Iterator[bytes]:
    bundles = range(leg.start // TILE_WIDTH, -(-(leg.start + leg.size) // TILE_WIDTH))
    found = chain.from_iterable(read_entries(bundle, size, index) for index in bundles)
    skip = leg.start % TILE_WIDTH
    return islice(found, skip, skip + leg.size)


class _UpperTiles:
    """The tree above the entry bundles: every tile of level 1 and more, held against its file when it is whole."""

    def __init__(self, bundle: Bundle, size: int) -> None:
        self._bundle = bundle
        self._size = size
        self._edge = Edge()
        self._open: dict[tuple[int, int], tuple[bytes, ...]] = {}

    def append(self, roots: Sequence[bytes]) -> None:
        """Take the roots of the next full bundles.

        Raises:
            VerificationError: A tile is not what they hash to.
        """
        self._edge, changed = self._edge.append(roots)
        self._open.update(changed)
        for (below, index), hashes in list(self._open.items()):
            level = below + 1
            if len(hashes) == tile_width(self._size, level, index):
                del self._open[below, index]
                self._same(tile_path(level, index, len(hashes)), hashes)

    def _same(self, name: str, hashes: Sequence[bytes]) -> None:
        if read_part(self._bundle, name, "tiles") != b"".join(hashes):
            raise VerificationError("tiles", "does not follow from the entries", where=name, meaning=CHANGED)

    def root(self, leaves: Sequence[bytes]) -> bytes:
        """The root over the full bundles and the ``leaves`` behind them."""
        upper, rest = self._edge.frontier, Frontier().extend(leaves)
        return Frontier(upper.size * TILE_WIDTH + rest.size, (*upper.peaks, *rest.peaks)).root()


def tile_width(size: int, level: int, index: int) -> int:
    """How many hashes the tile holds in a tree of ``size`` leaves; 0 or less where there is no such tile."""
    return min(TILE_WIDTH, (size >> level * TILE_HEIGHT) - index * TILE_WIDTH)


class Roots:
    """The roots of a bundle's log at smaller sizes, from its tiles; asked for in order it reads each tile about once.

    To be asked for once :func:`check_entries` found that the tiles lead to the root of the checkpoint.
    """

    def __init__(self, bundle: Bundle, size: int) -> None:
        self._bundle = bundle
        self.size = size
        self._held: dict[int, tuple[int, Sequence[bytes]]] = {}

    def at(self, size: int) -> bytes:
        """The root over the first ``size`` entries.

        Raises:
            VerificationError: A tile was taken away since.
            ValueError: ``size`` is not in ``0 … self.size``.
        """
        if not 0 <= size <= self.size:
            raise ValueError(f"no root at {size} of a log of {self.size} entries")
        return read_frontier(size, TileHashes(self._tile)).root()

    def _tile(self, level: int, index: int) -> Sequence[bytes]:
        held = self._held.get(level)
        if held is not None and held[0] == index:
            return held[1]
        width = tile_width(self.size, level, index)
        hashes = decode_tile(read_part(self._bundle, tile_path(level, index, width), "tiles"), width)
        self._held[level] = index, hashes
        return hashes
