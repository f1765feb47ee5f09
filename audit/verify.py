"""The offline verifier of an exported bundle: no network, no database, no key but the caller's.

``verify_bundle`` answers with a :class:`Report` only when every file is what the log committed to or what the export's
key signed; anything else raises :class:`VerificationError`, which says which check failed, where, and what it means.
Pure: files come in through :class:`Bundle`, signatures through :class:`audit.note.Verify`.
"""

from audit.disclosures import check_disclosures
from audit.indexes import read_seeds
from audit.manifest import check_manifest
from audit.note import Checkpoint, NoteError, VerifierKey, Verify, open_note
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
from audit.structure import Progress, check_entries
from audit.walk import Walk

__all__ = [
    "CHANGED",
    "CHECKPOINT",
    "DISCLOSURES",
    "FORMAT",
    "LOG_KEY",
    "MANIFEST",
    "MANIFEST_SIGNATURE",
    "NAMESPACE",
    "SIGNERS",
    "Bundle",
    "Progress",
    "Report",
    "VerificationError",
    "signers_line",
    "strict_json",
    "verify_bundle",
]


def verify_bundle(
    bundle: Bundle, key: VerifierKey, verify: Verify, progress: Progress = lambda _done, _all: None
) -> Report:
    """Check every file of ``bundle`` against ``key``, which the caller got out of band.

    Raises:
        VerificationError: A check failed.
    """
    note = read_part(bundle, CHECKPOINT, "checkpoint")
    checkpoint = open_checkpoint(note, key, verify)
    report = Report(checkpoint=checkpoint, key=key, note=note)
    walk = Walk(report, read_seeds(bundle))
    edge = check_entries(bundle, checkpoint, walk, progress)
    if edge.frontier.root() != checkpoint.root:
        raise VerificationError("root", "the entries do not hash to the checkpoint's root", meaning=CHANGED)
    if walk.wrong is not None:  # only now: it is the log itself that is wrong, and not a copy that somebody changed
        raise walk.wrong
    walk.check_opening()
    check_manifest(bundle, report, walk, verify)
    report.disclosed, report.withheld = check_disclosures(bundle, walk.digests)
    return report


def open_checkpoint(note: bytes, key: VerifierKey, verify: Verify) -> Checkpoint:
    """The checkpoint in ``note``, signed by ``key`` for the log of that name.

    Raises:
        VerificationError: It is not.
    """
    try:
        checkpoint = Checkpoint.parse(open_note(note, key, verify))
    except NoteError as error:
        raise VerificationError("checkpoint", str(error), where=CHECKPOINT, meaning=CHANGED) from None
    if checkpoint.origin != key.name:
        detail = f"is of the log {checkpoint.origin}, your key is of {key.name}"
        raise VerificationError("checkpoint", detail, where=CHECKPOINT, meaning=CHANGED)
    return checkpoint
