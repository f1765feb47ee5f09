"""The signer as a process of its own: the same promises over a socket, and a hub that waits for it."""

import asyncio
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, UnixConnector, web

from audit.keys import KeyFileError, read_key, verify_ed25519
from audit.note import Checkpoint, open_note, split_note
from audit.signer import LocalSigner, SignerRefusedError, SignerUnavailableError
from audit.tree import Head
from bridge.signer.remote import RemoteSigner, fetch_keys
from bridge.signer.service import _listen, create_signer, signer_app
from config.errors import SettingsError
from config.settings import LedgerSettings
from tests.fakes.hub import FakeHub, start_fake_hub
from tests.live import until
from tests.rfc9162 import mth, proof

ORIGIN = "conclave.test"


def checkpoint(size: int, root: bytes | None = None, origin: str = ORIGIN) -> Checkpoint:
    return Checkpoint(origin=origin, size=size, root=mth(0, size) if root is None else root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_signer(tmp_path / "signer", ORIGIN)
    return tmp_path / "signer"


@asynccontextmanager
async def served(folder: Path, app: web.Application | None = None) -> AsyncIterator[Path]:
    runner = web.AppRunner(signer_app(folder) if app is None else app)
    await runner.setup()
    await _listen(runner, folder / "s.sock")
    try:
        yield folder / "s.sock"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def process(folder: Path) -> AsyncIterator[Path]:
    """``conclave signer serve``, as a process."""
    path = folder / "s.sock"
    command = ("-m", "bridge.cli.main", "signer", "serve", "--dir", str(folder), "--socket", str(path))
    run = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    assert run.stdout is not None
    try:
        assert b"entries signed so far" in await asyncio.wait_for(run.stdout.readline(), 20)
        yield path
    finally:
        run.terminate()
        assert await run.wait() == 0


@asynccontextmanager
async def remote(folder: Path) -> AsyncIterator[RemoteSigner]:
    found = RemoteSigner(folder / "s.sock", read_key(folder / "log.key").public)
    try:
        yield found
    finally:
        await found.close()


async def test_what_extends_is_signed_and_remembered(folder: Path) -> None:
    async with served(folder) as path, remote(folder) as signer:
        (key,) = (await asyncio.to_thread(fetch_keys, path)).current
        for old, size in ((0, 5), (5, 9), (9, 300)):
            note = await signer.sign(checkpoint(size), proof(old, size) if old else [])
            assert Checkpoint.parse(open_note(note, key, verify_ed25519)) == checkpoint(size)
            assert await signer.head() == Head(size, mth(0, size))
    async with served(folder), remote(folder) as again:
        assert (await again.head()).size == 300


async def test_a_rollback_a_fork_and_another_log_are_refused(folder: Path) -> None:
    async with served(folder), remote(folder) as signer:
        await signer.sign(checkpoint(9), [])
        for item, path in (
            (checkpoint(5), []),
            (checkpoint(9, bytes(32)), []),
            (checkpoint(12, bytes(32)), proof(9, 12)),
            (checkpoint(12), proof(8, 12)),
            (checkpoint(12, origin="another.log"), proof(9, 12)),
        ):
            with pytest.raises(SignerRefusedError):
                await signer.sign(item, path)
        assert (await signer.head()).size == 9


async def test_a_signer_that_is_away_is_unavailable(folder: Path) -> None:
    async with remote(folder) as signer:
        with pytest.raises(SignerUnavailableError, match="does not sign: No such file"):
            await signer.head()
        with pytest.raises(SignerUnavailableError):
            await asyncio.to_thread(fetch_keys, folder / "s.sock")


async def test_what_is_no_signature_of_the_key_is_not_taken(folder: Path) -> None:
    other = LocalSigner(read_key(folder / "log.key"), folder / "signer.json")

    async def elsewhere(_request: web.Request) -> web.Response:
        return web.json_response({"note": (await other.sign(checkpoint(4), [])).decode()})

    async def nonsense(_request: web.Request) -> web.Response:
        return web.json_response(["x"])

    app = web.Application()
    app.router.add_post("/sign", elsewhere)
    app.router.add_get("/head", nonsense)
    async with served(folder, app), remote(folder) as signer:
        with pytest.raises(SignerUnavailableError, match="it signed something else"):
            await signer.sign(checkpoint(9), [])
        with pytest.raises(SignerUnavailableError):
            await signer.head()


async def test_every_key_that_the_signer_named_has_to_sign(tmp_path: Path) -> None:
    """A signer that was put back to before it had its second key."""
    made = create_signer(tmp_path / "signer", ORIGIN, post_quantum=True)
    keys, alone = made.known().current, LocalSigner(read_key(made.root / "log.key"), made.memory)

    async def sign(_request: web.Request) -> web.Response:
        return web.json_response({"note": (await alone.sign(checkpoint(4), [])).decode()})

    app = web.Application()
    app.router.add_post("/sign", sign)
    async with served(made.root, app) as path:
        signer = RemoteSigner(path, *keys)
        with pytest.raises(SignerUnavailableError, match="does not sign: no signature by"):
            await signer.sign(checkpoint(4), [])
        await signer.close()
    async with served(made.root) as path:
        signer = RemoteSigner(path, *keys)
        assert len(split_note(await signer.sign(checkpoint(4), []))[1]) == 2
        await signer.close()


@pytest.mark.parametrize(
    "body", [{}, [], "x", {"checkpoint": "x", "proof": []}, {"checkpoint": checkpoint(3).text(), "proof": ["!"]}]
)
async def test_what_is_no_request_is_refused(folder: Path, body: Any) -> None:
    async with served(folder) as path, ClientSession(connector=UnixConnector(str(path))) as session:
        async with session.post("http://signer/sign", json=body) as answer:
            assert answer.status == 400
        async with session.post("http://signer/sign", data=b"x" * 100_000) as answer:
            assert answer.status in (400, 413)


async def test_the_socket_is_for_owner_and_group_and_replaces_an_old_one(folder: Path) -> None:
    for _ in range(2):
        async with served(folder) as path:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
        path.touch()
        path.unlink()
    path.write_text("not a socket")
    with pytest.raises(Exception, match="another file has that name"):
        async with served(folder):
            pass
    assert path.read_text() == "not a socket"


def test_a_signer_is_made_once_and_does_not_forget(folder: Path) -> None:
    with pytest.raises(KeyFileError):
        create_signer(folder, ORIGIN)
    (folder / "signer.json").unlink()
    with pytest.raises(SignerRefusedError, match="is missing or unreadable"):
        signer_app(folder)


async def grow(hub: FakeHub, prefix: str = "person") -> None:
    await hub.add_person("contoso", prefix=prefix)


async def test_a_hub_without_the_key_has_its_log_signed(folder: Path, tmp_path: Path, database_url: str) -> None:
    settings = LedgerSettings(signer=folder / "s.sock")
    async with process(folder), start_fake_hub(tmp_path, database_url, ledger=settings) as hub:
        await grow(hub)
        await hub.entries()
        head = (await hub.hub.services.audit.status()).head
        assert head.signed_size == head.size > 5
        assert not (hub.state.keys / "log.key").exists()
        assert (folder / "log.vkey").read_text() == hub.state.log_vkey.read_text()
        homeserver, clock = hub.homeserver, hub.clock
    async with (
        process(folder),
        start_fake_hub(tmp_path, database_url, homeserver=homeserver, clock=clock, ledger=settings) as hub,
    ):
        await grow(hub, "later")
        await hub.entries()
        after = (await hub.hub.services.audit.status()).head
        assert after.signed_size == after.size > head.size


async def test_while_the_signer_is_away_entries_wait_and_the_hub_says_so(
    folder: Path, tmp_path: Path, sqlite_base: Path
) -> None:
    (tmp_path / "hub.sqlite3").write_bytes(sqlite_base.read_bytes())
    url, settings = f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3", LedgerSettings(signer=folder / "s.sock")
    async with AsyncExitStack() as stack:
        signer = await stack.enter_async_context(AsyncExitStack())
        await signer.enter_async_context(process(folder))
        hub = await stack.enter_async_context(start_fake_hub(tmp_path, url, ledger=settings))
        await hub.entries()
        services = hub.hub.services
        signed = (await services.audit.status()).head.signed_size
        await signer.aclose()
        await grow(hub)
        async with working(hub):
            await until(lambda: said(hub))
            status = await services.audit.status()
            assert (status.head.size > signed, status.head.signed_size) == (True, signed)
            assert "does not sign" in (await services.readiness.checks())["ledger"].detail
            async with process(folder):
                await until(lambda: signed_all(hub))
                assert services.readiness.signing_error is None


@asynccontextmanager
async def working(hub: FakeHub) -> AsyncIterator[None]:
    """The hub sequences by itself while the block runs."""
    task = asyncio.create_task(hub.hub._sequence())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def said(hub: FakeHub) -> bool:
    return hub.hub.services.readiness.signing_error is not None


async def signed_all(hub: FakeHub) -> bool:
    head = (await hub.hub.services.audit.status()).head
    return head.size == head.signed_size and hub.hub.services.readiness.signing_error is None


async def test_a_signer_of_another_log_stops_the_hub(tmp_path: Path, sqlite_base: Path) -> None:
    create_signer(tmp_path / "other", "another.log")
    (tmp_path / "hub.sqlite3").write_bytes(sqlite_base.read_bytes())
    url = f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3"
    async with process(tmp_path / "other") as path:
        with pytest.raises(SettingsError, match=r"signs for the log another\.log"):
            async with start_fake_hub(tmp_path, url, ledger=LedgerSettings(signer=path)):
                pass
