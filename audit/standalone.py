"""The offline verifier as a program of its own: ``make verifier`` puts it and what it needs into one file.

Needs Python 3.11 and ``cryptography``, and nothing of a hub. Exit status: 0 valid, 1 not, 2 used wrongly,
130 interrupted.
"""

import argparse
import base64
import json
import sys
from pathlib import Path

from audit.files import read_vkey
from audit.keys import verify_ed25519
from audit.note import NoteError, VerifierKey
from audit.offline import verify_folder
from audit.parts import Report
from audit.printable import printable
from audit.proof import EntryProof
from audit.quorum import Policy, PolicyError, parse_policy, witnessed
from audit.tree import ProofError
from audit.verify import VerificationError, strict_json

INTERRUPTED = 130
LARGE = 50_000


def main(arguments: list[str] | None = None) -> int:
    """Check an export or a proof, and say what was found."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.seen and options.what.is_file():
        parser.error("--seen goes with an exported folder, not with a proof")
    try:
        key = read_vkey(options.vkey)
        policy = parse_policy(options.policy.read_bytes()) if options.policy else None
        seen = {str(path): path.read_bytes() for path in options.seen}
    except (OSError, NoteError, PolicyError) as error:
        parser.error(str(error))
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal without check marks
    try:
        if options.what.is_file():
            lines = _proof(options.what, key, policy)
        else:
            report = verify_folder(options.what, key, seen=seen, processes=options.processes, progress=_count)
            lines = _bundle(report, policy)
    except VerificationError as error:
        lines = [f"✗ {error.where or error.check}: {error.detail}", f"INVALID: {error.meaning}."]
    except ChildProcessError as error:
        lines = [f"NOT VERIFIED: {error.strerror}."]
    except (OSError, NoteError, ProofError, ValueError, RecursionError) as error:
        lines = [f"INVALID: {printable(str(error))}."]
    except KeyboardInterrupt:
        sys.stderr.write("\nNOT VERIFIED: interrupted.\n")
        return INTERRUPTED
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if lines[-1] == "VALID." else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="conclave-verify", description="Check an export of a log, or a proof.")
    parser.add_argument("what", type=Path, metavar="EXPORT", help="the exported folder, or the file of a proof")
    parser.add_argument("--vkey", type=Path, required=True, help="the log's public key, got by another way")
    parser.add_argument("--policy", type=Path, help="your policy of witnesses (tlog-policy): enough must have cosigned")
    saved = "a checkpoint that you saved: the log must extend it; may be given often"
    parser.add_argument("--seen", type=Path, action="append", default=[], help=saved)
    parser.add_argument("--processes", type=int, help="at most so many; one for each core if not said")
    return parser


def _count(done: int, whole: int) -> None:
    """A line that counts, on a terminal, for logs that take a while."""
    if sys.stderr.isatty() and whole > LARGE:
        sys.stderr.write(f"\r  {done:,} of {whole:,} entries" + ("\n" if done == whole else ""))
        sys.stderr.flush()


def _bundle(report: Report, policy: Policy | None) -> list[str]:
    root, key = base64.b64encode(report.checkpoint.root).decode(), report.key
    return [
        f"✓ checkpoint of {key.name}, root {root}",
        *_witnesses(report.note, key, policy),
        *([f"✓ the log extends {report.seen} saved checkpoint{'s' * (report.seen > 1)}"] if report.seen else []),
        f"✓ {report.checkpoint.size:,} entries in the log, in order, numbered without a gap",
        f"✓ {report.disclosed} disclosures belong to their entries, {report.withheld} are withheld",
        f"✓ {report.files} files: the log's tiles, and the others as the manifest lists them",
        f"✓ export {printable(report.export)}",
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
