"""The helper and Element's own stack, matrix-js-sdk, in strict mode: it takes from and gives to signed devices only."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.helper.account import HelperAccount
from bridge.helper.answers import GREETING, HELP
from tests.helper.conversation import helper_of
from tests.live import PASSWORD, LiveHub, start_live_hub

pytestmark = pytest.mark.synapse

FILES = ("package.json", "package-lock.json", "helper_chat.mjs")
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
INSTALL_S = 300
CHAT_S = 120


async def run(*command: str, where: Path, patience: float) -> str:
    """What a program writes to its standard output; it must end well."""
    ended = await asyncio.to_thread(
        subprocess.run, command, cwd=where, timeout=patience, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
async def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script and what it needs, outside the repository."""
    place = tmp_path_factory.mktemp("sdk")
    for name in FILES:
        shutil.copy(Path(__file__).with_name(name), place)
    await run(*INSTALL, where=place, patience=INSTALL_S)
    return place


@pytest.fixture
async def unsigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveHub]:
    """A hub whose helper never signs its device."""

    async def leave_it(_account: HelperAccount) -> None:
        return

    monkeypatch.setattr(HelperAccount, "_cross_sign", leave_it)
    async with start_live_hub(tmp_path / "hub") as hub:
        yield hub


async def chat(hub: LiveHub, sdk: Path) -> dict[str, Any]:
    """What a person of a partner saw who signed in with the SDK and asked the helper for help."""
    person = await hub.add_person(await hub.add_company(), sign_in=False)
    room_id = await hub.chat_of(person)
    command = ("node", "helper_chat.mjs", hub.homeserver_url, person.user_id, PASSWORD, helper_of(hub))
    seen: dict[str, Any] = json.loads(await run(*command, where=sdk, patience=CHAT_S))
    assert seen["rooms"] == [{"id": room_id, "membership": "join"}], "the hub has put them in, and nowhere else"
    assert seen["ownDeviceIsSigned"] is True
    return seen


async def test_a_strict_client_is_greeted_is_answered_and_sees_a_signed_device(live: LiveHub, sdk: Path) -> None:
    seen = await chat(live, sdk)
    assert seen["greeting"] == {"text": GREETING, "failure": None, "shield": None}
    assert seen["answer"] == {"text": HELP, "failure": None, "shield": None}
    assert seen["keysSent"] == ["m.room.encrypted"]
    assert seen["helperHasCrossSigningKeys"] is True
    assert list(seen["helperDevices"].values()) == [True]


async def test_a_strict_client_has_nothing_to_do_with_a_helper_that_is_not_signed(unsigned: LiveHub, sdk: Path) -> None:
    """The control: without the signature nothing is read, and the key is withheld."""
    seen = await chat(unsigned, sdk)
    assert seen["greeting"]["text"] is None
    assert seen["greeting"]["failure"] == "UNSIGNED_SENDER_DEVICE"
    assert seen["keysSent"] == ["m.room_key.withheld"]
    assert seen["helperHasCrossSigningKeys"] is False
    assert list(seen["helperDevices"].values()) == [False]
