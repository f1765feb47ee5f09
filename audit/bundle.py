"""Writing an export: the log's tiles and entries as files, listed and signed in a manifest."""

import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

from audit.keys import SigningKey
from audit.note import VerifierKey
from audit.parts import (
    CHECKPOINT,
    DISCLOSURES,
    FORMAT,
    INDEXES,
    LOG_KEY,
    MANIFEST,
    MANIFEST_SIGNATURE,
    NAMESPACE,
    SIGNERS,
    signers_line,
)
from audit.sshsig import ssh_sign
from audit.store import LedgerStore
from audit.tiles import TILE_WIDTH, bundle_widths, encode_bundle, entries_path, tile_path, tile_widths
from config.clock import Millis, iso
from config.db import Database

POLICY = "policy.tlog-policy"


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


async def write_bundle(
    db: Database, order: ExportOrder, log_key: VerifierKey, export_key: SigningKey
) -> AsyncIterator[tuple[str, bytes]]:
    """Every file of the export as (path, content), the manifest and its signature last.

    Memory does not grow with the log: one entry bundle or tile at a time, and one hash a file.
    """
    hashes: dict[str, str] = {}
    kinds: Counter[str] = Counter()
    async for path, content in _files(db, order, log_key, export_key, kinds):
        hashes[path] = sha256(content).hexdigest()
        yield path, content
    manifest = _manifest(order, hashes, kinds)
    yield MANIFEST, manifest
    signature = ssh_sign(manifest, NAMESPACE, export_key.public.public_key, export_key)
    yield MANIFEST_SIGNATURE, signature.encode()


async def _files(
    db: Database, order: ExportOrder, log_key: VerifierKey, export_key: SigningKey, kinds: Counter[str]
) -> AsyncIterator[tuple[str, bytes]]:
    yield CHECKPOINT, order.checkpoint
    yield LOG_KEY, f"{log_key}\n".encode()
    yield SIGNERS, signers_line(export_key.public).encode()
    if order.policy:
        yield POLICY, order.policy
    yield "VERIFY.md", resources.files("audit").joinpath("VERIFY.md").read_bytes()
    for index, width in bundle_widths(order.size):
        start = index * TILE_WIDTH
        async with db.read() as connection:
            store = LedgerStore(connection)
            bodies = await store.bodies(start, start + width)
        kinds.update(json.loads(body)["kind"] for body in bodies)
        yield entries_path(index, width), encode_bundle(bodies)
    for level, index, width in tile_widths(order.size):
        async with db.read() as connection:
            stored = await LedgerStore(connection).tile(level, index)
        yield tile_path(level, index, width), b"".join(stored[:width])
    async with db.read() as connection:
        seeds = await LedgerStore(connection).seeds(order.size)
        disclosures = await LedgerStore(connection).disclosures(order.size)
    if seeds:
        yield INDEXES, disclosure_lines(seeds)
    yield DISCLOSURES, disclosure_lines(disclosures)


def disclosure_lines(disclosures: Sequence[tuple[int, str]]) -> bytes:
    """A file of (position, disclosure)."""
    lines = [json.dumps({"entry": entry, "disclosure": text}, sort_keys=True) for entry, text in disclosures]
    return "".join(f"{line}\n" for line in lines).encode()


def _manifest(order: ExportOrder, hashes: dict[str, str], kinds: Counter[str]) -> bytes:
    manifest = {
        "format": FORMAT,
        "export": order.export,
        "entry": order.position,
        "exported_at": iso(order.at),
        "exported_by": order.person,
        "software": order.software,
        "query": {"scope": "all"},
        "exclusions": [],
        "checkpoint": {"origin": order.origin, "size": order.size, "root": base64.b64encode(order.root).decode()},
        "counts": {"entries": order.size, "by_kind": dict(sorted(kinds.items()))},
        "files": dict(sorted(hashes.items())),
    }
    return (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
