"""The log's keys: Ed25519 and ML-DSA-44 by ``cryptography``, in the file formats that other tools read."""

import base64
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.mldsa import MlDsaUnavailableError, generate_ml_dsa, ml_dsa_from_seed, verify_ml_dsa
from audit.note import COSIGNATURE, ED25519, ML_DSA_44, NoteError, VerifierKey
from config.errors import ConclaveError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

_PREFIX = "PRIVATE+KEY"


class KeyFileError(ConclaveError):
    """A key file is missing, unreadable or malformed."""

    code = "key_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key with the name of its holder."""

    name: str
    private: "Ed25519PrivateKey | MLDSA44PrivateKey"

    @property
    def public(self) -> VerifierKey:
        """What others verify with."""
        algorithm = ED25519 if isinstance(self.private, Ed25519PrivateKey) else ML_DSA_44
        raw = self.private.public_key().public_bytes_raw()
        return VerifierKey(name=self.name, public_key=raw, algorithm=algorithm)

    @property
    def cosigner(self) -> VerifierKey:
        """What others verify its cosignatures with, where it is a witness's key."""
        key = self.public
        return key if key.algorithm == ML_DSA_44 else replace(key, algorithm=COSIGNATURE)

    def sign(self, message: bytes) -> bytes:
        """The signature of ``message``: Ed25519's 64 bytes (RFC 8032; the same each time), ML-DSA-44's 2,420."""
        return self.private.sign(message)

    def __str__(self) -> str:
        public = self.public
        seed = base64.b64encode(bytes([public.algorithm]) + self.private.private_bytes_raw()).decode()
        return f"{_PREFIX}+{self.name}+{public.key_id.hex()}+{seed}"


def verify_signature(public_key: bytes, signature: bytes, message: bytes, algorithm: int = ED25519) -> bool:
    """Whether ``signature`` is that of ``public_key`` over ``message``; an :class:`audit.note.Verify`.

    The one place where an algorithm's number is turned into its check; a number that is not known never holds.

    Raises:
        NoteError: The algorithm cannot be checked on this machine.
    """
    if algorithm == ML_DSA_44:
        try:
            return verify_ml_dsa(public_key, signature, message)
        except MlDsaUnavailableError as error:
            raise NoteError(str(error)) from None
    return algorithm in (ED25519, COSIGNATURE) and verify_ed25519(public_key, signature, message)


def verify_ed25519(public_key: bytes, signature: bytes, message: bytes, algorithm: int = ED25519) -> bool:
    """As :func:`verify_signature`, for those who take nothing but Ed25519."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return algorithm in (ED25519, COSIGNATURE)


def create_key(path: Path, name: str, *, algorithm: int = ED25519) -> SigningKey:
    """A new key of ``name`` in the file ``path`` (mode 0600), in the text form of Go's ``sumdb/note``.

    An ML-DSA-44 key is written the same way, with its own algorithm byte before its seed.

    Raises:
        KeyFileError: The file exists already or cannot be written, or such keys cannot be made on this machine.
    """
    try:
        private = generate_ml_dsa() if algorithm == ML_DSA_44 else Ed25519PrivateKey.generate()
    except MlDsaUnavailableError as error:
        raise KeyFileError(str(error)) from None
    key = SigningKey(name=name, private=private)
    write_private(path, f"{key}\n".encode())
    return key


def read_key(path: Path, *, algorithm: int = ED25519) -> SigningKey:
    """The key in the file ``path``.

    Raises:
        KeyFileError: The file is missing, or is not such a key, or such keys cannot be used on this machine.
    """
    try:
        text = path.read_bytes().decode(errors="replace").strip()
    except OSError as error:
        raise KeyFileError(
            f"cannot read the key file {path}: {error.strerror}", hint="put it back from a backup"
        ) from None
    try:
        _, name, key_id, data = text.removeprefix(_PREFIX).split("+", 3)
        key = SigningKey(name=name, private=_private(base64.b64decode(data, validate=True), algorithm))
    except ValueError:
        raise KeyFileError(f"{path} holds no key of the form {_PREFIX}+name+hash+base64") from None
    except MlDsaUnavailableError as error:
        raise KeyFileError(f"{path}: {error}") from None
    if key.public.key_id.hex() != key_id:
        raise KeyFileError(f"the key in {path} does not fit its own hash {key_id}")
    if str(key) != text:
        raise KeyFileError(f"{path} holds no key of the form {_PREFIX}+name+hash+base64")
    return key


def _private(data: bytes, algorithm: int) -> "Ed25519PrivateKey | MLDSA44PrivateKey":
    return ml_dsa_from_seed(data[1:]) if algorithm == ML_DSA_44 else Ed25519PrivateKey.from_private_bytes(data[1:])


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


def write_whole(path: Path, data: bytes) -> None:
    """Have ``data`` in the file ``path`` (mode 0600) and on disk, whole, when this returns; the old one until then."""
    fresh = path.with_suffix(".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the names of the files in ``path`` on disk, not only their contents."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
