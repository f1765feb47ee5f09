"""The offline verifier of an exported bundle: no network, no database, no key but the caller's.

``verify_bundle`` answers with a :class:`Report` only when every file is what the log committed to or what the export's
key signed; anything else raises :class:`VerificationError`, which says which check failed, where, and what it means.
Pure: files come in through :class:`Bundle`, signatures through :class:`audit.note.Verify`.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from audit.canonical import CanonicalError
from audit.entry import Disclosure, EntryError, actor_key, parse_entry
from audit.note import Checkpoint, NoteError, VerifierKey, Verify, open_note
from audit.sshsig import SshSignatureError, ssh_verify
from audit.tiles import (
    Edge,
    TileError,
    bundle_widths,
    decode_bundle,
    decode_tile,
    entries_path,
    tile_path,
    tile_widths,
)
from audit.tree import leaf_hash

MANIFEST = "manifest.json"
MANIFEST_SIGNATURE = "manifest.json.sig"
CHECKPOINT = "checkpoint"
LOG_KEY = "keys/log.vkey"
DISCLOSURES = "disclosures.ndjson"
NAMESPACE = "conclave-export@v1"
FORMAT = "conclave-bundle/1"

Progress = Callable[[int, int], None]


class Bundle(Protocol):
    """The files of an export."""

    def names(self) -> set[str]:
        """Every file's path, relative, with forward slashes."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            OSError: It is missing or unreadable.
        """
        ...


class VerificationError(Exception):
    """The bundle is not what the log committed to: ``check`` failed at ``where``; ``meaning`` says what that is."""

    def __init__(self, check: str, detail: str, *, where: str = "", meaning: str) -> None:
        super().__init__(f"{check}: {f'{where} ' if where else ''}{detail}")
        self.check = check
        self.detail = detail
        self.where = where
        self.meaning = meaning


@dataclass(slots=True, kw_only=True)
class Report:
    """What a valid bundle holds."""

    checkpoint: Checkpoint
    key: VerifierKey
    kinds: Counter[str] = field(default_factory=Counter)
    last_at: int | None = None
    files: int = 0
    disclosed: int = 0
    withheld: int = 0


CHANGED = "the file was changed after export, or the log's key is not the one you hold"


def verify_bundle(
    bundle: Bundle, key: VerifierKey, verify: Verify, progress: Progress = lambda _done, _all: None
) -> Report:
    """Check every file of ``bundle`` against ``key``, which the caller got out of band.

    Raises:
        VerificationError: A check failed.
    """
    checkpoint = _checkpoint(bundle, key, verify)
    report = Report(checkpoint=checkpoint, key=key)
    walk = _Walk(report)
    edge = _entries(bundle, checkpoint, walk, progress)
    if edge.frontier.root() != checkpoint.root:
        raise VerificationError("root", "the entries do not hash to the checkpoint's root", meaning=CHANGED)
    _manifest(bundle, report, walk, verify)
    _disclosures(bundle, report, walk)
    return report


def _read(bundle: Bundle, name: str, check: str) -> bytes:
    try:
        return bundle.read(name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise VerificationError(check, f"cannot read it: {reason}", where=name, meaning="a file is missing") from None


def _checkpoint(bundle: Bundle, key: VerifierKey, verify: Verify) -> Checkpoint:
    note = _read(bundle, CHECKPOINT, "checkpoint")
    try:
        checkpoint = Checkpoint.parse(open_note(note, key, verify))
    except NoteError as error:
        raise VerificationError("checkpoint", str(error), where=CHECKPOINT, meaning=CHANGED) from None
    if checkpoint.origin != key.name:
        detail = f"is of the log {checkpoint.origin}, your key is of {key.name}"
        raise VerificationError("checkpoint", detail, where=CHECKPOINT, meaning=CHANGED)
    return checkpoint


def _entries(bundle: Bundle, checkpoint: Checkpoint, walk: "_Walk", progress: Progress) -> Edge:
    """Read every entry bundle in order, hold its leaf hashes against the tiles, and walk its entries."""
    edge = Edge()
    tiles: dict[tuple[int, int], tuple[bytes, ...]] = {}
    widths = {(level, index): width for level, index, width in tile_widths(checkpoint.size)}
    for index, width in bundle_widths(checkpoint.size):
        name = entries_path(index, width)
        try:
            entries = decode_bundle(_read(bundle, name, "entries"), width)
        except TileError as error:
            raise VerificationError("entries", str(error), where=name, meaning=CHANGED) from None
        leaves = [leaf_hash(entry) for entry in entries]
        _same_leaves(bundle, index, width, leaves, entries)
        for entry in entries:
            walk.step(entry)
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
        stored = decode_tile(_read(bundle, name, "tiles"), width)
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
    if _read(bundle, name, "tiles") != b"".join(hashes):
        raise VerificationError("tiles", "does not follow from the entries", where=name, meaning=CHANGED)


def _describe(entry: bytes) -> str:
    """The kind of a possibly broken entry, for a message."""
    try:
        kind = json.loads(entry)["kind"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return " (not readable)"
    return f" ({kind})" if isinstance(kind, str) else ""


class _Walk:
    """Reads entries in order: form, time, and the unbroken numbers of every source, actor and room."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last: dict[tuple[str, str], int] = {}
        self._at = 0
        self.position = 0
        self.first: dict[str, Any] = {}
        self.digests: dict[str, int] = {}

    def step(self, data: bytes) -> None:
        """Take the next entry."""
        where = f"entry {self.position:,}"
        try:
            entry = parse_entry(data)
        except (CanonicalError, EntryError) as error:
            raise VerificationError("meaning", str(error), where=where, meaning=_MALFORMED) from None
        where += f" ({entry['kind']})"
        if entry["at"] < self._at:
            raise VerificationError("time", "is dated before the one in front of it", where=where, meaning=_GAP)
        for name, key, number in _numbers(entry):
            expected = self._last.get((name, key), 0) + 1
            if number != expected:
                detail = f"has {name}_seq {number} of {key}, expected {expected}"
                raise VerificationError("sequence", detail, where=where, meaning=_GAP)
            self._last[name, key] = number
        if repeated := self.digests.keys() & entry.get("sd", ()):
            detail = f"repeats the digest of a disclosure of entry {self.digests[min(repeated)]:,}"
            raise VerificationError("meaning", detail, where=where, meaning=_MALFORMED)
        self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        if self.position == 0:
            self.first = entry
        self._at = self._report.last_at = entry["at"]
        self._report.kinds[entry["kind"]] += 1
        self.digests.update(dict.fromkeys(entry.get("sd", ()), self.position))
        self.position += 1


