"""The witness as a service, over HTTP: what it answers, and what it remembers when it is started again."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from audit.cosignature import cosignatures
from audit.heads import read_head
from audit.keys import KeyFileError, verify_ed25519
from audit.note import Checkpoint, sign_note
from audit.tree import Head
from audit.witness import Submission
from bridge.witness.folder import WitnessFolder, WitnessFolderError
from bridge.witness.server import WitnessService
from config.errors import ConflictError
from tests.fakes.hub import START, ManualClock
from tests.ledger import signing_key
from tests.rfc9162 import mth, proof

LOG, OTHER = signing_key("log.example/hub", 1), signing_key("log.example/other", 2)
Ask = Callable[..., Awaitable[tuple[int, str, str]]]


def note_of(size: int, root: bytes | None = None) -> bytes:
    text = Checkpoint(origin=LOG.name, size=size, root=mth(0, size) if root is None else root).text()
    return sign_note(text, LOG.public, LOG)


@pytest.fixture
def folder(tmp_path: Path) -> WitnessFolder:
    found = WitnessFolder(tmp_path / "witness")
    found.create("witness.example/w1")
    found.add(LOG.public)
    return found


@pytest.fixture
async def ask(folder: WitnessFolder) -> AsyncIterator[Ask]:
    async with TestClient(TestServer(WitnessService(folder, ManualClock()).app())) as client:

        async def asked(old: int, size: int, root: bytes | None = None) -> tuple[int, str, str]:
            item = Submission(old=old, proof=proof(old, size) if 0 < old <= size else [], note=note_of(size, root))
            async with client.post("/add-checkpoint", data=item.encode()) as answer:
                return answer.status, await answer.text(), answer.content_type

        yield asked


async def test_it_cosigns_what_extends_what_it_saw(ask: Ask, folder: WitnessFolder) -> None:
    for old, size in ((0, 3), (3, 700), (700, 700)):
        status, text, _ = await ask(old, size)
        (found,) = cosignatures(note_of(size) + text.encode(), [folder.key().cosigner], verify_ed25519)
        assert (status, found.at) == (200, START // 1_000)
        assert folder.seen(LOG.name) == Head(size, mth(0, size))


async def test_it_tells_what_it_saw_to_whom_does_not_know(ask: Ask) -> None:
    await ask(0, 7)
    assert await ask(0, 9) == (409, "7\n", "text/x.tlog.size")


async def test_a_fork_and_a_log_put_back_are_not_cosigned(ask: Ask, folder: WitnessFolder) -> None:
    await ask(0, 7)
    assert (await ask(7, 9, bytes(32)))[0] == 422
    assert (await ask(7, 7, bytes(32)))[0] == 422
    assert (await ask(5, 5))[0] == 409
    assert (await ask(7, 5))[0] == 400
    assert folder.seen(LOG.name).size == 7


async def test_it_knows_what_it_saw_when_it_is_started_again(ask: Ask, folder: WitnessFolder) -> None:
    await ask(0, 7)
    again = WitnessService(folder, ManualClock())
    forked = Submission(old=0, proof=[], note=note_of(9, bytes(32)))
    async with TestClient(TestServer(again.app())) as client, client.post("/add-checkpoint", data=forked.encode()) as a:
        assert a.status == 409


async def test_what_it_saw_is_on_disk_before_it_says_so(
    ask: Ask, folder: WitnessFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bridge.witness.folder.write_head", full)
    assert (await ask(0, 7))[0] == 500
    assert folder.seen(LOG.name) == Head()


async def test_of_two_forks_at_once_one_is_cosigned(ask: Ask) -> None:
    statuses = [status for status, _, _ in await asyncio.gather(ask(0, 7), ask(0, 7, bytes(32)), ask(0, 9))]
    assert sorted(statuses) == [200, 409, 409]


async def test_a_large_body_and_other_addresses_are_refused(folder: WitnessFolder) -> None:
    async with TestClient(TestServer(WitnessService(folder, ManualClock()).app())) as client:
        for method, path, body, status in (
            ("POST", "/add-checkpoint", b"x" * 100_000, 413),
            ("GET", "/add-checkpoint", b"", 405),
            ("POST", "/sign-subtree", b"", 404),
        ):
            async with client.request(method, path, data=body) as answer:
                assert answer.status == status


def test_a_witness_that_forgot_does_not_start(folder: WitnessFolder) -> None:
    (path,) = folder.root.glob("logs/*/head.json")
    for damage in (b"", b"{}", b'{"size": -1, "root": ""}'):
        path.write_bytes(damage)
        with pytest.raises(WitnessFolderError, match="the witness cannot use"):
            WitnessService(folder, ManualClock())
    path.unlink()
    with pytest.raises(WitnessFolderError, match="No such file"):
        WitnessService(folder, ManualClock())


def test_a_log_whose_folder_is_gone_is_missed(folder: WitnessFolder) -> None:
    shutil.rmtree(folder.root / "logs")
    with pytest.raises(WitnessFolderError, match="the witness cannot use"):
        WitnessService(folder, ManualClock())
    with pytest.raises(ConflictError, match="is watched already, or was"):
        folder.add(LOG.public)


def test_a_log_that_was_half_added_is_added_again(folder: WitnessFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bridge.witness.folder.write_head", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.add(OTHER.public)
    assert list(folder.logs()) == [LOG.name]
    folder.add(OTHER.public)
    assert sorted(folder.logs()) == [LOG.name, OTHER.name]


def test_a_log_is_watched_once_and_a_witness_made_once(folder: WitnessFolder) -> None:
    with pytest.raises(ConflictError, match="is watched already"):
        folder.add(LOG.public)
    with pytest.raises(KeyFileError):
        folder.create("witness.example/w1")
    with pytest.raises(WitnessFolderError, match="cannot be a witness's name"):
        WitnessFolder(folder.root / "b").create("a b")
    folder.add(OTHER.public)
    assert sorted(folder.logs()) == [LOG.name, OTHER.name]
    assert all(read_head(path) == Head() for path in folder.root.glob("logs/*/head.json"))
