"""Signed notes, verifier keys and checkpoints (C2SP signed-note, tlog-checkpoint).

Pure and alone, as ``audit.tree``: what signs and verifies comes in through one-method protocols.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from audit.tree import HASH_SIZE

ED25519 = 0x01
COSIGNATURE = 0x04
ML_DSA_44 = 0x06
LOG_ALGORITHMS = (ED25519, ML_DSA_44)
WITNESS_ALGORITHMS = (COSIGNATURE, ML_DSA_44)
KEY_ID_SIZE = 4
TIMESTAMP_SIZE = 8
MAX_SIZE = 2**63 - 1


class NoteError(Exception):
    """A note, key or checkpoint does not have its form, or no trusted signature holds."""


class Signer(Protocol):
    """Signs bytes with one key."""

    def sign(self, message: bytes) -> bytes:
        """The signature of ``message``."""
        ...


class Verify(Protocol):
    """Checks one signature; all but ``ML_DSA_44`` are Ed25519's.

    Raises:
        NoteError: The algorithm cannot be checked on this machine.
    """

    def __call__(self, public_key: bytes, signature: bytes, message: bytes, algorithm: int = ED25519) -> bool:
        """Whether ``signature`` is ``public_key``'s over ``message``."""
        ...


_ALGORITHMS = {
    ED25519: "an Ed25519 key",
    COSIGNATURE: "an Ed25519 key for cosignatures",
    ML_DSA_44: "an ML-DSA-44 key",
}
_KEY_SIZES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1_312}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key with the name of its holder; written ``name+hash+base64`` (a "vkey").

    ``algorithm`` says what it is and what it signs: ``ED25519`` notes, as a log does; ``COSIGNATURE`` (Ed25519)
    checkpoints, as a witness does; ``ML_DSA_44`` checkpoints, as either does (tlog-checkpoint, tlog-cosignature).
    """

    name: str
    public_key: bytes
    algorithm: int = ED25519

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name ‖ 0x0A ‖ algorithm ‖ public key)."""
        return sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key).digest()[:KEY_ID_SIZE]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.algorithm]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str, *, algorithm: int | tuple[int, ...] = ED25519) -> "VerifierKey":
        """The key of ``algorithm``, or of one of several, written as ``text``.

        Raises:
            NoteError: ``text`` is not a vkey, its hash does not fit its key, or it is of another algorithm.
        """
        admitted = (algorithm,) if isinstance(algorithm, int) else algorithm
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _is_name(parts[0]):
            raise NoteError("a verifier key has the form name+hash+base64")
        data = decode_base64(parts[2], "the verifier key")
        if not data or data[0] not in admitted or len(data) != 1 + _KEY_SIZES[data[0]]:
            raise NoteError(f"the verifier key is not {' or '.join(_ALGORITHMS[one] for one in admitted)}")
        key = cls(name=parts[0], public_key=data[1:], algorithm=data[0])
        if key.key_id.hex() != parts[1]:
            raise NoteError(f"the hash {parts[1]} does not belong to the key that follows it")
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed tree head: the log's origin, its size and the root over that many entries."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note text: origin, size, root in base64, a line each; no extension lines."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """The checkpoint in the note text ``text``.

        Raises:
            NoteError: It has another form, or extension lines, which this log never writes.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise NoteError("a checkpoint has three lines: origin, size, root")
        size = lines[1]
        if not (size.isascii() and size.isdigit()) or (size.startswith("0") and size != "0"):
            raise NoteError(f"the size {size!r} is not a decimal number")
        if len(size) > len(str(MAX_SIZE)) or int(size) > MAX_SIZE:
            raise NoteError(f"the size {size:.20} is beyond 2**63 - 1")
        root = decode_base64(lines[2], "the root")
        if len(root) != HASH_SIZE:
            raise NoteError(f"the root has {HASH_SIZE} bytes, not {len(root)}")
        return cls(origin=lines[0], size=int(size), root=root)


def sign_note(text: str, key: VerifierKey, signer: Signer, *, at: int = 0) -> bytes:
    """``text`` with one signature line of ``key`` (signed-note); ``text`` ends in a newline, ``at`` is for ML-DSA."""
    return f"{text}\n{sign_line(text, key, signer, at=at)}".encode()


def sign_line(text: str, key: VerifierKey, signer: Signer, *, at: int = 0) -> str:
    """The signature line of ``key`` for ``text``; said at ``at``, in seconds, where the algorithm has a time.

    Raises:
        NoteError: Keys of this algorithm sign checkpoints only, and ``text`` is none.
    """
    time = b"" if key.algorithm == ED25519 else at.to_bytes(TIMESTAMP_SIZE, "big")
    return signature_line(key, time + signer.sign(signed_message(text, key, at)))


