"""The offline verifier as a program of its own: ``make verifier`` puts it and what it needs into one file.

Needs Python 3.11 and ``cryptography``, and nothing of a hub. Exit status: 0 valid, 1 not, 2 used wrongly.
"""

import argparse
import base64
import json
import sys
from pathlib import Path

from audit.files import Folder, read_vkey
from audit.keys import verify_ed25519
from audit.note import NoteError, VerifierKey
from audit.printable import printable
from audit.proof import EntryProof
from audit.quorum import Policy, PolicyError, parse_policy, witnessed
from audit.trail import is_trail, verify_trail
from audit.tree import ProofError
from audit.verify import VerificationError, strict_json, verify_bundle


def main(arguments: list[str] | None = None) -> int:
    """Check an export or a proof, and say what was found."""
    parser = argparse.ArgumentParser(prog="conclave-verify", description="Check an export of a log, or a proof.")
    parser.add_argument("what", type=Path, metavar="EXPORT", help="the exported folder, or the file of a proof")
    parser.add_argument("--vkey", type=Path, required=True, help="the log's public key, got by another way")
    parser.add_argument("--policy", type=Path, help="your policy of witnesses (tlog-policy): enough must have cosigned")
    options = parser.parse_args(arguments)
    try:
        key = read_vkey(options.vkey)
        policy = parse_policy(options.policy.read_bytes()) if options.policy else None
    except (OSError, NoteError, PolicyError) as error:
        parser.error(str(error))
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal without check marks
    check = _proof if options.what.is_file() else _bundle
    try:
        lines = check(options.what, key, policy)
    except VerificationError as error:
        lines = [f"✗ {error.where or error.check}: {error.detail}", f"INVALID: {error.meaning}."]
    except (OSError, NoteError, ProofError, ValueError, RecursionError) as error:
        lines = [f"INVALID: {printable(str(error))}."]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if lines[-1] == "VALID." else 1


def _bundle(folder: Path, key: VerifierKey, policy: Policy | None) -> list[str]:
    if is_trail(Folder(folder)):
        return _trail(folder, key, policy)
    report = verify_bundle(Folder(folder), key, verify_ed25519)
    root = base64.b64encode(report.checkpoint.root).decode()
    return [
        f"✓ checkpoint of {key.name}, root {root}",
        *_witnesses(report.note, key, policy),
        f"✓ {report.checkpoint.size:,} entries in the log, in order, numbered without a gap",
        f"✓ {report.disclosed} disclosures belong to their entries, {report.withheld} are withheld",
        f"✓ {report.files} files as the manifest lists them, export {printable(report.export)}",
        "VALID.",
    ]


def _trail(folder: Path, key: VerifierKey, policy: Policy | None) -> list[str]:
    report = verify_trail(Folder(folder), key, verify_ed25519)
    count, part = report.kinds.total(), printable(f"{report.scope.kind} {report.scope.id}")
    return [
        f"✓ checkpoint of {key.name}, {report.checkpoint.size:,} entries",
        *_witnesses(report.note, key, policy),
        f"✓ {count:,} entries in the log, all that there are of {part} before entry {report.before:,}",
        f"✓ {report.disclosed} disclosures belong to their entries, {report.withheld} are withheld",
        f"✓ {report.files} files as the manifest lists them, export {printable(report.export)}",
        "VALID.",
    ]


def _proof(file: Path, key: VerifierKey, policy: Policy | None) -> list[str]:
    proof = EntryProof.parse(file.read_bytes())
    checkpoint = proof.verify(key, verify_ed25519)
    entry = json.dumps(strict_json(proof.extra), ensure_ascii=False, sort_keys=True)
    return [
        f"✓ checkpoint of {key.name}, {checkpoint.size:,} entries",
        *_witnesses(proof.note, key, policy),
        f"✓ entry {proof.index:,}: {printable(entry, 2_000)}",
        "VALID.",
    ]


def _witnesses(note: bytes, key: VerifierKey, policy: Policy | None) -> list[str]:
    if policy is None:
        return []
    names = ", ".join(printable(name) for name in witnessed(note, key, policy, verify_ed25519))
    return [f"✓ cosigned by {names or 'nobody, and nobody is needed'}"]
