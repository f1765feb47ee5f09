"""Checkpoints that somebody saved: the log of a bundle has to begin with what each of them saw. Pure."""

from collections.abc import Mapping, Sequence

from audit.note import Checkpoint, NoteError, VerifierKey, Verify, open_by_one
from audit.parts import Bundle, VerificationError
from audit.structure import Roots

OTHER = "what you saved is no checkpoint of this log, or was changed since"
SHORTER = "the log was cut off or put back since you saw it, or the export is older than what you saw"
FORKED = "the log was forked: two histories were signed, and you were shown one of them before"
REWRITTEN = "the log was rewritten, or put back and continued, since you saw it"


def check_seen(
    bundle: Bundle,
    checkpoint: Checkpoint,
    seen: Mapping[str, bytes],
    keys: Sequence[VerifierKey],
    verify: Verify,
) -> None:
    """Check that the log of ``bundle`` extends each of ``seen``, signed notes by the names of their files.

    ``keys`` are those that the log has and had: one of them must have signed. To be asked for once the bundle's tiles
    were found to lead to ``checkpoint``. More signatures than the log's may stand in a note, such as witnesses'.

    Raises:
        VerificationError: It does not extend one, or one is not the log's.
    """
    roots = Roots(bundle, checkpoint.size)
    for name, note in seen.items():
        try:
            saved = Checkpoint.parse(open_by_one(note, keys, verify))
        except NoteError as error:
            raise VerificationError("seen", str(error), where=name, meaning=OTHER) from None
        if saved.origin != checkpoint.origin:
            detail = f"is of the log {saved.origin}, the export is of {checkpoint.origin}"
            raise VerificationError("seen", detail, where=name, meaning=OTHER)
        if saved.size > checkpoint.size:
            detail = f"has {saved.size:,} entries, the export only {checkpoint.size:,}"
            raise VerificationError("seen", detail, where=name, meaning=SHORTER)
        if roots.at(saved.size) != saved.root:
            detail = f"has another root over {saved.size:,} entries than the export"
            meaning = FORKED if saved.size == checkpoint.size else REWRITTEN
            raise VerificationError("seen", detail, where=name, meaning=meaning)