def signed_message(text: str, key: VerifierKey, at: int) -> bytes:
    """What ``key`` signs to say ``text``, by its algorithm.

    Ed25519: the text (signed-note). Cosignatures: ``cosignature/v1``, time and text. ML-DSA-44: the structure
    ``cosigned_message`` of tlog-cosignature with ``start`` 0, ``end`` and ``hash`` of the checkpoint that ``text`` is.

    Raises:
        NoteError: The algorithm is for checkpoints, and ``text`` is none.
    """
    if key.algorithm == ED25519:
        return text.encode()
    if key.algorithm == COSIGNATURE:
        return f"cosignature/v1\ntime {at}\n{text}".encode()
    checkpoint = Checkpoint.parse(text)
    numbers = (0).to_bytes(8, "big") + checkpoint.size.to_bytes(8, "big")
    return b"".join(
        (
            b"subtree/v1\n\0",
            _opaque(key.name),
            at.to_bytes(TIMESTAMP_SIZE, "big"),
            _opaque(checkpoint.origin),
            numbers,
            checkpoint.root,
        )
    )


def _opaque(name: str) -> bytes:
    """``opaque name<1..2^8-1>`` (RFC 8446, section 3.4)."""
    data = name.encode()
    if not 0 < len(data) < 256:
        raise NoteError(f"the name {name:.40} does not fit an ML-DSA-44 signature: 1 to 255 bytes")
    return bytes([len(data)]) + data


def signature_line(key: VerifierKey, signature: bytes) -> str:
    """``— name base64(key id ‖ signature)`` with its newline."""
    return f"— {key.name} {encode_base64(key.key_id + signature)}\n"


def signed_at(text: str, key: VerifierKey, data: bytes, verify: Verify) -> int | None:
    """When ``key`` said ``text``, in seconds, if ``data``, what follows its key id on a line, is its signature.

    0 where it does not say when; ``None`` where it is not its signature.

    Raises:
        NoteError: The algorithm cannot be checked here.
    """
    timed = key.algorithm != ED25519
    time, signature = (data[:TIMESTAMP_SIZE], data[TIMESTAMP_SIZE:]) if timed else (b"", data)
    at = int.from_bytes(time, "big")
    if at >= 2**63 or len(time) != TIMESTAMP_SIZE * timed:
        return None
    return at if verify(key.public_key, signature, signed_message(text, key, at), key.algorithm) else None


def open_note(note: bytes, key: VerifierKey, verify: Verify) -> str:
    """The text of ``note`` when ``key`` signed it; signature lines of other keys are passed over (signed-note).

    Raises:
        NoteError: The note is malformed, ``key``'s signature is missing or wrong, or cannot be checked here.
    """
    text, signatures = split_note(note)
    own = [data[KEY_ID_SIZE:] for name, data in signatures if name == key.name and data[:KEY_ID_SIZE] == key.key_id]
    if not own:
        raise NoteError(f"no signature by {key.name} with key id {key.key_id.hex()}")
    if any(signed_at(text, key, data, verify) is None for data in own):
        raise NoteError(f"the signature by {key.name} does not hold")
    return text


def open_note_of_all(note: bytes, keys: Sequence[VerifierKey], verify: Verify) -> str:
    """The text of ``note`` when each of ``keys``, one or more, signed it.

    Raises:
        NoteError: As :func:`open_note`, for any of them.
    """
    if not keys:
        raise NoteError("no key to open the note with")
    return {open_note(note, key, verify) for key in keys}.pop()


def open_by_one(note: bytes, keys: Sequence[VerifierKey], verify: Verify) -> str:
    """The text of ``note`` when one of ``keys``, at least one, signed it; what is wrong otherwise is said of the first.

    Raises:
        NoteError: See :func:`open_note`.
    """
    signed = {(name, data[:KEY_ID_SIZE]) for name, data in split_note(note)[1]}
    return open_note(note, next((key for key in keys if (key.name, key.key_id) in signed), keys[0]), verify)


def split_note(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of ``note``, and of each signature the name and the bytes: key id, then what was signed with.

    Raises:
        NoteError: The note is malformed.
    """
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    if any(char < " " and char != "\n" for char in whole):
        raise NoteError("the note holds control characters")
    text, blank, block = whole.rpartition("\n\n")
    if not blank or not block.endswith("\n"):
        raise NoteError("the note has no signature block")
    signatures = []
    for line in block.split("\n")[:-1]:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—" or not _is_name(parts[1]):
            raise NoteError("a signature line has the form — name base64")
        data = decode_base64(parts[2], "a signature")
        if len(data) <= KEY_ID_SIZE:
            raise NoteError("a signature is too short")
        signatures.append((parts[1], data))
    return text + "\n", signatures


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() for char in name)


def encode_base64(data: bytes) -> str:
    """``data`` in base64."""
    return base64.b64encode(data).decode()


def decode_base64(text: str, what: str) -> bytes:
    """The value of strict base64: one text for one value, so that no bit of a signed file is without meaning.

    Raises:
        NoteError: ``text`` is another; ``what`` names it.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{what} is not base64") from None
    if encode_base64(data) != text:
        raise NoteError(f"{what} is not canonical base64")
    return data
