"""SSH signatures: what OpenSSH writes and reads, and one form only."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from audit.keys import verify_ed25519
from audit.sshsig import SshSignatureError, ssh_public_key, ssh_sign, ssh_verify
from tests.ledger import signing_key

KEY = signing_key("log.example/export")
PUBLIC = KEY.public.public_key
NAMESPACE = "conclave-export@v1"
MESSAGE = b'{"format": "conclave-bundle/1"}\n'
SIGNATURE = ssh_sign(MESSAGE, NAMESPACE, PUBLIC, KEY).encode()

ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not on the PATH")


def verified(armoured: bytes, *, message: bytes = MESSAGE, namespace: str = NAMESPACE, key: bytes = PUBLIC) -> None:
    ssh_verify(message, namespace, key, armoured, verify_ed25519)


@given(st.binary(max_size=300), st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30))
def test_a_signature_holds_for_its_message_and_namespace(message: bytes, namespace: str) -> None:
    armoured = ssh_sign(message, namespace, PUBLIC, KEY).encode()
    verified(armoured, message=message, namespace=namespace)
    with pytest.raises(SshSignatureError, match="the signature does not hold"):
        verified(armoured, message=message + b"\n", namespace=namespace)


def test_a_signature_by_another_key_or_for_another_purpose_is_refused() -> None:
    says = "^made by another key, for another purpose, or written in another form$"
    with pytest.raises(SshSignatureError, match=says):
        verified(SIGNATURE, namespace="file")
    with pytest.raises(SshSignatureError, match=says):
        verified(SIGNATURE, key=signing_key("log.example/export", 2).public.public_key)


def test_every_change_of_a_byte_is_refused() -> None:
    for at in range(len(SIGNATURE)):
        for byte in b"\x00\n A=-\xff":
            for forged in (SIGNATURE[:at] + bytes([byte]) + SIGNATURE[at + 1 :], SIGNATURE[:at] + SIGNATURE[at + 1 :]):
                if forged != SIGNATURE:
                    with pytest.raises(SshSignatureError):
                        verified(forged)


def test_every_change_of_a_bit_is_refused() -> None:
    for at in range(8 * len(SIGNATURE)):
        forged = bytearray(SIGNATURE)
        forged[at // 8] ^= 1 << at % 8
        with pytest.raises(SshSignatureError):
            verified(bytes(forged))


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        SIGNATURE[:-1],
        SIGNATURE + b"\n",
        b"\n" + SIGNATURE,
        SIGNATURE.replace(b"\n", b"\r\n"),
        SIGNATURE.replace(b"-----\nU", b"-----\n\nU"),
        b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
    ],
)
def test_another_form_is_refused(forged: bytes) -> None:
    with pytest.raises(SshSignatureError, match=r"another form$|^not an armoured SSH signature$"):
        verified(forged)


@given(st.binary(max_size=400))
def test_no_garbage_is_more_than_an_error(garbage: bytes) -> None:
    with pytest.raises(SshSignatureError):
        verified(garbage)


@ssh_keygen
def test_openssh_accepts_the_signature_and_refuses_another_message(tmp_path: Path) -> None:
    (tmp_path / "signers").write_text(f'{KEY.name} namespaces="{NAMESPACE}" {ssh_public_key(PUBLIC)}\n')
    (tmp_path / "sig").write_bytes(SIGNATURE)
    check = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", KEY.name, "-n", NAMESPACE, "-s", "sig"]
    assert subprocess.run(check, cwd=tmp_path, input=MESSAGE, check=False, capture_output=True).returncode == 0
    assert subprocess.run(check, cwd=tmp_path, input=b"other", check=False, capture_output=True).returncode != 0


@ssh_keygen
def test_openssh_writes_the_same_bytes(tmp_path: Path) -> None:
    private = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "key").write_bytes(private)
    (tmp_path / "key").chmod(0o600)
    sign = ["ssh-keygen", "-Y", "sign", "-f", "key", "-n", NAMESPACE]
    done = subprocess.run(sign, cwd=tmp_path, input=MESSAGE, check=True, capture_output=True)
    assert done.stdout == SIGNATURE
