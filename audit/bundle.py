"""Writing an export: the log's tiles and entries as files, listed and signed in a manifest."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from itertools import groupby, islice
from operator import itemgetter
from tempfile import TemporaryFile
from typing import IO

from audit.index import WHOLE
from audit.index_store import IndexStore
from audit.key_history import statement_lines
from audit.keys import SigningKey
from audit.manifest import checkpoint_summary
from audit.note import Checkpoint, VerifierKey
from audit.parts import (
    CHECKPOINT,
    DISCLOSURES,
    FORMAT,
    INDEXES,
    LOG_KEY,
    MANIFEST,
    MANIFEST_SIGNATURE,
    NAMESPACE,
    POLICY,
    SIGNERS,
    STATEMENTS,
    signers_line,
)
from audit.sshsig import ssh_sign
from audit.store import LedgerStore
from audit.succession import KEY_KINDS
from audit.tiles import TILE_WIDTH, bundle_widths, encode_bundle, entries_path, tile_path, tile_widths
from audit.timestamp_store import TimestampStore
from audit.timestamps import note_name, token_name
from audit.tree import HASH_SIZE
from config.clock import Millis, iso
from config.db import Database

AT_ONCE = 16
"""Entry bundles or tiles that are read at a time."""
CHUNK = 65_536
PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrder:
    """What is to be exported: the log up to a signed checkpoint, for whom, when, under which number.

    ``policy`` is the hub's own policy of witnesses, empty where it has none; who verifies uses one of their own.
    """

    export: str
    position: int
    person: str
    at: Millis
    software: str
    origin: str
    size: int
    root: bytes
    checkpoint: bytes
    policy: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFile:
    """One file of an export: its path, how many bytes it has, and these, to be read once."""

    path: str
    size: int
    chunks: Iterable[bytes]


def export_file(path: str, content: bytes) -> ExportFile:
    """A file that is in memory."""
    return ExportFile(path=path, size=len(content), chunks=(content,))


async def write_bundle(
    db: Database, order: ExportOrder, log_keys: Sequence[VerifierKey], export_key: SigningKey
) -> AsyncGenerator[ExportFile, None]:
    """Every file of the export, the manifest and its signature last; each is to be read before the next is asked for.

    The manifest lists the files that are no tiles: those are named by the log's size, and held by its root. Memory does
    not grow with the log: some entry bundles or tiles at a time; the disclosures go through a temporary file.
    """
    hashes: dict[str, str] = {}
    kinds: Counter[str] = Counter()
    yield export_file(CHECKPOINT, order.checkpoint)
    hashes[CHECKPOINT] = sha256(order.checkpoint).hexdigest()
    async for file in _tiles(db, order.size, kinds):
        yield file
    for path, content in _plain(order, log_keys, export_key, await read_statements(db, order.size)):
        hashes[path] = sha256(content).hexdigest()
        yield export_file(path, content)
    async with db.read() as connection:
        seeds = await IndexStore(connection).seeds(order.size)
    if seeds:
        hashes[INDEXES] = sha256(disclosure_lines(seeds)).hexdigest()
        yield export_file(INDEXES, disclosure_lines(seeds))
    async for path, content in _timestamps(db, order.size):
        hashes[path] = sha256(content).hexdigest()
        yield export_file(path, content)
    with TemporaryFile() as scratch:
        size, hashes[DISCLOSURES] = await _disclosures(db, order.size, scratch)
        yield ExportFile(path=DISCLOSURES, size=size, chunks=iter(lambda: scratch.read(CHUNK), b""))
    manifest = _manifest(order, hashes, kinds)
    yield export_file(MANIFEST, manifest)
    signature = ssh_sign(manifest, NAMESPACE, export_key.public.public_key, export_key)
    yield export_file(MANIFEST_SIGNATURE, signature.encode())


def _plain(
    order: ExportOrder, log_keys: Sequence[VerifierKey], export_key: SigningKey, statements: bytes
) -> Iterator[tuple[str, bytes]]:
    yield LOG_KEY, "".join(f"{key}\n" for key in log_keys).encode()
    if statements:
        yield STATEMENTS, statements
    yield SIGNERS, signers_line(export_key.public).encode()
    if order.policy:
        yield POLICY, order.policy
    yield "VERIFY.md", resources.files("audit").joinpath("VERIFY.md").read_bytes()


async def _tiles(db: Database, size: int, kinds: Counter[str]) -> AsyncIterator[ExportFile]:
    """Every entry bundle and every tile of the log of ``size`` entries; counts the entries' kinds."""
    for group in _groups(bundle_widths(size)):
        start, end = group[0][0] * TILE_WIDTH, group[-1][0] * TILE_WIDTH + group[-1][1]
        async with db.read() as connection:
            rows = await LedgerStore(connection).slice(start, end)
        kinds.update(kind for kind, _ in rows)
        for index, width in group:
            at = index * TILE_WIDTH - start
            yield export_file(entries_path(index, width), encode_bundle([body for _, body in rows[at : at + width]]))
    for level, tiles in groupby(tile_widths(size), key=itemgetter(0)):
        for group in _groups((index, width) for _, index, width in tiles):
            async with db.read() as connection:
                found = await LedgerStore(connection).tile_row(level, group[0][0], group[-1][0] + 1)
            for (index, width), hashes in zip(group, found, strict=True):
                yield export_file(tile_path(level, index, width), hashes[: width * HASH_SIZE])