_GAP = "something was kept from the log, or written to it by other hands than the hub's"
_MALFORMED = "the log holds a malformed entry"


def _numbers(entry: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    yield "source", entry["source"], entry["source_seq"]
    yield "actor", actor_key(entry["actor"]), entry["actor_seq"]
    if "room" in entry:
        yield "room", entry["room"], entry["room_seq"]


def _manifest(bundle: Bundle, report: Report, walk: _Walk, verify: Verify) -> None:
    """Check the manifest's signature by the export key that the log itself names, then every file against it."""
    manifest, signature = _read(bundle, MANIFEST, "manifest"), _read(bundle, MANIFEST_SIGNATURE, "manifest")
    try:
        export_key = VerifierKey.parse(str(walk.first["data"]["export_key"]))
        ssh_verify(manifest, NAMESPACE, export_key.public_key, signature, verify)
        listed = json.loads(manifest)
        files: dict[str, str] = dict(listed["files"])
        form, summary = listed["format"], {name: listed[name] for name in ("checkpoint", "counts")}
    except (NoteError, SshSignatureError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise VerificationError("manifest", str(error), where=MANIFEST, meaning=CHANGED) from None
    if form != FORMAT or summary != _summary(report):
        raise VerificationError("manifest", "is of another export", where=MANIFEST, meaning=CHANGED)
    _files(bundle, files)
    if _read(bundle, LOG_KEY, "keys") != f"{report.key}\n".encode():
        raise VerificationError("keys", "is not the key you hold", where=LOG_KEY, meaning=CHANGED)
    report.files = len(files) + 2


def _summary(report: Report) -> dict[str, Any]:
    """What a manifest must say of the log."""
    checkpoint, kinds = report.checkpoint, dict(report.kinds)
    root = base64.b64encode(checkpoint.root).decode()
    return {
        "checkpoint": {"origin": checkpoint.origin, "size": checkpoint.size, "root": root},
        "counts": {"entries": checkpoint.size, "by_kind": kinds},
    }


def _files(bundle: Bundle, files: dict[str, str]) -> None:
    names = bundle.names() - {MANIFEST, MANIFEST_SIGNATURE}
    if missing := sorted({CHECKPOINT, LOG_KEY, DISCLOSURES, *files} - names):
        raise VerificationError("files", "is missing", where=missing[0], meaning="the export is not whole")
    if extra := sorted(names - files.keys()):
        raise VerificationError("files", "is not part of the export", where=extra[0], meaning="a file was added")
    for name, expected in sorted(files.items()):
        if sha256(_read(bundle, name, "files")).hexdigest() != expected:
            raise VerificationError("files", "does not have the listed hash", where=name, meaning=CHANGED)


def _disclosures(bundle: Bundle, report: Report, walk: _Walk) -> None:
    open_digests = dict(walk.digests)
    for number, line in enumerate(_read(bundle, DISCLOSURES, "disclosures").splitlines(), start=1):
        where = f"{DISCLOSURES} line {number}"
        try:
            item = json.loads(line)
            digest = Disclosure.decode(item["disclosure"]).digest()
        except (EntryError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise VerificationError("disclosures", str(error), where=where, meaning=CHANGED) from None
        position = open_digests.pop(digest, None)
        if position is None or item.get("entry") != position:
            detail = "does not belong to the entry it names"
            raise VerificationError("disclosures", detail, where=where, meaning=CHANGED)
        report.disclosed += 1
    report.withheld = len(open_digests)
