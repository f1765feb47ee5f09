"""What a witness says of a checkpoint: that it saw the log grow to it, and when (C2SP tlog-cosignature, Ed25519).

Pure and alone, as ``audit.note``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from audit.note import KEY_ID_SIZE, NoteError, Signer, VerifierKey, Verify, signature_line, split_note

TIMESTAMP_SIZE = 8
SIGNATURE_SIZE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """A witness's word for a checkpoint; ``at`` in seconds since the epoch."""

    witness: VerifierKey
    at: int


def cosign(text: str, key: VerifierKey, signer: Signer, at: int) -> str:
    """The signature line of the witness ``key`` for the checkpoint ``text``, said at ``at`` (seconds, not 0)."""
    return signature_line(key, at.to_bytes(TIMESTAMP_SIZE, "big") + signer.sign(_message(text, at)))


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
    at = int.from_bytes(data[:TIMESTAMP_SIZE], "big")
    whole = len(data) == TIMESTAMP_SIZE + SIGNATURE_SIZE and 0 < at < 2**63
    if not whole or not verify(witness.public_key, data[TIMESTAMP_SIZE:], _message(text, at)):
        raise NoteError(f"the cosignature by {witness.name} does not hold")
    return Cosignature(witness=witness, at=at)


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()
