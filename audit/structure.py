"""The structure of a bundle's log: its entries lead to every tile, and to the checkpoint's root. Pure."""

import json
from collections.abc import Callable, Sequence

from audit.kinds import KINDS
from audit.note import Checkpoint
from audit.parts import CHANGED, Bundle, VerificationError, read_part
from audit.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Edge,
    TileError,
    TileHashes,
    bundle_widths,
    decode_bundle,
    decode_tile,
    entries_path,
    tile_path,
    tile_widths,
)
from audit.tree import leaf_hash, read_frontier
from audit.walk import Walk

Progress = Callable[[int, int], None]


def check_entries(bundle: Bundle, checkpoint: Checkpoint, walk: Walk, progress: Progress) -> Edge:
    """Read every entry bundle in order, hold its leaf hashes against the tiles, and walk its entries.

    Raises:
        VerificationError: A file is missing, malformed, or not what its entries hash to.
    """
    edge = Edge()
    tiles: dict[tuple[int, int], tuple[bytes, ...]] = {}
    widths = {(level, index): width for level, index, width in tile_widths(checkpoint.size)}
    for index, width in bundle_widths(checkpoint.size):
        name = entries_path(index, width)
        try:
            entries = decode_bundle(read_part(bundle, name, "entries"), width)
        except TileError as error:
            raise VerificationError("entries", str(error), where=name, meaning=CHANGED) from None
        leaves = [leaf_hash(entry) for entry in entries]
        _same_leaves(bundle, index, width, leaves, entries)
        for entry in entries:
            walk.take(entry)
        edge, changed = edge.append(leaves)
        tiles.update(changed)
        for at in [at for at, hashes in tiles.items() if len(hashes) == widths.get(at)]:
            _same_tile(bundle, *at, tiles.pop(at))
        progress(walk.position, checkpoint.size)
    return edge


def _same_leaves(bundle: Bundle, index: int, width: int, leaves: Sequence[bytes], entries: Sequence[bytes]) -> None:
    """Name the first entry that is not the one in the level 0 tile."""
    name = tile_path(0, index, width)
    try:
        stored = decode_tile(read_part(bundle, name, "tiles"), width)
    except TileError as error:
        raise VerificationError("tiles", str(error), where=name, meaning=CHANGED) from None
    for at, (leaf, expected, entry) in enumerate(zip(leaves, stored, entries, strict=True)):
        if leaf != expected:
            where = f"entry {index * 256 + at:,}{_describe(entry)}"
            raise VerificationError(
                "entries", "does not hash to what the log committed to", where=where, meaning=CHANGED
            )


def _same_tile(bundle: Bundle, level: int, index: int, hashes: Sequence[bytes]) -> None:
    name = tile_path(level, index, len(hashes))
    if read_part(bundle, name, "tiles") != b"".join(hashes):
        raise VerificationError("tiles", "does not follow from the entries", where=name, meaning=CHANGED)


def _describe(entry: bytes) -> str:
    """The kind of a possibly broken entry, for a message."""
    try:
        kind = json.loads(entry)["kind"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return " (not readable)"
    return f" ({kind})" if isinstance(kind, str) and kind in KINDS else " (of no known kind)"


def root_at(bundle: Bundle, whole: int, size: int) -> bytes:
    """The root over the first ``size`` entries of a bundle's log of ``whole`` entries, from its checked tiles.

    To be asked for once :func:`check_entries` found that the tiles lead to the root of the checkpoint. Reads a few
    tiles a level, whatever the size.

    Raises:
        VerificationError: A tile was taken away since.
        ValueError: ``size`` is not in ``0 … whole``.
    """
    if not 0 <= size <= whole:
        raise ValueError(f"no root at {size} of a log of {whole} entries")

    def tile(level: int, index: int) -> Sequence[bytes]:
        width = min(TILE_WIDTH, (whole >> level * TILE_HEIGHT) - index * TILE_WIDTH)
        return decode_tile(read_part(bundle, tile_path(level, index, width), "tiles"), width)

    return read_frontier(size, TileHashes(tile)).root()
