"""Writing a trail: the entries of one company's rooms or of one room with their proofs (``audit.trail``)."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from audit.bundle import ExportFile, ExportOrder, disclosure_lines
from audit.index import Scope
from audit.index_store import IndexStore
from audit.keys import SigningKey
from audit.note import VerifierKey
from audit.part_export import ProvenLines, frame_lines, index_leaf, opening_files, part_manifest, sign_part
from audit.parts import DISCLOSURES
from audit.store import LedgerStore
from audit.trail import FORMAT, FRAME, INDEX, trail_path
from config.db import Database

PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailOrder:
    """A part of the log that is to be exported: ``index`` is the position of the index that shows it to be whole."""

    export: ExportOrder
    scope: Scope
    index: int
    counts: Mapping[Scope, int]


async def write_trail(
    db: Database, order: TrailOrder, log_keys: Sequence[VerifierKey], export_key: SigningKey
) -> AsyncGenerator[ExportFile, None]:
    """Every file of the trail, the manifest and its signature last."""
    writer = _Writer(db, order)

    def manifest(hashes: Mapping[str, str]) -> bytes:
        return part_manifest(FORMAT, order.export, str(order.scope), order.index, writer.kinds, hashes)

    async for file in sign_part(writer.files(log_keys, export_key), manifest, export_key):
        yield file


class _Writer:
    """Reads what a trail is made of, and counts it."""

    def __init__(self, db: Database, order: TrailOrder) -> None:
        self._db = db
        self._order = order
        self._lines = ProvenLines(order.export.size)
        self._disclosures: list[tuple[int, str]] = []
        self.kinds: Counter[str] = Counter()

    async def files(self, log_keys: Sequence[VerifierKey], export_key: SigningKey) -> AsyncIterator[tuple[str, bytes]]:
        order = self._order
        async for file in opening_files(self._db, order.export, log_keys, export_key, "VERIFY-TRAIL.md"):
            yield file
        async with self._db.read() as connection:
            store = LedgerStore(connection)
            frame = await frame_lines(store, self._lines, order.export, order.index)
            leaf = await index_leaf(IndexStore(connection), order.index, order.counts, order.scope)
        yield FRAME, frame
        yield INDEX, leaf
        async for page, lines in self._pages():
            yield trail_path(page), lines
        yield DISCLOSURES, disclosure_lines(self._disclosures)

    async def _pages(self) -> AsyncIterator[tuple[int, bytes]]:
        """The lines of the trail, a page at a time."""
        start, number = 0, 0
        while start < self._order.index:
            async with self._db.read() as connection:
                store, parts = LedgerStore(connection), IndexStore(connection)
                page = await parts.in_rooms(start, self._order.index, PAGE)
                own = [row for row in page if self._order.scope.holds(json.loads(row.body))]
                lines = await self._lines.of(own, store)
                self._disclosures += await parts.disclosures_of([row.position for row in own])
            self.kinds.update(row.kind for row in own)
            start = page[-1].position + 1 if len(page) == PAGE else self._order.index
            if own:
                yield number, lines
                number += 1
