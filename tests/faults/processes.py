"""Real processes that tests may kill: Synapse by itself, and the hub as ``conclave serve`` beside it."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bridge.app import open_hub
from bridge.cli.client import HubClient
from bridge.foundation import load_keys
from bridge.homeserver import EmbeddedHomeserver
from bridge.homeserver_config import write_homeserver_config
from config.settings import Settings
from config.state import StateDirectory
from tests.live import NO_LIMITS, live_settings, until

CONFIG = """
state_dir = "{state}"
[host]
id = "{host}"
name = "Contoso Manufacturing"
admin_name = "Dana Fox"
admin_email = "d@c.example"
[hub]
port = {hub}
[homeserver]
name = "{name}"
port = {homeserver}
"""


@dataclass(slots=True)
class Processes:
    """One deployment of real processes."""

    settings: Settings
    state: StateDirectory
    config: Path
    synapse: EmbeddedHomeserver
    hub: asyncio.subprocess.Process | None = None

    @property
    def client(self) -> HubClient:
        """A client of the hub's API, as its administrator."""
        return HubClient(url=self.settings.hub.url, token=self.state.admin_credential.read_text().strip())

    async def start_hub(self) -> None:
        """Start ``conclave serve``; it need not answer yet on return."""
        with (self.state.root / "serve.out").open("ab") as out:
            self.hub = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "bridge.cli.main", "--config", str(self.config), "serve"),
                stdout=out,
                stderr=out,
            )

    async def kill_hub(self) -> None:
        """kill -9."""
        assert self.hub is not None
        self.hub.send_signal(signal.SIGKILL)
        await self.hub.wait()

    async def ready(self) -> None:
        """Return when the hub says that it does all of its work."""

        async def look() -> bool:
            try:
                async with aiohttp.ClientSession() as session, session.get(f"{self.settings.hub.url}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until(look, 60)

    def happened(self) -> dict[str, list[str]]:
        """Room id → event ids in the order in which Synapse has them, from its own database."""
        path = self.state.homeserver / "homeserver.db"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            rows = connection.execute(
                "SELECT room_id, event_id FROM events WHERE NOT outlier AND rejection_reason IS NULL"
                " ORDER BY stream_ordering"
            ).fetchall()
        found: dict[str, list[str]] = {}
        for room_id, event_id in rows:
            found.setdefault(room_id, []).append(event_id)
        return found

    def entries(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The ledger's entries, of one kind or all, from the hub's database."""
        with sqlite3.connect(f"file:{self.state.database}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT body FROM ledger_entry ORDER BY position").fetchall()
        found = [json.loads(body) for (body,) in rows]
        return [entry for entry in found if kind in (None, entry["kind"])]

    def recorded(self) -> dict[str, list[str]]:
        """Room id → event ids in the order of the ledger."""
        found: dict[str, list[str]] = {}
        for entry in self.entries():
            if entry["source"] == "homeserver":
                found.setdefault(entry["room"], []).append(entry["data"]["event_id"])
        return found


@asynccontextmanager
async def start_processes(place: Path) -> AsyncIterator[Processes]:
    """Synapse running and the hub's database founded; the hub itself is started by the test."""
    settings = live_settings(place)
    state = StateDirectory(settings.state_dir)
    state.prepare()
    keys = load_keys(state, settings, founded=False)
    files = write_homeserver_config(settings, state, keys.document.public.public_key, NO_LIMITS)
    config = place / "conclave.toml"
    config.write_text(
        CONFIG.format(
            state=state.root,
            host=settings.host.id,
            hub=settings.hub.port,
            name=settings.homeserver.name,
            homeserver=settings.homeserver.port,
        )
    )
    async with open_hub(settings, state, migrate=True):
        pass
    synapse = EmbeddedHomeserver(files, settings.homeserver)
    await synapse.start()
    found = Processes(settings, state, config, synapse)
    try:
        yield found
    finally:
        if found.hub is not None and found.hub.returncode is None:
            await found.kill_hub()
        await synapse.stop()


async def kill(pid: int | None) -> None:
    """kill -9."""
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
