"""kill -9 of the hub at twenty random moments during traffic: nothing lost, nothing twice, in order."""

import asyncio
import random
from pathlib import Path

import aiohttp
import pytest

from audit.files import Folder, read_vkeys
from audit.keys import verify_ed25519
from audit.verify import verify_bundle
from bridge.cli.client import HubClient
from bridge.cli.fetching import fetch_bundle
from tests.faults.processes import Processes, start_processes
from tests.live import PASSWORD, until

pytestmark = [pytest.mark.synapse, pytest.mark.long]

KILLS = 20
PEOPLE = 3


class Talker:
    """A person who goes on talking through the plain client-server API, whether the hub lives or not."""

    def __init__(self, session: aiohttp.ClientSession, homeserver: str, token: str) -> None:
        self._session = session
        self._homeserver = homeserver
        self._headers = {"Authorization": f"Bearer {token}"}
        self.sent = 0

    async def talk(self, room_id: str) -> None:
        content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": f"c{self.sent}", "session_id": "s"}
        url = f"{self._homeserver}/_matrix/client/v3/rooms/{room_id}/send/m.room.encrypted/{id(self)}-{self.sent}"
        async with self._session.put(url, json=content, headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
        self.sent += 1


async def people_of(processes: Processes, session: aiohttp.ClientSession) -> tuple[list[Talker], list[str]]:
    client, url = processes.client, processes.settings.homeserver.internal_url
    await asyncio.to_thread(client.post, "/v1/companies", {"id": "acme", "name": "Acme"})
    talkers = []
    for number in range(PEOPLE):
        company, teams = ("contoso", ["north"]) if number == 0 else ("acme", [])
        body = {"company": company, "name": f"P{number}", "email": f"p{number}@x.example", "teams": teams}
        link = (await asyncio.to_thread(client.post, "/v1/people", body))["link"]
        body = {"secret": link.rpartition("/")[2], "username": f"p{number}", "password": PASSWORD}
        user_id = (await asyncio.to_thread(HubClient(url=client.url, token="").post, "/v1/enrol", body))["user_id"]
        login = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user_id},
            "password": PASSWORD,
        }
        async with session.post(f"{url}/_matrix/client/v3/login", json=login) as answer:
            talkers.append(Talker(session, url, (await answer.json())["access_token"]))
    await asyncio.to_thread(client.post, "/v1/partnerships", {"partner": "acme", "team": "north"})

    async def settled() -> list[str]:
        found = await asyncio.to_thread(client.get, "/v1/partnerships/acme")
        return [room["room_id"] for room in found["rooms"] if room["kind"] == "room"] if found["settled"] else []

    return talkers, await until(settled)


async def test_twenty_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    chance = random.Random(20261123)
    async with start_processes(tmp_path) as processes, aiohttp.ClientSession() as session:
        await processes.start_hub()
        await processes.ready()
        talkers, rooms = await people_of(processes, session)
        for number in range(KILLS):
            burst = chance.randrange(1, 25)
            for _ in range(burst):
                await asyncio.gather(*(talker.talk(chance.choice(rooms)) for talker in talkers))
            await processes.kill_hub()
            await asyncio.gather(*(talker.talk(chance.choice(rooms)) for talker in talkers))
            await processes.start_hub()
            if number % 2:  # the other half is killed while it starts, or while it catches up
                await processes.ready()
        await processes.ready()

        async def complete() -> bool:
            return processes.recorded() == processes.happened()

        try:
            await until(complete, 60)
        except TimeoutError:
            assert processes.recorded() == processes.happened()
        assert sum(talker.sent for talker in talkers) <= sum(len(ids) for ids in processes.recorded().values())
        await verify(processes, tmp_path / "bundle")


async def verify(processes: Processes, out: Path) -> None:
    """What twenty lives of the hub wrote is one log."""
    client = processes.client
    body = {"company": "contoso", "name": "Eve", "email": "eve@x.example"}
    await asyncio.to_thread(client.post, "/v1/people", body)
    role = {"person": "eve@x.example", "role": "compliance-officer"}
    await asyncio.to_thread(client.post, "/v1/roles/grant", role)
    issued = await asyncio.to_thread(client.post, "/v1/credentials", {"person": "eve@x.example", "device": "x"})
    officer = HubClient(url=client.url, token=issued["token"])
    order = await asyncio.to_thread(officer.post, "/v1/exports")
    await asyncio.to_thread(fetch_bundle, officer, order["entry"], out)
    report = verify_bundle(Folder(out), read_vkeys(processes.state.log_vkey), verify_ed25519)
    assert report.kinds["hub.started"] >= KILLS // 2
