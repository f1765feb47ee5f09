"""``conclave up`` as a person runs it: started, started again, stopped, killed, and all that is in its way."""

import asyncio
import os
import signal
import socket
import sqlite3
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bridge.demo.temporary import free_ports
from config.db import Database
from config.migrate import upgrade
from tests.faults.processes import CONFIG, kill
from tests.live import until

pytestmark = pytest.mark.synapse

READY = "Ctrl-C stops the hub"


@dataclass(slots=True)
class Up:
    """A running ``conclave up``."""

    process: asyncio.subprocess.Process
    said: list[str]

    async def until_says(self, text: str) -> str:
        """The line with ``text`` in it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(90):
            while line := (await self.process.stdout.readline()).decode():
                self.said.append(line.rstrip())
                if text in line:
                    return line.rstrip()
        raise AssertionError(f"ended without saying {text!r}: {self.said}")

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        rest, _ = await self.process.communicate()
        self.said += rest.decode().splitlines()
        return await self.process.wait()


class Place:
    """A directory with settings, and what may be in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hub, self.homeserver = free_ports(2)
        self.state = root / "state"
        self.config = root / "conclave.toml"
        names = {"state": self.state, "host": "contoso", "name": "conclave.test"}
        self.config.write_text(CONFIG.format(hub=self.hub, homeserver=self.homeserver, **names))

    async def up(self, *more: str) -> Up:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bridge.cli.main", "--config", str(self.config), "up", *more),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return Up(process, [])

    async def fails(self, *more: str) -> list[str]:
        """What it says when it does not start."""
        up = await self.up(*more)
        out, _ = await up.process.communicate()
        assert up.process.returncode == 1, out.decode()
        return out.decode().splitlines()

    def synapse_pid(self) -> int:
        return int((self.state / "homeserver" / "homeserver.lock").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return False


async def get(url: str) -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json()


async def test_first_start_second_start_and_both_ways_to_stop(place: Place) -> None:
    up = await place.up()
    await up.until_says(READY)
    said = "\n".join(up.said)
    assert f"http://127.0.0.1:{place.homeserver}      (Synapse 1." in said
    assert f"http://127.0.0.1:{place.hub}" in said
    assert "log.vkey: give it to your auditors" in said
    assert sum(line.strip().removeprefix("Next: ").startswith("conclave --state") for line in up.said) == 3
    assert stat.S_IMODE(place.state.stat().st_mode) == 0o700
    for secret in (*place.state.glob("keys/*"), *place.state.glob("tokens/*"), place.state / "admin.credential"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600, secret
    status, answer = await get(f"http://127.0.0.1:{place.hub}/.well-known/matrix/client")
    assert (status, answer) == (200, {"m.homeserver": {"base_url": f"http://127.0.0.1:{place.homeserver}"}})
    status, answer = await get(f"http://127.0.0.1:{place.hub}/.well-known/matrix/support")
    assert answer == {"contacts": [{"role": "m.role.admin", "email_address": "d@c.example"}]}
    keys = {path.name: path.read_bytes() for path in place.state.glob("keys/*.key")}

    synapse = place.synapse_pid()
    assert await up.stop(signal.SIGINT) == 0
    assert "stopping" in up.said[-1]
    assert not alive(synapse)

    up = await place.up()
    await up.until_says(READY)
    ledger = next(line for line in up.said if line.startswith("  ledger"))
    assert ledger.split()[1] != "0"
    assert {path.name: path.read_bytes() for path in place.state.glob("keys/*.key")} == keys
    synapse = place.synapse_pid()

    lines = await place.fails()
    assert lines[0] == f"conclave: the state directory {place.state} is in use by process {up.process.pid}"
    assert await up.stop(signal.SIGTERM) == 0
    assert not alive(synapse)
    with sqlite3.connect(place.state / "hub.sqlite3") as connection:
        assert connection.execute("SELECT COUNT(*) FROM inbox").fetchone() == (0,), "stopped in order, nothing waits"
        kinds = [row[0] for row in connection.execute("SELECT kind FROM ledger_entry ORDER BY position")]
    assert (kinds[0], kinds.count("hub.started"), kinds.count("hub.stopped")) == ("log.opened", 2, 2)


async def test_a_killed_hub_leaves_a_homeserver_that_the_next_one_takes_over(place: Place) -> None:
    up = await place.up()
    await up.until_says(READY)
    orphan = place.synapse_pid()
    await kill(up.process.pid)
    await up.process.wait()
    assert alive(orphan)
    up = await place.up()
    await up.until_says("a homeserver of an earlier start is still running; stopping it")
    await up.until_says(READY)
    assert not alive(orphan)
    await kill(place.synapse_pid())
    await up.until_says("homeserver stopped (killed by SIGKILL); starting it again in 1 s")
    await up.until_says("homeserver ready again")

    async def ready() -> bool:
        return (await get(f"http://127.0.0.1:{place.hub}/readyz"))[0] == 200

    await until(ready)
    assert await up.stop() == 0


@pytest.mark.parametrize("which", ["hub", "homeserver"])
async def test_a_busy_port_is_one_sentence(place: Place, which: str) -> None:
    port = getattr(place, which)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        lines = await place.fails()
    assert lines[-2] == f"conclave: cannot listen on 127.0.0.1:{port}: another program uses it"
    assert "choose another port with" in lines[-1]
    assert not (place.state / "homeserver" / "homeserver.db").exists(), "nothing was started"


async def test_a_directory_that_cannot_be_written_to_is_one_sentence(place: Place) -> None:
    place.state.write_text("a file in its place")
    lines = await place.fails()
    assert lines == [
        f"conclave: the state directory {place.state} cannot be written to: File exists",
        "  next: choose another with --state or state_dir in conclave.toml",
    ]


async def test_a_newer_database_is_one_sentence(place: Place) -> None:
    place.state.mkdir()
    db = Database.sqlite(place.state / "hub.sqlite3")
    await upgrade(db)
    await db.close()
    with sqlite3.connect(place.state / "hub.sqlite3") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    lines = await place.fails()
    assert lines == [
        "conclave: the database has schema 9999, which this release does not know: a newer Conclave was here",
        "  next: install that release, or put back a backup from before the upgrade",
    ]


async def test_a_broken_setting_is_one_sentence(place: Place) -> None:
    place.config.write_text('[hub]\nport = "many"\n')
    lines = await place.fails()
    assert lines[0].startswith("conclave: hub.port = 'many': ")
    place.config.write_text("[hub\n")
    assert "is not valid TOML" in (await place.fails())[0]


async def test_a_key_that_is_gone_is_not_made_anew(place: Place) -> None:
    up = await place.up()
    await up.until_says(READY)
    await up.stop()
    (place.state / "keys" / "log.key").unlink()
    lines = await place.fails()
    assert lines[0].startswith(f"conclave: cannot read the key file {place.state}/keys/log.key: ")
    assert lines[1] == "  next: put it back from a backup"
