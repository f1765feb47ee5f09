"""A whole hub on a fake homeserver and a clock that tests move; it works only when told to, in ``settle``."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiohttp.test_utils import TestClient, TestServer

from bridge.app import Hub, open_hub
from bridge.homeserver_config import bot_user_id
from config.settings import AccessSettings, DatabaseSettings, HomeserverSettings, HostSettings, Settings
from config.state import StateDirectory
from tests.fakes.homeserver import FakeHomeserver
from tests.live import PASSWORD, Answer

START = 1_800_000_000_000


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@dataclass(slots=True)
class FakeHub:
    """The hub, what it stands on, and somebody to call its API."""

    hub: Hub
    homeserver: FakeHomeserver
    clock: ManualClock
    state: StateDirectory
    client: Any
    _names: Any = field(default_factory=lambda: count(1))

    @property
    def admin_token(self) -> str:
        return self.state.admin_credential.read_text().strip()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        data: Any = None,
    ) -> Answer:
        bearer = self.admin_token if token is None else token
        sent = {**({"Authorization": f"Bearer {bearer}"} if bearer else {}), **(headers or {})}
        async with self.client.request(method, path, json=body, data=data, headers=sent) as response:
            return Answer(response.status, await response.json(content_type=None))

    async def api(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> dict[str, Any]:
        """A call that must succeed."""
        answer = await self.request(method, path, body, token=token)
        assert answer.status in (200, 201), answer
        return answer.body

    async def settle(self, rounds: int = 6) -> None:
        """Reconcile, deliver and sequence until nothing moves."""
        for _ in range(rounds):
            self.hub.services.reconciler.wake_all()
            await self.hub.services.reconciler.run_once()
            if not self.homeserver.outbox:
                break
            await self.homeserver.deliver(self.hub.services.feed.accept)
        while await self.hub.sequencer.step():
            pass

    @asynccontextmanager
    async def sequencing(self) -> AsyncIterator[None]:
        """While the block runs, the ledger takes entries by itself."""

        async def work() -> None:
            while True:
                self.hub.services.db.wrote.clear()
                if not await self.hub.sequencer.step():
                    await self.hub.services.db.wrote.wait()

        task = asyncio.create_task(work())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def entries(self, kind: str | None = None) -> list[dict[str, Any]]:
        while await self.hub.sequencer.step():
            pass
        rows = await self.hub.services.audit.page(start=0, limit=10_000, kind=kind, room=None)
        return [json.loads(row.body) for row in rows]

    async def add_person(self, company: str, *, teams: tuple[str, ...] = (), prefix: str = "person") -> str:
        """Invite and enrol somebody; their Matrix user id."""
        name = f"{prefix}{next(self._names)}"
        body = {"company": company, "name": name.title(), "email": f"{name}@x.example", "teams": list(teams)}
        link = (await self.api("POST", "/v1/people", body))["link"]
        enrolment = {"secret": link.rpartition("/")[2], "username": name, "password": PASSWORD}
        return str((await self.api("POST", "/v1/enrol", enrolment, token=""))["user_id"])

    async def stage(self) -> dict[str, str]:
        """Host team "north" with one person, company "acme" with two, a partnership that is ready; rooms by name."""
        await self.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
        await self.add_person("contoso", teams=("north",))
        await self.add_person("acme")
        await self.add_person("acme")
        await self.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
        await self.settle()
        found = await self.api("GET", "/v1/partnerships/acme")
        assert found["settled"], found
        return {("space" if room["kind"] == "space" else room["name"]): room["room_id"] for room in found["rooms"]}


def fake_settings(place: Path, database_url: str, **sections: Any) -> Settings:
    return Settings(
        state_dir=place / "state",
        host=HostSettings(id="contoso", name="Contoso", admin_name="Dana Fox", admin_email="dana@contoso.example"),
        homeserver=HomeserverSettings(name="conclave.test"),
        database=DatabaseSettings(url=database_url),
        access=sections.pop("access", AccessSettings()),
        **sections,
    )


@asynccontextmanager
async def start_fake_hub(
    place: Path,
    database_url: str,
    *,
    homeserver: FakeHomeserver | None = None,
    clock: ManualClock | None = None,
    **sections: Any,
) -> AsyncIterator[FakeHub]:
    """Open a hub; with the ``homeserver`` and ``clock`` of an earlier one it goes on where that was."""
    settings = fake_settings(place, database_url, **sections)
    state, clock = StateDirectory(settings.state_dir), clock or ManualClock()
    fake = homeserver or FakeHomeserver(bot_user_id(settings), clock)
    state.prepare()
    async with (
        open_hub(settings, state, migrate=False, gateway=lambda _settings, _state: fake, clock=clock) as hub,
        TestClient(TestServer(hub.web)) as client,
    ):
        with patch("bridge.feed.SETTLE_S", 0):  # the fake delivers when told to: nothing is under way
            await hub.link.look()
        yield FakeHub(hub, fake, clock, state, client)
