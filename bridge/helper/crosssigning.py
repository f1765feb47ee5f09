"""The helper's cross-signing keys: three Ed25519 keys that vouch for its device (specification, "Cross-signing").

Clients that follow MSC4153 send no room keys to a device that its owner has not signed, and matrix-nio cannot sign.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from config.errors import ConclaveError
from config.state import kept_secret

ROLES = ("master", "self_signing", "user_signing")


class CrossSigningError(ConclaveError):
    """The file with the cross-signing keys cannot be read."""

    code = "cross_signing"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSigningKeys:
    """The private keys of one account."""

    user_id: str
    master: Ed25519PrivateKey
    self_signing: Ed25519PrivateKey
    user_signing: Ed25519PrivateKey

    @classmethod
    def kept(cls, path: Path, user_id: str, password: bytes) -> "CrossSigningKeys":
        """The keys in the file ``path``, made when it is not there yet; encrypted with ``password``, mode 0600.

        Raises:
            CrossSigningError: The file is damaged, or encrypted with another password.
        """

        def fresh() -> str:
            made = cls(user_id=user_id, **{role: Ed25519PrivateKey.generate() for role in ROLES})
            return json.dumps(made._pems(password))

        try:
            pems = json.loads(kept_secret(path, fresh))
            keys = {role: load_pem_private_key(pems[role].encode(), password) for role in ROLES}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            hint = "put it back from a backup together with keys/helper.key; docs/helper.md says how to begin anew"
            raise CrossSigningError(f"{path} cannot be read: {error}", hint=hint) from None
        if not all(isinstance(key, Ed25519PrivateKey) for key in keys.values()):
            raise CrossSigningError(f"{path} holds keys of another kind than Ed25519")
        return cls(user_id=user_id, **keys)  # type: ignore[arg-type]  # checked in the line above

    def _pems(self, password: bytes) -> dict[str, str]:
        keys: dict[str, Ed25519PrivateKey] = {role: getattr(self, role) for role in ROLES}
        how = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
        return {role: key.private_bytes(*how).decode() for role, key in keys.items()}

    @property
    def master_public(self) -> str:
        """The public master key, unpadded base64."""
        return _public(self.master)

    def upload(self) -> dict[str, Any]:
        """The body of ``POST /keys/device_signing/upload``: the master key, and the others signed by it."""
        return {
            "master_key": self._public_object(self.master, "master"),
            "self_signing_key": self._signed(self._public_object(self.self_signing, "self_signing"), self.master),
            "user_signing_key": self._signed(self._public_object(self.user_signing, "user_signing"), self.master),
        }

    def sign_device(self, device: Mapping[str, Any]) -> dict[str, Any]:
        """The device's keys with the self-signing key's signature added: for ``POST /keys/signatures/upload``."""
        return self._signed({name: value for name, value in device.items() if name != "unsigned"}, self.self_signing)

    def has_signed(self, device: Mapping[str, Any]) -> bool:
        """Whether the device's keys carry a good signature of the self-signing key."""
        public = _public(self.self_signing)
        signature = device.get("signatures", {}).get(self.user_id, {}).get(f"ed25519:{public}")
        return isinstance(signature, str) and signed_by(device, public, signature)

    def _public_object(self, key: Ed25519PrivateKey, usage: str) -> dict[str, Any]:
        public = _public(key)
        return {"user_id": self.user_id, "usage": [usage], "keys": {f"ed25519:{public}": public}}

    def _signed(self, content: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
        signature = _unpadded(key.sign(_signable(content)))
        before = content.get("signatures", {})
        mine = {**before.get(self.user_id, {}), f"ed25519:{_public(key)}": signature}
        return {**content, "signatures": {**before, self.user_id: mine}}


def signed_by(content: Mapping[str, Any], public: str, signature: str) -> bool:
    """Whether ``signature`` over ``content`` is that of the key ``public`` (specification, "Signing JSON")."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public + "=" * (-len(public) % 4)))
        key.verify(base64.b64decode(signature + "=" * (-len(signature) % 4)), _signable(content))
    except (InvalidSignature, ValueError):
        return False
    return True


def _signable(content: Mapping[str, Any]) -> bytes:
    """Canonical JSON without ``signatures`` and ``unsigned``."""
    bare = {name: value for name, value in content.items() if name not in ("signatures", "unsigned")}
    return json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _public(key: Ed25519PrivateKey) -> str:
    return _unpadded(key.public_key().public_bytes_raw())


def _unpadded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
