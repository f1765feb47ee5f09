"""``conclave audit removal`` against a hub: one file or a folder, whole or not at all."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from audit.archive import Archive
from bridge.cli.client import HubClient
from bridge.cli.errors import CallFailedError
from bridge.cli.fetching import fetch_archive, fetch_bundle
from bridge.cli.main import main
from config.clock import HOUR
from tests.api.test_committees import CRM
from tests.api.test_removal_order import PITCH, Removing
from tests.archives import archive
from tests.live import until
from tests.served import ServedHub

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    served_hub: ServedHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    monkeypatch.setenv("CONCLAVE_STATE_DIR", str(served_hub.state))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def ran(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return ran


async def _settled(scene: Removing) -> None:
    """The hub works by itself: wait until the rooms, and what the log has of them, are as they should be."""

    async def look() -> bool:
        found = await scene.hub.api("GET", CRM)
        return bool(found["settled"]) and not scene.hub.homeserver.outbox and not await _waiting(scene)

    await until(look)


async def _waiting(scene: Removing) -> int:
    return (await scene.hub.hub.services.audit.status()).backlog


async def _pitched(scene: Removing) -> None:
    await scene.make()
    await scene.ready()
    await scene.act("start")
    await _settled(scene)
    content = {"algorithm": "m.megolm.v1.aes-sha2", "session_id": "s1", "ciphertext": "x", "device_id": "X"}
    rooms = await scene.rooms()
    scene.hub.homeserver.send(rooms[PITCH], scene.people["adatum"], "m.room.encrypted", content)
    await _settled(scene)


async def _clear(scene: Removing) -> None:
    await scene.act("clear")
    scene.hub.clock.now += HOUR
    await _settled(scene)


def as_officer(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the command line is a compliance officer's."""
    run("person", "invite", "--company", "contoso", "--name", "Olga", "--email", "olga@contoso.example")
    run("role", "grant", "olga@contoso.example", "compliance-officer")
    token = place / "olga.token"
    token.write_text(run("credential", "issue", "olga@contoso.example", "--device", "laptop")[1])
    monkeypatch.setenv("CONCLAVE_CREDENTIAL_FILE", str(token))


def test_it_is_written_whole_or_not_at_all(
    run: Run, served_hub: ServedHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def there(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, served_hub.loop).result(60)

    scene = Removing(served_hub.fake)
    there(_pitched(scene))
    place, vkey = tmp_path / "out", str(served_hub.state / "log.vkey")
    place.mkdir()
    as_officer(run, tmp_path, monkeypatch)
    for vendor, text in (("adatum", "adatum was not put out yet: crm is in phase pitch"), ("nobody", "nobody")):
        status, out, err = run("audit", "removal", "crm", vendor, "--out", str(place / "removal.tar"))
        assert (status, out, text in err) == (1, "", True), err
        assert list(place.iterdir()) == []
    there(_clear(scene))
    for name in ("removal.tar", "removal"):
        made = place / name
        status, out, err = run("audit", "removal", "crm", "adatum", "--out", str(made))
        assert status == 0, err
        assert f"{made}{'' if made.is_file() else '/'} written; this export is entry " in out
        assert "14 files" in out
        status, out, err = run("audit", "removal", "crm", "adatum", "--out", str(made))
        assert (status, "exists already; a proof is never written over another" in err) == (2, True)
        status, out, err = run("audit", "verify", str(made), "--vkey", vkey)
        verdict = "VALID. adatum was put out of crm, and nothing from after reached it."
        assert (status, out.splitlines()[-1]) == (0, verdict), err
    assert sorted(path.name for path in place.iterdir()) == ["removal", "removal.tar"]
    assert (place / "removal" / "page.html").is_file()


class Sends(BaseHTTPRequestHandler):
    """A hub that sends ``content``; one that is ``killed`` then does not say that this was all."""

    protocol_version = "HTTP/1.1"
    content = b""
    killed = False

    def do_GET(self) -> None:  # the name that the base class calls
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.content:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(self.content), self.content))
        self.wfile.write(b"" if self.killed else b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def sends(content: bytes, *, killed: bool = False) -> Iterator[HubClient]:
    """A client of such a hub."""
    handler = type("Now", (Sends,), {"content": content, "killed": killed})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield HubClient(url=f"http://127.0.0.1:{server.server_address[1]}", token="x")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


WHOLE = archive(("checkpoint", b"c"), ("manifest.json.sig", b"s"))


@pytest.mark.parametrize("size", [0, 100, 1_024, 1_500, len(WHOLE) - 512, len(WHOLE)])
def test_of_a_hub_that_is_killed_nothing_stays(tmp_path: Path, size: int) -> None:
    with sends(WHOLE[:size], killed=True) as hub:
        for fetch in (fetch_archive, fetch_bundle):
            if fetch is fetch_bundle and size >= len(WHOLE) - 512:
                continue  # a tar is read up to its end only, and what comes then is nothing to it
            with pytest.raises(CallFailedError, match=r"did not arrive whole|broke off in the middle"):
                fetch(hub, 1, tmp_path / "removal.tar")
            assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        WHOLE + b"more",
        archive(("checkpoint", b"c")),
        archive(("../checkpoint", b"c"), ("manifest.json.sig", b"s")),
        archive(("checkpoint", b"c"), ("checkpoint", b"c"), ("manifest.json.sig", b"s")),
    ],
)
def test_what_is_no_archive_is_not_kept(tmp_path: Path, content: bytes) -> None:
    with (
        sends(content) as hub,
        pytest.raises(CallFailedError, match=r"did not arrive whole|broke off in the middle"),
    ):
        fetch_archive(hub, 1, tmp_path / "removal.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_whole_one_is_kept(tmp_path: Path) -> None:
    with sends(WHOLE) as hub:
        assert isinstance(fetch_archive(hub, 1, tmp_path / "removal.tar"), Archive)
    assert (tmp_path / "removal.tar").read_bytes() == WHOLE
    assert [path.name for path in tmp_path.iterdir()] == ["removal.tar"]
