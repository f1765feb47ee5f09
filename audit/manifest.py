"""The manifest of a bundle: who exported what, and the hash of every file. Pure."""

import base64
from hashlib import sha256
from typing import Any

from audit.canonical import CanonicalError, canonical_json
from audit.note import Checkpoint, NoteError, VerifierKey, Verify
from audit.parts import (
    CHANGED,
    CHECKPOINT,
    DISCLOSURES,
    FORMAT,
    LOG_KEY,
    MANIFEST,
    MANIFEST_SIGNATURE,
    NAMESPACE,
    SIGNERS,
    Bundle,
    Report,
    VerificationError,
    read_part,
    signers_line,
    strict_json,
)
from audit.sshsig import SshSignatureError, ssh_verify
from audit.walk import Walk


def check_manifest(bundle: Bundle, report: Report, walk: Walk, verify: Verify) -> None:
    """Check the manifest's signature by the export key that the log itself names, then every file against it.

    Raises:
        VerificationError: A check failed.
    """
    manifest, signature = read_part(bundle, MANIFEST, "manifest"), read_part(bundle, MANIFEST_SIGNATURE, "manifest")
    try:
        export_key = VerifierKey.parse(str(walk.first["data"]["export_key"]))
        ssh_verify(manifest, NAMESPACE, export_key.public_key, signature, verify)
        listed = strict_json(manifest)
        files = hashes_in(listed["files"])
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
    check_files(bundle, files, {CHECKPOINT, LOG_KEY, SIGNERS, DISCLOSURES})
    check_keys(bundle, report.key, export_key)
    report.files, report.export = len(files) + 2, str(listed["export"])


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
    return {"checkpoint": summary(report.checkpoint), "counts": counts}


def summary(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a manifest says of the checkpoint."""
    root = base64.b64encode(checkpoint.root).decode()
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": root}


def check_keys(bundle: Bundle, log_key: VerifierKey, export_key: VerifierKey) -> None:
    """Return when the keys in the bundle are those that are trusted.

    Raises:
        VerificationError: They are not.
    """
    if read_part(bundle, LOG_KEY, "keys") != f"{log_key}\n".encode():
        raise VerificationError("keys", "is not the key you hold", where=LOG_KEY, meaning=CHANGED)
    if read_part(bundle, SIGNERS, "keys") != signers_line(export_key).encode():
        raise VerificationError("keys", "is not the key that the log names", where=SIGNERS, meaning=CHANGED)


def check_files(bundle: Bundle, files: dict[str, str], needed: set[str]) -> None:
    """Return when the bundle has ``files`` with these hashes, the ``needed`` ones among them, and no other.

    Raises:
        VerificationError: It has not.
    """
    try:
        names = bundle.names() - {MANIFEST, MANIFEST_SIGNATURE}
    except OSError as error:
        where, reason = str(error.filename or ""), error.strerror or str(error)
        raise VerificationError("files", reason, where=where, meaning="a folder cannot be read here") from None
    if missing := sorted({*needed, *files} - names):
        raise VerificationError("files", "is missing", where=missing[0], meaning="the export is not whole")
    if extra := sorted(names - files.keys()):
        raise VerificationError("files", "is not part of the export", where=extra[0], meaning="a file was added")
    for name, expected in sorted(files.items()):
        if sha256(read_part(bundle, name, "files")).hexdigest() != expected:
            raise VerificationError("files", "does not have the listed hash", where=name, meaning=CHANGED)
