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

from audit.canonical import CanonicalError, canonical_json
from audit.entry import Disclosure, EntryError, actor_key, parse_entry
from audit.kinds import KINDS
from audit.note import Checkpoint, NoteError, VerifierKey, Verify, open_note
from audit.printable import printable
from audit.sshsig import SshSignatureError, ssh_public_key, ssh_verify
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
from audit.timestamps import FORGED, Timestamp, WrongTimestampError, check_timestamps
from audit.tree import leaf_hash

MANIFEST = "manifest.json"
MANIFEST_SIGNATURE = "manifest.json.sig"
CHECKPOINT = "checkpoint"
LOG_KEY = "keys/log.vkey"
SIGNERS = "keys/export.allowed_signers"
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
        where, detail = printable(where), printable(detail)  # a forger chose them
        super().__init__(f"{check}: {f'{where} ' if where else ''}{detail}")
        self.check = check
        self.detail = detail
        self.where = where
        self.meaning = meaning


@dataclass(slots=True, kw_only=True)
class Report:
    """What a valid bundle holds; ``last_at`` is the time of the newest entry, ``export`` the export's own name.

    ``note`` is the checkpoint as it was read, with every signature; ``timestamps`` are of this log, and only claimed:
    whether a TSA made them, ``audit.tsa`` tells.
    """

    checkpoint: Checkpoint
    key: VerifierKey
    note: bytes = b""
    export: str = ""
    kinds: Counter[str] = field(default_factory=Counter)
    last_at: int | None = None
    files: int = 0
    disclosed: int = 0
    withheld: int = 0
    timestamps: list[Timestamp] = field(default_factory=list)


CHANGED = "the file was changed after export, or the log's key is not the one you hold"


def verify_bundle(
    bundle: Bundle, key: VerifierKey, verify: Verify, progress: Progress = lambda _done, _all: None
) -> Report:
    """Check every file of ``bundle`` against ``key``, which the caller got out of band.

    Raises:
        VerificationError: A check failed.
    """
    note = _read(bundle, CHECKPOINT, "checkpoint")
    checkpoint = _checkpoint(note, key, verify)
    report = Report(checkpoint=checkpoint, key=key, note=note)
    walk = _Walk(report)
    edge = _entries(bundle, checkpoint, walk, progress)
    if edge.frontier.root() != checkpoint.root:
        raise VerificationError("root", "the entries do not hash to the checkpoint's root", meaning=CHANGED)
    if walk.wrong is not None:  # only now: it is the log itself that is wrong, and not a copy that somebody changed
        raise walk.wrong
    walk.check_opening()
    _manifest(bundle, report, walk, verify)
    _disclosures(bundle, report, walk)
    try:
        report.timestamps = check_timestamps(bundle, checkpoint, key, verify)
    except WrongTimestampError as error:
        raise VerificationError("timestamps", str(error), where=error.where, meaning=FORGED) from None
    return report


def _read(bundle: Bundle, name: str, check: str) -> bytes:
    try:
        return bundle.read(name)
    except OSError as error:
        reason = error.strerror or str(error)
        meaning = "a file is missing" if isinstance(error, FileNotFoundError) else "a file cannot be read here"
        raise VerificationError(check, f"cannot read it: {reason}", where=name, meaning=meaning) from None


def _checkpoint(note: bytes, key: VerifierKey, verify: Verify) -> Checkpoint:
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
    return f" ({kind})" if isinstance(kind, str) and kind in KINDS else " (of no known kind)"


