"""A stretch of a bundle's log, looked at by itself: what can be done for many stretches at a time. Pure.

A stretch is ``STRETCH`` entry bundles one after the other. Whoever looks at it knows nothing of what stands before; so
it says what it needs to be true there (the first number of every source, actor and room), and :mod:`audit.walk` holds
the stretches against each other. Where they do not fit, the walk looks again, entry by entry, to say what is wrong.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.canonical import CanonicalError
from audit.entry import EntryError, parse_entry, read_entry
from audit.index import INDEX_KIND
from audit.kinds import KINDS
from audit.ordinary import Ordinary
from audit.parts import CHANGED, Bundle, VerificationError, read_part
from audit.succession import KEY_KINDS
from audit.tiles import TILE_WIDTH, TileError, decode_bundle, decode_tile, entries_path, subtree_root, tile_path
from audit.tree import leaf_hashes

STRETCH = 16
LANDMARKS = frozenset({"log.opened", "audit.exported", INDEX_KIND}) | KEY_KINDS
"""Kinds of entries that say something of the log itself: a leg ends with each, and the walk looks at it."""


@dataclass(slots=True, kw_only=True)
class Leg:
    """Entries one after the other, of which at most the last is a landmark.

    ``fits`` is False where one of them is wrong by itself or beside the others; what else is said is then of no use.
    ``numbers`` holds the first and the last number of each ("source" | "actor" | "room", key); ``digests`` the position
    and the digests of each entry that has some; ``companies`` how many entries the rooms of each company have here.
    """

    start: int
    size: int = 0
    fits: bool = True
    first_at: int = 0
    last_at: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    numbers: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    companies: Counter[str] = field(default_factory=Counter)
    digests: list[tuple[int, Sequence[str]]] = field(default_factory=list)
    landmark: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class Stretch:
    """What a stretch hashes to, the root of each full bundle and the leaves of a last one, and its legs.

    ``wrong`` is the first thing that differs between its entries and the tiles of level 0; nothing else counts then.
    """

    roots: Sequence[bytes] = ()
    leaves: Sequence[bytes] = ()
    legs: Sequence[Leg] = ()
    wrong: VerificationError | None = None


@dataclass(frozen=True, slots=True)
class Examine:
    """Looks at one stretch of ``bundle``, whose log has ``size`` entries."""

    bundle: Bundle
    size: int

    def __call__(self, number: int) -> Stretch:
        """What there is to say of stretch ``number``."""
        roots, leaves, legs = [], list[bytes](), [Leg(start=number * STRETCH * TILE_WIDTH)]
        try:
            for index in range(number * STRETCH, min((number + 1) * STRETCH, -(-self.size // TILE_WIDTH))):
                entries, leaves = self._bundle(index)
                follow(legs, entries)
                if len(leaves) == TILE_WIDTH:
                    roots.append(subtree_root(leaves))
                    leaves = []
        except VerificationError as error:
            return Stretch(wrong=error)
        return Stretch(roots=roots, leaves=leaves, legs=[leg for leg in legs if leg.size])

    def _bundle(self, index: int) -> tuple[list[bytes], list[bytes]]:
        """The entries of a bundle and their leaf hashes.

        Raises:
            VerificationError: They are not those of the tile.
        """
        entries = read_entries(self.bundle, self.size, index)
        name = tile_path(0, index, len(entries))
        tile, leaves = read_part(self.bundle, name, "tiles"), leaf_hashes(entries)
        if b"".join(leaves) != tile:
            raise _difference(index, entries, leaves, name, tile)
        return entries, leaves


def read_entries(bundle: Bundle, size: int, index: int) -> list[bytes]:
    """The entries of bundle ``index`` of a log of ``size``.

    Raises:
        VerificationError: The file is missing or malformed.
    """
    width = min(TILE_WIDTH, size - index * TILE_WIDTH)
    name = entries_path(index, width)
    try:
        return decode_bundle(read_part(bundle, name, "entries"), width)
    except TileError as error:
        raise VerificationError("entries", str(error), where=name, meaning=CHANGED) from None


def entry_at(bundle: Bundle, size: int, position: int) -> bytes:
    """One entry of a log of ``size``.

    Raises:
        VerificationError: Its file is missing or malformed.
    """
    return read_entries(bundle, size, position // TILE_WIDTH)[position % TILE_WIDTH]


def _difference(
    index: int, entries: Sequence[bytes], leaves: Sequence[bytes], name: str, tile: bytes
) -> VerificationError:
    """Name the first entry that is not the one in the level 0 tile."""
    try:
        stored = decode_tile(tile, len(leaves))
    except TileError as error:
        return VerificationError("tiles", str(error), where=name, meaning=CHANGED)
    at = next(at for at, (leaf, expected) in enumerate(zip(leaves, stored, strict=True)) if leaf != expected)
    where = f"entry {index * TILE_WIDTH + at:,}{_describe(entries[at])}"
    return VerificationError("entries", "does not hash to what the log committed to", where=where, meaning=CHANGED)


def _describe(entry: bytes) -> str:
    """The kind of a possibly broken entry, for a message."""
    try:
        kind = json.loads(entry)["kind"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return " (not readable)"
    return f" ({kind})" if isinstance(kind, str) and kind in KINDS else " (of no known kind)"


def follow(legs: list[Leg], entries: Iterable[bytes]) -> None:
    """Go on with the last of ``legs``, which is open, through ``entries``; then too the last one is open."""
    for data in entries:
        leg = legs[-1]
        try:
            entry = read_entry(data)
        except (CanonicalError, EntryError):
            leg.fits = False
            leg.size += 1
            continue
        _step(leg, entry)
        if entry.kind in LANDMARKS:
            leg.landmark = parse_entry(data)
            legs.append(Leg(start=leg.start + leg.size))


def _step(leg: Leg, entry: Ordinary) -> None:
    """Take the next entry into ``leg``."""
    kind, at, source, source_seq, actor, actor_seq, room, room_seq, companies, sd = entry
    if leg.size == 0:
        leg.first_at = leg.last_at = at
    if at < leg.last_at:
        leg.fits = False
    leg.last_at = at
    leg.kinds[kind] += 1
    _count(leg, ("source", source), source_seq)
    _count(leg, ("actor", actor), actor_seq)
    if room is not None:
        _count(leg, ("room", room), room_seq)
        for company in companies:
            leg.companies[company] += 1
    if sd and kind != INDEX_KIND:
        leg.digests.append((leg.start + leg.size, sd))
    leg.size += 1


def shown_digests(entry: Mapping[str, Any]) -> Sequence[str]:
    """The digests of an entry's disclosures, but for the seed of an index: that hides nothing of anybody."""
    found: Sequence[str] = entry.get("sd", ())
    return () if entry["kind"] == INDEX_KIND else found


def _count(leg: Leg, key: tuple[str, str], number: int) -> None:
    known = leg.numbers.get(key)
    if known is None:
        leg.numbers[key] = (number, number)
        return
    if number != known[1] + 1:
        leg.fits = False
    leg.numbers[key] = (known[0], number)
