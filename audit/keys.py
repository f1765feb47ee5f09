"""The log's keys: Ed25519 by ``cryptography``, in the file formats that other tools read."""

import base64
import os
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.note import COSIGNATURE, ED25519, VerifierKey
from config.errors import ConclaveError

_PREFIX = "PRIVATE+KEY"


class KeyFileError(ConclaveError):
    """A key file is missing, unreadable or malformed."""

    code = "key_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An Ed25519 private key with the name of its holder."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> VerifierKey:
        """What others verify with."""
        return VerifierKey(name=self.name, public_key=self.private.public_key().public_bytes_raw())

    @property
    def cosigner(self) -> VerifierKey:
        """What others verify its cosignatures with, where it is a witness's key."""
        return replace(self.public, algorithm=COSIGNATURE)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of ``message`` (RFC 8032; the same each time)."""
        return self.private.sign(message)

    def __str__(self) -> str:
        seed = base64.b64encode(bytes([ED25519]) + self.private.private_bytes_raw()).decode()
        return f"{_PREFIX}+{self.name}+{self.public.key_id.hex()}+{seed}"


def verify_ed25519(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` is that of ``public_key`` over ``message``; an :class:`audit.note.Verify`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def create_key(path: Path, name: str) -> SigningKey:
    """A new key of ``name`` in the file ``path`` (mode 0600), in the text form of Go's ``sumdb/note``.

    Raises:
        KeyFileError: The file exists already or cannot be written.
    """
    key = SigningKey(name=name, private=Ed25519PrivateKey.generate())
    write_private(path, f"{key}\n".encode())
    return key


def read_key(path: Path) -> SigningKey:
    """The key in the file ``path``.

    Raises:
        KeyFileError: The file is missing, or is not such a key.
    """
    try:
        text = path.read_bytes().decode(errors="replace").strip()
    except OSError as error:
        raise KeyFileError(
            f"cannot read the key file {path}: {error.strerror}", hint="put it back from a backup"
        ) from None
    try:
        _, name, key_id, data = text.removeprefix(_PREFIX).split("+", 3)
        raw = base64.b64decode(data, validate=True)
        key = SigningKey(name=name, private=Ed25519PrivateKey.from_private_bytes(raw[1:]))
    except ValueError:
        raise KeyFileError(f"{path} holds no key of the form {_PREFIX}+name+hash+base64") from None
    if key.public.key_id.hex() != key_id:
        raise KeyFileError(f"the key in {path} does not fit its own hash {key_id}")
    if str(key) != text:
        raise KeyFileError(f"{path} holds no key of the form {_PREFIX}+name+hash+base64")
    return key


def write_private(path: Path, data: bytes) -> None:
    """Write ``data`` to the new file ``path``, readable by its owner only, and have it on disk on return.

    Raises:
        KeyFileError: The file exists already or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(f"cannot write the key file {path}: {error.strerror}") from None


def sync_directory(path: Path) -> None:
    """Have the names of the files in ``path`` on disk, not only their contents."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