class _Walk:
    """Reads entries in order: form, time, and the unbroken numbers of every source, actor and room.

    ``wrong`` is the first thing that does not fit; whether the log says so is known when its root was found.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last: dict[tuple[str, str], int] = {}
        self._at = 0
        self.position = 0
        self.first: dict[str, Any] = {}
        self.digests: dict[str, int] = {}
        self.exports: dict[int, dict[str, Any]] = {}
        self.wrong: VerificationError | None = None

    def take(self, data: bytes) -> None:
        """Take the next entry."""
        if self.wrong is None:
            try:
                self._step(data)
            except VerificationError as error:
                self.wrong = error

    def check_opening(self) -> None:
        """Return when the first entry opens this log with this key.

        Raises:
            VerificationError: It does not.
        """
        checkpoint, key, first = self._report.checkpoint, self._report.key, self.first
        data = first.get("data", {})
        opens = first.get("kind") == "log.opened" and data.get("origin") == checkpoint.origin
        if not opens or data.get("log_key") != str(key):
            detail = "does not open this log with the key you hold"
            raise VerificationError("meaning", detail, where="entry 0", meaning=_MALFORMED)

    def _step(self, data: bytes) -> None:
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
        if entry["kind"] == "audit.exported":
            self.exports[self.position] = entry
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
        listed = strict_json(manifest)
        files = _hashes(listed["files"])
        form, summary = listed["format"], {name: listed[name] for name in ("checkpoint", "counts")}
        fits = form == FORMAT and canonical_json(summary) == canonical_json(_summary(report))
        recorded = _recorded(listed, walk)
    except KeyError as error:
        raise VerificationError("manifest", f"has no {error.args[0]}", where=MANIFEST, meaning=CHANGED) from None
    except (NoteError, SshSignatureError, CanonicalError, ValueError, TypeError, RecursionError) as error:
        raise VerificationError("manifest", str(error), where=MANIFEST, meaning=CHANGED) from None
    if not fits:
        raise VerificationError("manifest", "is of another export", where=MANIFEST, meaning=CHANGED)
    if not recorded:
        detail = "does not say who exported what as the log has it"
        raise VerificationError("manifest", detail, where=MANIFEST, meaning=CHANGED)
    _files(bundle, files)
    if _read(bundle, LOG_KEY, "keys") != f"{report.key}\n".encode():
        raise VerificationError("keys", "is not the key you hold", where=LOG_KEY, meaning=CHANGED)
    if _read(bundle, SIGNERS, "keys") != signers_line(export_key).encode():
        raise VerificationError("keys", "is not the key that the log names", where=SIGNERS, meaning=CHANGED)
    report.files, report.export = len(files) + 2, str(listed["export"])


def _hashes(listed: Any) -> dict[str, str]:
    if not isinstance(listed, dict) or not all(isinstance(value, str) for value in listed.values()):
        raise ValueError("files is not an object of hashes")
    return listed


def _recorded(manifest: dict[str, Any], walk: _Walk) -> bool:
    """Whether the entry that the manifest names says who made this export, and of what."""
    names = ("entry", "export", "exported_by", "query", "exclusions")
    position, export, person, query, exclusions = (manifest[name] for name in names)
    entry = walk.exports.get(position) if type(position) is int else None
    if entry is None:
        return False
    whole = {"scope": entry["data"].get("scope")} == query and exclusions == []
    return bool(whole and entry["actor"] == {"person": person} and entry["data"].get("export") == export)


def signers_line(key: VerifierKey) -> str:
    """The one line of ``keys/export.allowed_signers`` (ssh-keygen(1), "ALLOWED SIGNERS")."""
    return f'{key.name} namespaces="{NAMESPACE}" {ssh_public_key(key.public_key)}\n'


def strict_json(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``, UTF-8, read as every reader must: no name twice, no number that JSON has not.

    Raises:
        ValueError: It is something else.
    """
    value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _summary(report: Report) -> dict[str, Any]:
    """What a manifest must say of the log."""
    checkpoint, kinds = report.checkpoint, dict(report.kinds)
    root = base64.b64encode(checkpoint.root).decode()
    return {
        "checkpoint": {"origin": checkpoint.origin, "size": checkpoint.size, "root": root},
        "counts": {"entries": checkpoint.size, "by_kind": kinds},
    }


def _files(bundle: Bundle, files: dict[str, str]) -> None:
    try:
        names = bundle.names() - {MANIFEST, MANIFEST_SIGNATURE}
    except OSError as error:
        where, reason = str(error.filename or ""), error.strerror or str(error)
        raise VerificationError("files", reason, where=where, meaning="a folder cannot be read here") from None
    if missing := sorted({CHECKPOINT, LOG_KEY, SIGNERS, DISCLOSURES, *files} - names):
        raise VerificationError("files", "is missing", where=missing[0], meaning="the export is not whole")
    if extra := sorted(names - files.keys()):
        raise VerificationError("files", "is not part of the export", where=extra[0], meaning="a file was added")
    for name, expected in sorted(files.items()):
        if sha256(_read(bundle, name, "files")).hexdigest() != expected:
            raise VerificationError("files", "does not have the listed hash", where=name, meaning=CHANGED)


def _disclosures(bundle: Bundle, report: Report, walk: _Walk) -> None:
    open_digests, text = dict(walk.digests), _read(bundle, DISCLOSURES, "disclosures")
    if text and not text.endswith(b"\n"):
        raise VerificationError("disclosures", "ends in the middle of a line", where=DISCLOSURES, meaning=CHANGED)
    for number, line in enumerate(text.split(b"\n")[:-1], start=1):
        where = f"{DISCLOSURES} line {number}"
        try:
            item = strict_json(line)
            digest = Disclosure.decode(item["disclosure"]).digest()
        except (EntryError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise VerificationError("disclosures", str(error), where=where, meaning=CHANGED) from None
        position = open_digests.pop(digest, None)
        if position is None or type(item.get("entry")) is not int or item["entry"] != position or len(item) != 2:
            detail = "does not belong to the entry it names"
            raise VerificationError("disclosures", detail, where=where, meaning=CHANGED)
        report.disclosed += 1
    report.withheld = len(open_digests)
