"""What a witness says of a checkpoint: that it saw the log grow to it, and when (C2SP tlog-cosignature).

Pure and alone, as ``audit.note``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from audit.note import KEY_ID_SIZE, NoteError, Signer, VerifierKey, Verify, sign_line, signed_at, split_note


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """A witness's word for a checkpoint; ``at`` in seconds since the epoch."""

    witness: VerifierKey
    at: int


def cosign(text: str, key: VerifierKey, signer: Signer, at: int) -> str:
    """The signature line of the witness ``key`` for the checkpoint ``text``, said at ``at`` (seconds, not 0)."""
    return sign_line(text, key, signer, at=at)


def cosignatures(note: bytes, witnesses: Iterable[VerifierKey], verify: Verify) -> list[Cosignature]:
    """Who of ``witnesses`` cosigned the checkpoint in ``note``; lines by anybody else are passed over.

    Raises:
        NoteError: The note is malformed, or a line under the name and key id of a witness is not by it.
    """
    text, signatures = split_note(note)
    known = {(witness.name, witness.key_id): witness for witness in witnesses}
    found: dict[VerifierKey, Cosignature] = {}
    for name, data in signatures:
        witness = known.get((name, data[:KEY_ID_SIZE]))
        if witness is not None:
            found.setdefault(witness, _cosignature(text, witness, data[KEY_ID_SIZE:], verify))
    return list(found.values())


def _cosignature(text: str, witness: VerifierKey, data: bytes, verify: Verify) -> Cosignature:
    at = signed_at(text, witness, data, verify)
    if not at:  # a witness says when (tlog-witness: the timestamp must not be zero)
        raise NoteError(f"the cosignature by {witness.name} does not hold")
    return Cosignature(witness=witness, at=at)
