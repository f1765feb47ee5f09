"""Keys that change where the signer is a process of its own."""

from pathlib import Path

import pytest

from audit.files import read_vkeys
from audit.key_history import parse_statements
from audit.keys import read_key
from audit.parts import STATEMENTS
from bridge.signer.service import create_signer
from bridge.signer.statements import sign_as_root
from config.errors import SettingsError
from config.settings import LedgerSettings
from tests.store.test_remote_signer import process
from tests.store.test_rotation import Life, signers, sqlite_copy, verified


async def test_a_signer_apart_rotates_and_the_hub_follows(tmp_path: Path, database_url: str) -> None:
    apart = create_signer(tmp_path / "signer", "conclave.test", post_quantum=True)
    root = read_key(apart.root_key)
    life = Life(tmp_path, database_url, LedgerSettings(signer=tmp_path / "signer" / "s.sock", post_quantum=True))
    async with process(tmp_path / "signer"):
        first = await life.export()
    old = read_vkeys(apart.vkey)
    assert verified(first, old, root.public) == old
    request = apart.prepare(recover=False, overlap_days=30)
    async with process(tmp_path / "signer"), life.hub() as hub:
        await hub.entries()
        apart.apply(sign_as_root(request, root))
    async with process(tmp_path / "signer"):
        files = await life.export()
    new = read_vkeys(apart.vkey)
    assert signers(files, *new, *old) == [True] * 4
    assert verified(files, old) == new


async def test_a_signer_apart_without_an_ml_dsa_key_is_told_of(tmp_path: Path, sqlite_base: Path) -> None:
    apart = create_signer(tmp_path / "signer", "conclave.test")
    settings = LedgerSettings(signer=tmp_path / "signer" / "s.sock", post_quantum=True)
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base), settings)
    async with process(tmp_path / "signer"):
        with pytest.raises(SettingsError, match="has no ML-DSA-44 key"):
            await life.export()
    for _ in range(2):
        apart.add_post_quantum()
    for _ in range(2):  # the log begins with what the signer had before, and says the rest
        async with process(tmp_path / "signer"):
            files = await life.export()
        keys = read_vkeys(apart.vkey)
        assert verified(files, keys, apart.root_public()) == keys
        assert len(parse_statements(files.content[STATEMENTS])) == 1
