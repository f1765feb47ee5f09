"""The manifest of a bundle: who exported what, and the hash of every file that is no tile of the log. Pure.

Tiles and entry bundles are named by the log's size and held by its root: a manifest that lists them all would grow with
the log. Where it lists some, their hashes have to be right all the same.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from audit.canonical import CanonicalError, canonical_json
from audit.note import Checkpoint, NoteError, VerifierKey, Verify
from audit.parts import (
    CHANGED,
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
    Bundle,
    Report,
    VerificationError,
    read_chunks,
    read_part,
    signers_line,
    strict_json,
)
from audit.sshsig import SshSignatureError, ssh_verify
from audit.structure import tile_width
from audit.succession import LogKeys
from audit.tiles import TileError, parse_path
from audit.walk import Walk

OF_ANOTHER = "is of another export"
NO_TIME = "does not say when it was made, or a time before it was ordered"
GUIDE = "VERIFY.md"
_PARTS = {GUIDE, POLICY, STATEMENTS, INDEXES, "shares.json", "erasures.ndjson"}
_FOLDERS = ("timestamps/", "sealed/")
"""What a manifest may list beside what every export has; of the last two of each the place is kept (docs/adr/0021)."""
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that the export's key signed: what it says, the hash of each file it lists, and that key."""

    listed: dict[str, Any]
    files: dict[str, str]
    export_key: VerifierKey


def open_manifest(
    bundle: Bundle, opening: Mapping[str, Any], verify: Verify, judge: Callable[[dict[str, Any]], str | None]
) -> Manifest:
    """The manifest, signed by the export key that the log's first entry, ``opening``, names.

    ``judge`` tells what is wrong with what it says, if anything is; a member that it misses may be a ``KeyError``.

    Raises:
        VerificationError: The signature does not hold, the manifest has another form, or something is wrong with it.
    """
    manifest, signature = read_part(bundle, MANIFEST, "manifest"), read_part(bundle, MANIFEST_SIGNATURE, "manifest")
    try:
        export_key = VerifierKey.parse(str(opening["data"]["export_key"]))
        ssh_verify(manifest, NAMESPACE, export_key.public_key, signature, verify)
        listed = strict_json(manifest)
        found = Manifest(listed, hashes_in(listed["files"]), export_key)
        wrong = judge(listed)
    except KeyError as error:
        wrong = f"has no {error.args[0]}"
    except (NoteError, SshSignatureError, CanonicalError, ValueError, TypeError, RecursionError) as error:
        wrong = str(error)
    if wrong is not None:
        raise VerificationError("manifest", wrong, where=MANIFEST, meaning=CHANGED)
    return found


def check_manifest(bundle: Bundle, report: Report, walk: Walk, log_keys: LogKeys, verify: Verify) -> None:
    """Check the manifest of an export of the whole log, then every file against it.

    Raises:
        VerificationError: A check failed.
    """

    def judge(listed: dict[str, Any]) -> str | None:
        summary = {name: listed[name] for name in ("checkpoint", "counts")}
        if listed["format"] != FORMAT or canonical_json(summary) != canonical_json(_summary(report)):
            return OF_ANOTHER
        if not _recorded(listed, walk):
            return "does not say who exported what as the log has it"
        return None if has_time(listed, walk.exports[listed["entry"]]["at"]) else NO_TIME

    manifest, size = open_manifest(bundle, walk.first, verify, judge), report.checkpoint.size
    report.files = check_files(
        bundle,
        manifest.files,
        {CHECKPOINT, LOG_KEY, SIGNERS, DISCLOSURES},
        known=lambda name: name in _PARTS or name.startswith(_FOLDERS),
        tile=lambda name: is_tile(name, size),
    )
    check_key_files(bundle, log_keys, manifest.export_key)
    report.export = str(manifest.listed["export"])