def _groups(tiles: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """``AT_ONCE`` of (index, width) at a time."""
    rest = iter(tiles)
    while group := list(islice(rest, AT_ONCE)):
        yield group


async def _disclosures(db: Database, size: int, scratch: IO[bytes]) -> tuple[int, str]:
    """Write the disclosures of the log's entries into ``scratch``, and rewind it; returns their size and SHA-256."""
    hashed, written = sha256(), 0
    async with db.read() as connection:
        async for rows in LedgerStore(connection).disclosures(size):
            data = disclosure_lines(rows)
            hashed.update(data)
            written += scratch.write(data)
    scratch.seek(0)
    return written, hashed.hexdigest()


def disclosure_lines(disclosures: Sequence[tuple[int, str]]) -> bytes:
    """A line for each (position, disclosure)."""
    lines = [json.dumps({"entry": entry, "disclosure": text}, sort_keys=True) for entry, text in disclosures]
    return "".join(f"{line}\n" for line in lines).encode()


async def _timestamps(db: Database, size: int) -> AsyncIterator[tuple[str, bytes]]:
    """Each timestamp with the checkpoint that it is of."""
    after, full = 0, True
    while full:
        async with db.read() as connection:
            rows = await TimestampStore(connection).page(after, PAGE, size)
        for row in rows:
            yield note_name(row.size), row.checkpoint
            yield token_name(row.size), row.tsr
            after = row.size
        full = len(rows) == PAGE


async def read_statements(db: Database, size: int) -> bytes:
    """The statements about the log's keys among its first ``size`` entries, as lines."""
    async with db.read() as connection:
        store = LedgerStore(connection)
        found = [(row.position, json.loads(row.body)) for row in await store.of_kinds(KEY_KINDS, size)]
        first = await store.entry(0)
    if first is not None and "succession" in (opened := json.loads(first.body))["data"]:
        found.insert(0, (0, opened))
    return statement_lines(found)


def _manifest(order: ExportOrder, hashes: dict[str, str], kinds: Counter[str]) -> bytes:
    manifest = {
        "format": FORMAT,
        "export": order.export,
        "entry": order.position,
        "exported_at": iso(order.at),
        "exported_by": order.person,
        "software": order.software,
        "query": {"scope": WHOLE},
        "exclusions": [],
        "checkpoint": checkpoint_summary(Checkpoint(origin=order.origin, size=order.size, root=order.root)),
        "counts": {"entries": order.size, "by_kind": dict(sorted(kinds.items()))},
        "files": dict(sorted(hashes.items())),
    }
    return (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
