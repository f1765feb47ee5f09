"""The offline verifier of an exported bundle: no network, no database, no key but the caller's.

``verify_bundle`` answers with a :class:`Report` only when every file is what the log committed to or what the export's
key signed; anything else raises :class:`VerificationError`, which says which check failed, where, and what it means.
Pure: files come in through :class:`Bundle`, signatures through :class:`audit.note.Verify`.
"""

from collections.abc import Sequence

from audit.disclosures import check_disclosures
from audit.key_history import check_keys, opening_checkpoint
from audit.manifest import check_manifest
from audit.note import Checkpoint, VerifierKey, Verify, split_note
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
    bundle: Bundle,
    key: VerifierKey | Sequence[VerifierKey],
    verify: Verify,
    progress: Progress = lambda _done, _all: None,
    *,
    root: VerifierKey | None = None,
) -> Report:
    """Check every file of ``bundle`` against ``key``, which the caller got out of band.

    Of several keys each must have signed. A key that was rotated away since holds for the one in its place, where the
    key itself and the log's root said so; ``root`` is the root's key, for who holds it.

    Raises:
        VerificationError: A check failed.
    """
    held = (key,) if isinstance(key, VerifierKey) else tuple(key)
    note, keys = opening_checkpoint(bundle, held, root, verify)
    checkpoint = Checkpoint.parse(split_note(note)[0])
    report = Report(checkpoint=checkpoint, key=keys[0], keys=keys, note=note)
    walk = Walk(report)
    edge = check_entries(bundle, checkpoint, walk, progress)
    if edge.frontier.root() != checkpoint.root:
        raise VerificationError("root", "the entries do not hash to the checkpoint's root", meaning=CHANGED)
    if walk.wrong is not None:  # only now: it is the log itself that is wrong, and not a copy that somebody changed
        raise walk.wrong
    log_keys = check_keys(bundle, report, walk.first, walk.key_changes, root, verify)
    check_manifest(bundle, report, walk, log_keys, verify)
    check_disclosures(bundle, report, walk)
    return report
