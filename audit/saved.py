"""A checkpoint that somebody saved, held against the log in an export: from a Space, an older export, a witness.

Pure and alone, as ``audit.timestamps``.
"""

from audit.note import Checkpoint, NoteError, VerifierKey, Verify, open_note
from audit.tiles import TileError
from audit.timestamps import Files, Roots

PUT_BACK = "the log was put back, rewritten, or shown to two people in two forms: keep both files"


def check_saved(files: Files, size: int, note: bytes, key: VerifierKey, verify: Verify) -> Checkpoint:
    """The checkpoint in ``note``, when the export's log of ``size`` entries begins with what it is of.

    The tiles in ``files`` have to be those of the export's own checkpoint.

    Raises:
        NoteError: ``key`` did not sign it, the log is smaller, or had another root at that size.
    """
    saved = Checkpoint.parse(open_note(note, key, verify))
    if saved.origin != key.name:
        raise NoteError(f"is of the log {saved.origin}, your key is of {key.name}")
    if saved.size > size:
        raise NoteError(f"is of {saved.size:,} entries, this log has {size:,}")
    try:
        root = Roots(files, size).at(saved.size)
    except TileError as error:
        raise NoteError(str(error)) from None
    if saved.root != root:
        raise NoteError("has another root than the log in this export had at that size")
    return saved
