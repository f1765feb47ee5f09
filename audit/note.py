"""Signed notes, verifier keys and checkpoints (C2SP signed-note, tlog-checkpoint).

Pure and alone, as ``audit.tree``: what signs and verifies comes in through one-method protocols.
"""

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from audit.tree import HASH_SIZE

ED25519 = 0x01
COSIGNATURE = 0x04
KEY_ID_SIZE = 4
MAX_SIZE = 2**63 - 1


class NoteError(Exception):
    """A note, key or checkpoint does not have its form, or no trusted signature holds."""


class Signer(Protocol):
    """Signs bytes with one key."""

    def sign(self, message: bytes) -> bytes:
        """The signature of ``message``."""
        ...


class Verify(Protocol):
    """Checks one Ed25519 signature."""

    def __call__(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        """Whether ``signature`` is ``public_key``'s over ``message``."""
        ...


_ALGORITHMS = {ED25519: "an Ed25519 key", COSIGNATURE: "an Ed25519 key for cosignatures"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """An Ed25519 key with the name of its holder; written ``name+hash+base64`` (a "vkey").

    ``algorithm`` says what it signs: ``ED25519`` notes, as a log does, ``COSIGNATURE`` checkpoints, as a witness does
    (tlog-cosignature).
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
    def parse(cls, text: str, *, algorithm: int = ED25519) -> "VerifierKey":
        """The key of ``algorithm`` written as ``text``.

        Raises:
            NoteError: ``text`` is not a vkey, its hash does not fit its key, or it is of another algorithm.
        """
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _is_name(parts[0]):
            raise NoteError("a verifier key has the form name+hash+base64")
        data = decode_base64(parts[2], "the verifier key")
        if len(data) != 33 or data[0] != algorithm:
            raise NoteError(f"the verifier key is not {_ALGORITHMS[algorithm]}")
        key = cls(name=parts[0], public_key=data[1:], algorithm=algorithm)
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


def sign_note(text: str, key: VerifierKey, signer: Signer) -> bytes:
    """``text`` with one signature line of ``key`` (signed-note); ``text`` ends in a newline."""
    signature = signer.sign(text.encode())
    return f"{text}\n{signature_line(key, signature)}".encode()


def signature_line(key: VerifierKey, signature: bytes) -> str:
    """``— name base64(key id ‖ signature)`` with its newline."""
    return f"— {key.name} {encode_base64(key.key_id + signature)}\n"


def open_note(note: bytes, key: VerifierKey, verify: Verify) -> str:
    """The text of ``note`` when ``key`` signed it; signature lines of other keys are passed over (signed-note).

    Raises:
        NoteError: The note is malformed, or ``key``'s signature is missing or wrong.
    """
    text, signatures = split_note(note)
    own = [data[KEY_ID_SIZE:] for name, data in signatures if name == key.name and data[:KEY_ID_SIZE] == key.key_id]
    if not own:
        raise NoteError(f"no signature by {key.name} with key id {key.key_id.hex()}")
    if not all(verify(key.public_key, signature, text.encode()) for signature in own):
        raise NoteError(f"the signature by {key.name} does not hold")
    return text


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
