"""Key files: for their owner only, never written over, and every broken one named."""

import base64
import os
import stat
from pathlib import Path

import pytest

from audit.keys import KeyFileError, SigningKey, create_key, read_key, verify_ed25519, write_private
from audit.note import VerifierKey
from tests.ledger import signing_key

NAME = "log.example/hub"
FORM = r"holds no key of the form PRIVATE\+KEY\+name\+hash\+base64"

# The example in the documentation of Go's golang.org/x/mod/sumdb/note.
GO_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

# RFC 8032, section 7.1, TEST 1.
RFC8032_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
RFC8032_SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
    "655141438e7a100b"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.key"


def test_a_created_key_is_read_back(path: Path) -> None:
    created = create_key(path, NAME)
    read = read_key(path)
    assert read.public == created.public
    assert read.name == NAME
    assert verify_ed25519(created.public.public_key, read.sign(b"text"), b"text")


def test_two_keys_are_two(tmp_path: Path) -> None:
    assert create_key(tmp_path / "a", NAME).public != create_key(tmp_path / "b", NAME).public


def test_the_form_is_gos(path: Path) -> None:
    path.write_text(f"{GO_SKEY}\n")
    key = read_key(path)
    assert str(key) == GO_SKEY
    assert key.public == VerifierKey.parse(GO_VKEY)
    create_key(path.with_name("new.key"), NAME)
    assert path.with_name("new.key").read_text().startswith(f"PRIVATE+KEY+{NAME}+")


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        create_key(path, NAME)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_and_its_name_are_on_disk_on_return(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    create_key(path, NAME)
    assert synced == [path.stat().st_ino, path.parent.stat().st_ino]


def test_a_key_is_never_written_over(path: Path) -> None:
    create_key(path, NAME)
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match=f"^cannot write the key file {path}: File exists$"):
        create_key(path, NAME)
    assert path.read_bytes() == before


def test_a_link_is_not_followed_to_where_a_key_would_be_written(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(KeyFileError, match="File exists"):
        write_private(path, b"secret")
    assert not path.with_name("elsewhere").exists()


def test_a_folder_that_is_missing_is_named(path: Path) -> None:
    place = path / "deeper.key"
    with pytest.raises(KeyFileError, match=f"^cannot write the key file {place}: No such file or directory$"):
        create_key(place, NAME)


def test_a_missing_key_is_named_with_what_to_do(path: Path) -> None:
    with pytest.raises(KeyFileError, match=f"^cannot read the key file {path}: No such file or directory$") as raised:
        read_key(path)
    assert raised.value.hint == "put it back from a backup"
    assert raised.value.code == "key_file"


SKEY = str(signing_key(NAME)).encode()
SEED = SKEY.rpartition(b"+")[2]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", FORM),
        (b"\xff\xfe\x00", FORM),
        (SKEY[:-1], FORM),
        (SKEY[:-4], FORM),
        (SKEY + b"AAAA", FORM),
        (SKEY.removeprefix(b"PRIVATE+KEY"), FORM),
        (SKEY.removeprefix(b"PRIVATE+KEY+"), FORM),
        (b"PUBLIC" + SKEY.removeprefix(b"PRIVATE"), FORM),
        (SKEY.replace(b"+AQ", b"+Ag"), FORM),
        (SKEY.replace(b"+AQ", b"+A!"), FORM),
        (GO_VKEY.encode(), FORM),
        (SKEY.replace(b"+log.", b"+lag."), "does not fit its own hash c6c56e56"),
        (SKEY.replace(b"+c6c56e56+", b"+c6c56e57+"), "does not fit its own hash c6c56e57"),
        (SKEY.replace(b"+AQ", b"+AR"), "does not fit its own hash c6c56e56"),
    ],
)
def test_a_broken_key_is_named_and_not_shown(path: Path, data: bytes, says: str) -> None:
    path.write_bytes(data)
    with pytest.raises(KeyFileError, match=f"{says}$") as raised:
        read_key(path)
    assert str(path) in str(raised.value)
    assert SEED.decode() not in str(raised.value)


def test_a_key_is_not_shown_by_its_repr() -> None:
    key: SigningKey = signing_key(NAME)
    assert base64.b64encode(bytes([1]) * 32).decode()[:20] not in repr(key)
    assert SEED.decode() not in repr(key)


def test_the_signature_is_that_of_rfc8032() -> None:
    assert verify_ed25519(RFC8032_PUBLIC, RFC8032_SIGNATURE, b"")


@pytest.mark.parametrize(
    ("public", "signature", "message"),
    [
        (RFC8032_PUBLIC, RFC8032_SIGNATURE, b"\x00"),
        (RFC8032_PUBLIC, RFC8032_SIGNATURE[:-1], b""),
        (RFC8032_PUBLIC, RFC8032_SIGNATURE + b"\x00", b""),
        (RFC8032_PUBLIC, b"", b""),
        (RFC8032_PUBLIC[:-1], RFC8032_SIGNATURE, b""),
        (b"", RFC8032_SIGNATURE, b""),
        (bytes(32), RFC8032_SIGNATURE, b""),
    ],
)
def test_another_signature_key_or_message_is_no_error_but_false(
    public: bytes, signature: bytes, message: bytes
) -> None:
    assert not verify_ed25519(public, signature, message)
