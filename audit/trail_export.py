"""Writing a trail: the entries of one company's rooms or of one room with their proofs (``audit.trail``)."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

from audit.bundle import ExportFile, ExportOrder, disclosure_lines, export_file, read_statements
from audit.entry import Disclosure
from audit.index import Index, Scope, counts_of, decode, encode
from audit.index_store import IndexStore
from audit.keys import SigningKey
from audit.manifest import checkpoint_summary
from audit.note import Checkpoint, VerifierKey
from audit.parts import (
    CHECKPOINT,
    DISCLOSURES,
    LOG_KEY,
    MANIFEST,
    MANIFEST_SIGNATURE,
    NAMESPACE,
    SIGNERS,
    STATEMENTS,
    signers_line,
)
from audit.sshsig import ssh_sign
from audit.store import EntryRow, LedgerStore
from audit.succession import KEY_KINDS
from audit.tiles import TileHashes
from audit.trail import FORMAT, FRAME, INDEX, trail_path
from audit.tree import inclusion_proof
from config.clock import iso
from config.db import Database

PAGE = 1_000
MAX_TILES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailOrder:
    """A part of the log that is to be exported: ``index`` is the position of the index that shows it to be whole."""

    export: ExportOrder
    scope: Scope
    index: int
    counts: Mapping[Scope, int]


async def read_counts(store: IndexStore, after: int) -> tuple[int, Mapping[Scope, int]] | None:
    """Position of the index behind the export at position ``after``, and its counts; ``None`` where they are gone."""
    found = await store.index(after)
    return None if found is None else (found[0], counts_of(map(tuple, json.loads(found[1]))))


async def write_trail(
    db: Database, order: TrailOrder, log_keys: Sequence[VerifierKey], export_key: SigningKey
) -> AsyncGenerator[ExportFile, None]:
    """Every file of the trail, the manifest and its signature last."""
    writer = _Writer(db, order)
    hashes: dict[str, str] = {}
    async for path, content in writer.files(log_keys, export_key):
        hashes[path] = sha256(content).hexdigest()
        yield export_file(path, content)
    manifest = _manifest(order, hashes, writer.kinds)
    yield export_file(MANIFEST, manifest)
    signature = ssh_sign(manifest, NAMESPACE, export_key.public.public_key, export_key)
    yield export_file(MANIFEST_SIGNATURE, signature.encode())


class ProvenLines:
    """Entries as lines, each with the proof that it is in the log of ``size`` entries."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    async def of(self, rows: Sequence[EntryRow], store: LedgerStore) -> bytes:
        """The lines of ``rows``."""
        lines = []
        for row in rows:
            proof = [encode(node) for node in await self._proof(row.position, store)]
            lines.append(json.dumps({"entry": row.position, "bytes": encode(row.body), "proof": proof}) + "\n")
        return "".join(lines).encode()

    async def _proof(self, position: int, store: LedgerStore) -> list[bytes]:
        """The inclusion proof of the entry at ``position``, from tiles that are kept for the next ones."""
        if len(self._tiles) > MAX_TILES:
            self._tiles.clear()
        while True:
            try:
                return inclusion_proof(position, self._size, TileHashes(lambda *at: self._tiles[at]))
            except KeyError as missing:
                self._tiles[missing.args[0]] = await store.tile(*missing.args[0])


async def frame_lines(store: LedgerStore, lines: ProvenLines, export: ExportOrder, index: int) -> bytes:
    """The log's first entry, those that changed its keys, that of ``export``, the index behind it."""
    first, exported, counted = [await store.entry(position) for position in (0, export.position, index)]
    frame = [first, *await store.of_kinds(KEY_KINDS, export.size), exported, counted]
    return await lines.of([row for row in frame if row is not None], store)


async def index_leaf(store: IndexStore, index: int, counts: Mapping[Scope, int], scope: Scope) -> bytes:
    """The leaf of ``scope`` in the index at position ``index`` over ``counts``, with its proof."""
    ((_, seed),) = await store.disclosures_of([index])
    proof = Index(counts, decode(Disclosure.decode(seed).value)).prove(scope)
    item = {
        "leaf": encode(proof.leaf),
        "position": proof.position,
        "proof": [encode(node) for node in proof.proof],
    }
    return (json.dumps(item, indent=1) + "\n").encode()


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
        yield CHECKPOINT, order.export.checkpoint
        yield LOG_KEY, "".join(f"{key}\n" for key in log_keys).encode()
        yield SIGNERS, signers_line(export_key.public).encode()
        yield "VERIFY.md", resources.files("audit").joinpath("VERIFY-TRAIL.md").read_bytes()
        async with self._db.read() as connection:
            store = LedgerStore(connection)
            yield FRAME, await frame_lines(store, self._lines, order.export, order.index)
            yield INDEX, await index_leaf(IndexStore(connection), order.index, order.counts, order.scope)
        statements = await read_statements(self._db, order.export.size)
        if statements:
            yield STATEMENTS, statements
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


def _manifest(order: TrailOrder, hashes: dict[str, str], kinds: Counter[str]) -> bytes:
    export = order.export
    manifest = {
        "format": FORMAT,
        "export": export.export,
        "entry": export.position,
        "index": order.index,
        "exported_at": iso(export.at),
        "exported_by": export.person,
        "software": export.software,
        "query": {"scope": str(order.scope)},
        "exclusions": [],
        "checkpoint": checkpoint_summary(Checkpoint(origin=export.origin, size=export.size, root=export.root)),
        "counts": {"entries": kinds.total(), "by_kind": dict(sorted(kinds.items()))},
        "files": dict(sorted(hashes.items())),
    }
    return (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
