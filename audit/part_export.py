"""What exports of a part of the log have alike: trails (``audit.trail``), removal proofs (``audit.removal_file``)."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from hashlib import sha256
from importlib import resources

from audit.bundle import ExportFile, ExportOrder, export_file, read_statements
from audit.entry import Disclosure
from audit.index import Index, Scope, counts_of, decode, encode
from audit.index_store import IndexStore
from audit.keys import SigningKey
from audit.manifest import GUIDE, checkpoint_summary
from audit.note import Checkpoint, VerifierKey
from audit.parts import (
    CHECKPOINT,
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
from audit.tree import inclusion_proof
from config.clock import iso
from config.db import Database

MAX_TILES = 4_096


async def read_counts(store: IndexStore, after: int) -> tuple[int, Mapping[Scope, int]] | None:
    """Position of the index behind the export at position ``after``, and its counts; ``None`` where they are gone."""
    found = await store.index(after)
    return None if found is None else (found[0], counts_of(map(tuple, json.loads(found[1]))))


async def sign_part(
    files: AsyncIterator[tuple[str, bytes]], manifest: Callable[[Mapping[str, str]], bytes], export_key: SigningKey
) -> AsyncGenerator[ExportFile, None]:
    """Each of ``files``, then the ``manifest`` of their hashes, and its signature last."""
    hashes: dict[str, str] = {}
    async for path, content in files:
        hashes[path] = sha256(content).hexdigest()
        yield export_file(path, content)
    written = manifest(hashes)
    yield export_file(MANIFEST, written)
    yield export_file(
        MANIFEST_SIGNATURE, ssh_sign(written, NAMESPACE, export_key.public.public_key, export_key).encode()
    )


def part_manifest(
    form: str, export: ExportOrder, scope: str, index: int, kinds: Counter[str], hashes: Mapping[str, str]
) -> bytes:
    """The manifest of an export of ``scope``, of the format ``form``; ``kinds`` counts the entries that are in it."""
    manifest = {
        "format": form,
        "export": export.export,
        "entry": export.position,
        "index": index,
        "exported_at": iso(export.at),
        "exported_by": export.person,
        "software": export.software,
        "query": {"scope": scope},
        "exclusions": [],
        "checkpoint": checkpoint_summary(Checkpoint(origin=export.origin, size=export.size, root=export.root)),
        "counts": {"entries": kinds.total(), "by_kind": dict(sorted(kinds.items()))},
        "files": dict(sorted(hashes.items())),
    }
    return (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()


async def opening_files(
    db: Database, export: ExportOrder, log_keys: Sequence[VerifierKey], export_key: SigningKey, guide: str
) -> AsyncIterator[tuple[str, bytes]]:
    """Checkpoint, keys, what was said of the keys' successors, and the package's file ``guide``."""
    yield CHECKPOINT, export.checkpoint
    yield LOG_KEY, "".join(f"{key}\n" for key in log_keys).encode()
    yield SIGNERS, signers_line(export_key.public).encode()
    yield GUIDE, resources.files("audit").joinpath(guide).read_bytes()
    if statements := await read_statements(db, export.size):
        yield STATEMENTS, statements


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
