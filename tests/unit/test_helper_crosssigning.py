"""The helper's cross-signing keys: made once, kept encrypted, signing what the specification says."""

import json
from pathlib import Path

import pytest

from bridge.helper.crosssigning import CrossSigningError, CrossSigningKeys, signed_by
from bridge.helper.machine import Machine

HELPER = "@conclave-helper:hub.test"


def kept(place: Path, password: bytes = b"a password") -> CrossSigningKeys:
    return CrossSigningKeys.kept(place / "cross_signing.json", HELPER, password)


def test_they_are_made_once_and_nobody_else_may_read_them(tmp_path: Path) -> None:
    first = kept(tmp_path)
    assert kept(tmp_path).upload() == first.upload()
    file = tmp_path / "cross_signing.json"
    assert file.stat().st_mode & 0o77 == 0
    assert all(
        text.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----") for text in json.loads(file.read_text()).values()
    )


@pytest.mark.parametrize("text", ["{}", "no json", "[]", '{"master": 7, "self_signing": 7, "user_signing": 7}'])
def test_a_damaged_file_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "cross_signing.json").write_text(text)
    with pytest.raises(CrossSigningError, match=r"cross_signing\.json cannot be read") as error:
        kept(tmp_path)
    assert "docs/helper.md says how to begin anew" in error.value.hint


def test_another_password_opens_nothing(tmp_path: Path) -> None:
    kept(tmp_path)
    with pytest.raises(CrossSigningError, match="cannot be read"):
        kept(tmp_path, b"another")


def test_the_master_key_signs_the_others(tmp_path: Path) -> None:
    keys = kept(tmp_path)
    body = keys.upload()
    (name, master), *_ = body["master_key"]["keys"].items()
    assert master == keys.master_public
    for part in ("self_signing_key", "user_signing_key"):
        assert signed_by(body[part], master, body[part]["signatures"][HELPER][name])


def test_the_device_keeps_its_own_signature_beside_ours(tmp_path: Path) -> None:
    keys = kept(tmp_path)
    device = Machine.opened(tmp_path / "machine", HELPER, "k").device_keys()
    assert not keys.has_signed(device)
    signed = keys.sign_device({**device, "unsigned": {"device_display_name": "x"}})
    assert keys.has_signed(signed)
    assert len(signed["signatures"][HELPER]) == 2
    assert not keys.has_signed({**signed, "algorithms": []})
