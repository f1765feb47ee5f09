"""The offline verifier as a program of its own: ``make verifier`` puts it and what it needs into one file.

Needs Python 3.11 and ``cryptography``, and nothing of a hub. Exit status: 0 valid, 1 not, 2 used wrongly,
130 interrupted.
"""

import argparse
import base64
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from audit.archive import Archive, ArchiveError, is_archive
from audit.files import Folder, read_vkeys, refuse_own
from audit.key_history import parse_statements
from audit.keys import verify_signature
from audit.note import NoteError, VerifierKey
from audit.offline import verify_folder
from audit.parts import Report, VerificationError
from audit.printable import printable
from audit.proof_check import Trust, check_proof
from audit.quorum import Policy, PolicyError, parse_policy, witnessed
from audit.removal_file import RemovalProof, is_removal, proof_lines, verify_removal
from audit.stamped import Authorities, describe, load_authorities, verify_timestamps
from audit.timestamps import Timestamp
from audit.trail import TrailReport, is_trail, verify_trail
from audit.tree import ProofError
from audit.tsp import TimestampError

FOUND = "FINDINGS: the proof is whole, and what it shows is not as it should be."
INTERRUPTED = 130
LARGE = 50_000


def main(arguments: list[str] | None = None) -> int:
    """Check an export or a proof, and say what was found."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        refuse_own(options.what, (options.vkey, options.root, options.policy))
        root = read_vkeys(options.root)[0] if options.root else None
        statements = parse_statements(options.statements.read_bytes()) if options.statements else []
        trust = Trust(read_vkeys(options.vkey), root, [note.encode() for _, note in statements])
        policy = parse_policy(options.policy.read_bytes()) if options.policy else None
        seen = {str(path): path.read_bytes() for path in options.seen}
        authorities = load_authorities(options.tsa_cert) if options.tsa_cert else None
    except (OSError, NoteError, PolicyError, TimestampError, VerificationError) as error:
        parser.error(str(error))
    if _is_part(options.what) and (authorities is not None or seen):
        parser.error("--tsa-cert and --seen go with an export of the whole log, not with a proof or a trail")
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal without check marks
    try:
        lines = _look(options, trust, policy, seen, authorities)
    except VerificationError as error:
        lines = [f"✗ {error.where or error.check}: {error.detail}", f"INVALID: {error.meaning}."]
    except ChildProcessError as error:
        lines = [f"NOT VERIFIED: {error.strerror}."]
    except (OSError, ArchiveError, NoteError, ProofError, ValueError, RecursionError) as error:
        lines = [f"INVALID: {printable(str(error))}."]
    except KeyboardInterrupt:
        sys.stderr.write("\nNOT VERIFIED: interrupted.\n")
        return INTERRUPTED
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if lines[-1] == "VALID." else 1


def _look(
    options: argparse.Namespace,
    trust: Trust,
    policy: Policy | None,
    seen: Mapping[str, bytes],
    authorities: Authorities | None,
) -> list[str]:
    """What is found in what the caller named, in lines; the last is the verdict."""
    what = options.what
    if what.is_file() and is_archive(what):
        return _removal(verify_removal(_archive(what), trust, policy, verify_signature), policy)
    if what.is_file():
        return _proof(what, trust, policy)
    if is_removal(Folder(what)):
        return _removal(verify_removal(Folder(what), trust, policy, verify_signature), policy)
    if is_trail(Folder(what)):
        return _trail(verify_trail(Folder(what), trust.keys, verify_signature, root=trust.root), policy)
    processes = options.processes
    report = verify_folder(what, trust.keys, root=trust.root, seen=seen, processes=processes, progress=_count)
    return _bundle(report, policy, authorities)


def _is_part(what: Path) -> bool:
    """Whether ``what`` shows a part of the log only."""
    return what.is_file() or is_trail(Folder(what)) or is_removal(Folder(what))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="conclave-verify", description="Check an export of a log, or a proof.")
    parser.add_argument(
        "what", type=Path, metavar="EXPORT", help="the exported folder, or the file of a proof (.tlog-proof, .tar)"
    )
    parser.add_argument(
        "--vkey", type=Path, required=True, help="the log's public keys, got by another way; each must have signed"
    )
    parser.add_argument("--root", type=Path, help="the public key of the log's root, where you hold it")
    parser.add_argument("--statements", type=Path, help="for a proof: keys/statements.ndjson of an export")
    parser.add_argument("--policy", type=Path, help="your policy of witnesses (tlog-policy): enough must have cosigned")
    parser.add_argument("--tsa-cert", type=Path, help="the TSA's root certificate, PEM: its timestamps are checked")
    saved = "a checkpoint that you saved: the log must extend it; may be given often"
    parser.add_argument("--seen", type=Path, action="append", default=[], help=saved)
    parser.add_argument("--processes", type=int, help="at most so many; one for each core if not said")
    return parser


def _count(done: int, whole: int) -> None:
    """A line that counts, on a terminal, for logs that take a while."""
    if sys.stderr.isatty() and whole > LARGE:
        sys.stderr.write(f"\r  {done:,} of {whole:,} entries" + ("\n" if done == whole else ""))
        sys.stderr.flush()


def _bundle(report: Report, policy: Policy | None, authorities: Authorities | None) -> list[str]:
    root, key = base64.b64encode(report.checkpoint.root).decode(), report.key
    return [
        f"✓ checkpoint of {key.name}, root {root}",
        *(f"✓ {line}" for line in report.key_changes),
        *_witnesses(report.note, report.keys, policy),
        *([f"✓ the log extends {report.seen} saved checkpoint{'s' * (report.seen > 1)}"] if report.seen else []),
        f"✓ {report.checkpoint.size:,} entries in the log, in order, numbered without a gap",
        *_timestamps(report.timestamps, authorities),
        f"✓ {report.disclosed} disclosures belong to their entries, {report.withheld} are withheld",
        f"✓ {report.files} files, none missing, none added",
        f"✓ closed: {printable(report.closed)}" if report.closed else f"✓ export {printable(report.export)}",
        "VALID.",
    ]


def _trail(report: TrailReport, policy: Policy | None) -> list[str]:
    count, part = report.kinds.total(), printable(f"{report.scope.kind} {report.scope.id}")
    return [
        f"✓ checkpoint of {report.key.name}, {report.checkpoint.size:,} entries",
        *(f"✓ {line}" for line in report.key_changes),
        *_witnesses(report.note, report.keys, policy),
        f"✓ {count:,} entries in the log, all that there are of {part} before entry {report.before:,}",
        f"✓ {report.disclosed} disclosures belong to their entries, {report.withheld} are withheld",
        f"✓ {report.files} files as the manifest lists them, export {printable(report.export)}",
        "VALID.",
    ]


def _archive(path: Path) -> Archive:
    """The archive of a removal proof; other exports are unpacked first.

    Raises:
        ArchiveError: It is none.
    """
    archive = Archive.open(path)
    if not is_removal(archive):
        raise ArchiveError(f"{path} holds no removal proof: unpack an export, and name the folder")
    return archive


def _removal(proof: RemovalProof, policy: Policy | None) -> list[str]:
    lines = [f"✓ checkpoint of {proof.key.name}, {proof.checkpoint.size:,} entries"]
    lines += [f"✓ {line}" for line in proof.key_changes]
    lines += _witnesses(proof.note, proof.keys, policy)
    lines += [f"✓ {printable(line)}" for line in proof_lines(proof)]
    lines += [f"✗ {printable(line)}" for line in proof.shows.findings]
    return [*lines, FOUND if proof.shows.findings else "VALID."]


def _timestamps(found: list[Timestamp], authorities: Authorities | None) -> list[str]:
    names = None if authorities is None else verify_timestamps(found, authorities)
    mark = "·" if names is None else "✓"
    return [f"{mark} timestamps: {printable(describe(found, names))}"] if found else []


def _proof(file: Path, trust: Trust, policy: Policy | None) -> list[str]:
    found = check_proof(file.read_bytes(), trust, policy, verify_signature)
    return [
        f"✓ checkpoint of {found.key.name}, {found.checkpoint.size:,} entries",
        *_cosigned(found.witnesses),
        f"✓ entry {found.index:,}: {printable(json.dumps(found.entry, ensure_ascii=False, sort_keys=True), 2_000)}",
        "VALID.",
    ]


def _witnesses(note: bytes, keys: Sequence[VerifierKey], policy: Policy | None) -> list[str]:
    return _cosigned(None if policy is None else witnessed(note, keys, policy, verify_signature))


def _cosigned(names: list[str] | None) -> list[str]:
    if names is None:
        return []
    return [f"✓ cosigned by {', '.join(map(printable, names)) or 'nobody, and nobody is needed'}"]
