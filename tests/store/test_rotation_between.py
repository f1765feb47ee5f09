"""``conclave audit prove --between`` over a change of the log's keys: what was saved before it counts still."""

from pathlib import Path
from typing import Any, cast

import pytest

from audit.files import read_vkeys
from audit.note import Checkpoint, VerifierKey, sign_note
from bridge.cli.client import HubClient
from bridge.cli.errors import CallFailedError
from bridge.cli.proving import _prove_growth
from config.settings import LedgerSettings
from tests.fakes.hub import FakeHub
from tests.ledger import signing_key
from tests.store.test_rotation import Life


class Answers:
    """A hub's answers that were fetched before."""

    def __init__(self, ledger: dict[str, Any], growth: dict[str, Any]) -> None:
        self._ledger = ledger
        self._growth = growth

    def get(self, path: str, **_query: int) -> dict[str, Any]:
        return self._ledger if path == "/v1/ledger" else self._growth


async def saved(hub: FakeHub, path: Path) -> int:
    """Save the newest checkpoint, as a person does; its size."""
    await hub.add_person("contoso", prefix=path.name)
    await hub.entries()
    head = (await hub.hub.services.audit.status()).head
    assert head.checkpoint is not None
    path.write_bytes(head.checkpoint)
    return head.signed_size


async def test_a_checkpoint_from_before_a_rotation_is_extended(tmp_path: Path, database_url: str) -> None:
    life, old, new = Life(tmp_path, database_url), tmp_path / "old", tmp_path / "new"
    async with life.hub() as hub:
        first = await saved(hub, old)
        assert (await hub.api("GET", "/v1/ledger"))["retired"] == []
    keys: list[VerifierKey] = []
    root = life.take_root()
    for _ in range(2):
        keys += read_vkeys(life.folder.vkey)
        life.rotate(root, overlap_days=0)
        async with life.hub() as hub:
            await hub.entries()
    life.ledger = LedgerSettings(post_quantum=True)  # which retires nothing
    async with life.hub() as hub:
        second = await saved(hub, new)
        ledger = await hub.api("GET", "/v1/ledger")
        growth = await hub.api("GET", f"/v1/ledger/consistency?first={first}&second={second}")
    assert ledger["retired"] == [str(key) for key in keys]
    client = cast(HubClient, Answers(ledger, growth))
    _prove_growth(client, old, new, tmp_path / "growth", False)
    assert (tmp_path / "growth").read_bytes().startswith(f"old {first}\n".encode())
    stranger = signing_key("conclave.test", 66)
    note = sign_note(Checkpoint(origin="conclave.test", size=first, root=bytes(32)).text(), stranger.public, stranger)
    old.write_bytes(note)
    with pytest.raises(CallFailedError, match="is no checkpoint of this log: no signature by conclave"):
        _prove_growth(client, old, new, None, False)
