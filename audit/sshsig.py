"""SSH signatures of files, so that ``ssh-keygen -Y verify`` reads them (OpenSSH PROTOCOL.sshsig). Pure and alone."""

import base64
import binascii
from hashlib import sha512

from audit.note import Signer, Verify

_MAGIC = b"SSHSIG"
_KEY_TYPE = b"ssh-ed25519"
_HASH = b"sha512"
_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_END = "-----END SSH SIGNATURE-----"
_LINE = 70


class SshSignatureError(Exception):
    """The signature file is malformed, of another key or namespace, or does not hold."""


def ssh_sign(message: bytes, namespace: str, public_key: bytes, signer: Signer) -> str:
    """The armoured signature over ``message`` by an Ed25519 key."""
    signature = _string(_KEY_TYPE) + _string(signer.sign(_signed_data(message, namespace)))
    return _armour(_blob(namespace, public_key, signature))


def ssh_verify(message: bytes, namespace: str, public_key: bytes, armoured: bytes, verify: Verify) -> None:
    """Return when ``armoured`` is ``public_key``'s signature over ``message``, written in its one form.

    Raises:
        SshSignatureError: It is not.
    """
    try:
        lines = armoured.decode("ascii").split("\n")
        blob = base64.b64decode("".join(lines[1:-2]), validate=True)
    except (UnicodeDecodeError, binascii.Error, ValueError):
        raise SshSignatureError("not an armoured SSH signature") from None
    signature = blob[-64:]
    expected = _blob(namespace, public_key, _string(_KEY_TYPE) + _string(signature))
    if _armour(expected).encode() != armoured:
        raise SshSignatureError("made by another key, for another purpose, or written in another form")
    if not verify(public_key, signature, _signed_data(message, namespace)):
        raise SshSignatureError("the signature does not hold")


def ssh_public_key(public_key: bytes) -> str:
    """The key as ``authorized_keys`` and ``allowed_signers`` want it."""
    return f"{_KEY_TYPE.decode()} {base64.b64encode(_key_blob(public_key)).decode()}"


def _signed_data(message: bytes, namespace: str) -> bytes:
    digest = sha512(message).digest()
    return _MAGIC + _string(namespace.encode()) + _string(b"") + _string(_HASH) + _string(digest)


def _blob(namespace: str, public_key: bytes, signature: bytes) -> bytes:
    head = _MAGIC + (1).to_bytes(4, "big") + _string(_key_blob(public_key)) + _string(namespace.encode())
    return head + _string(b"") + _string(_HASH) + _string(signature)


def _key_blob(public_key: bytes) -> bytes:
    return _string(_KEY_TYPE) + _string(public_key)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _armour(blob: bytes) -> str:
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return "\n".join([_BEGIN, *lines, _END, ""])