def check_key_files(bundle: Bundle, log_keys: LogKeys, export_key: VerifierKey) -> None:
    """Return when the keys in the bundle are those that are trusted.

    Raises:
        VerificationError: They are not.
    """
    if read_part(bundle, LOG_KEY, "keys") != "".join(f"{key}\n" for key in log_keys.current).encode():
        raise VerificationError("keys", "is not the key you hold", where=LOG_KEY, meaning=CHANGED)
    if read_part(bundle, SIGNERS, "keys") != signers_line(export_key).encode():
        raise VerificationError("keys", "is not the key that the log names", where=SIGNERS, meaning=CHANGED)


def hashes_in(listed: Any) -> dict[str, str]:
    """The hashes of a manifest, by file.

    Raises:
        ValueError: They are none.
    """
    if not isinstance(listed, dict) or not all(isinstance(value, str) for value in listed.values()):
        raise ValueError("files is not an object of hashes")
    return listed


def _recorded(manifest: dict[str, Any], walk: Walk) -> bool:
    """Whether the entry that the manifest names says who made this export, and of what."""
    names = ("entry", "export", "exported_by", "query", "exclusions")
    position, export, person, query, exclusions = (manifest[name] for name in names)
    entry = walk.exports.get(position) if type(position) is int else None
    if entry is None:
        return False
    whole = {"scope": entry["data"].get("scope")} == query and exclusions == []
    return bool(whole and entry["actor"] == {"person": person} and entry["data"].get("export") == export)


def _summary(report: Report) -> dict[str, Any]:
    """What a manifest must say of the log."""
    counts = {"entries": report.checkpoint.size, "by_kind": dict(report.kinds)}
    return {"checkpoint": checkpoint_summary(report.checkpoint), "counts": counts}


def checkpoint_summary(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a manifest says of the checkpoint."""
    root = base64.b64encode(checkpoint.root).decode()
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": root}


def has_time(manifest: dict[str, Any], at: int) -> bool:
    """Whether a manifest says, in the one form, when it was made: not before ``at``, when that was ordered."""
    said = manifest["exported_at"]
    ordered = datetime.fromtimestamp(at // 1_000, UTC).isoformat()[:19]
    return isinstance(said, str) and _TIME.fullmatch(said) is not None and said[:19] >= ordered


def check_files(
    bundle: Bundle,
    files: dict[str, str],
    needed: set[str],
    *,
    known: Callable[[str], bool],
    tile: Callable[[str], bool] = lambda _name: False,
) -> int:
    """Check that the bundle has ``files`` with these hashes, what is ``needed``, and besides only each ``tile``.

    What is listed and neither needed nor a tile has to be ``known``: whoever signs a manifest adds nothing of theirs.
    Returns how many files there are.

    Raises:
        VerificationError: One is missing, was added, or is another.
    """
    missing, extra, count = {*needed, *files}, set[str](), 0
    try:
        for name in bundle.names():
            missing.discard(name)
            count += 1
            if name not in files and name not in (MANIFEST, MANIFEST_SIGNATURE) and not tile(name):
                extra = {min({name, *extra})}
    except OSError as error:
        where, reason = str(error.filename or ""), error.strerror or str(error)
        raise VerificationError("files", reason, where=where, meaning="a folder cannot be read here") from None
    if missing:
        raise VerificationError("files", "is missing", where=min(missing), meaning="the export is not whole")
    extra |= {name for name in files if not (name in needed or known(name) or tile(name))}
    for name in sorted(extra):
        empty = "is an empty folder, and " if name.endswith("/") else ""
        raise VerificationError("files", f"{empty}is not part of the export", where=name, meaning="a file was added")
    for name, expected in sorted(files.items()):
        found = sha256()
        for chunk in read_chunks(bundle, name, "files"):
            found.update(chunk)
        if found.hexdigest() != expected:
            raise VerificationError("files", "does not have the listed hash", where=name, meaning=CHANGED)
    return count


def is_tile(name: str, size: int) -> bool:
    """Whether the log of ``size`` entries has a tile or an entry bundle of that name."""
    try:
        level, index, width = parse_path(name)
    except TileError:
        return False
    return width == tile_width(size, max(level, 0), index)
