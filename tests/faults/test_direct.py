"""Direct rooms while the hub is down, and while Synapse is killed in the middle of making one."""

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from bridge.cli.client import HubClient
from tests.faults.processes import Processes, kill, start_processes
from tests.live import PASSWORD, LiveHub, Scene, start_live_hub, until

pytestmark = [pytest.mark.synapse, pytest.mark.long]

KILLS = 5


async def enrol(processes: Processes, company: str, name: str, teams: list[str]) -> str:
    client = processes.client
    body = {"company": company, "name": name.title(), "email": f"{name}@x.example", "teams": teams}
    link = (await asyncio.to_thread(client.post, "/v1/people", body))["link"]
    body = {"secret": link.rpartition("/")[2], "username": name, "password": PASSWORD}
    anybody = HubClient(url=client.url, token="")
    return str((await asyncio.to_thread(anybody.post, "/v1/enrol", body))["user_id"])


async def call(session: aiohttp.ClientSession, method: str, url: str, body: Any, token: str = "") -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.request(method, url, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return dict(await answer.json())


async def test_a_room_made_while_the_hub_is_down_is_managed_when_it_is_back(tmp_path: Path) -> None:
    async with start_processes(tmp_path) as processes, aiohttp.ClientSession() as session:
        await processes.start_hub()
        await processes.ready()
        client, base = processes.client, f"{processes.settings.homeserver.internal_url}/_matrix/client/v3"
        await asyncio.to_thread(client.post, "/v1/companies", {"id": "acme", "name": "Acme"})
        dana, bob = await enrol(processes, "contoso", "dana", ["north"]), await enrol(processes, "acme", "bob", [])
        await asyncio.to_thread(client.post, "/v1/partnerships", {"partner": "acme", "team": "north"})

        async def ready() -> bool:
            return bool((await asyncio.to_thread(client.get, "/v1/partnerships/acme"))["settled"])

        await until(ready)
        login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": bob}, "password": PASSWORD}
        token = (await call(session, "POST", f"{base}/login", login))["access_token"]
        await processes.kill_hub()

        wish = {"is_direct": True, "preset": "trusted_private_chat", "invite": [dana]}
        room_id = str((await call(session, "POST", f"{base}/createRoom", wish, token))["room_id"])
        sealed = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "c", "session_id": "s"}
        place = f"{base}/rooms/{quote(room_id)}"
        await call(session, "PUT", f"{place}/send/m.room.encrypted/1", sealed, token)
        async with session.post(
            f"{place}/invite", json={"user_id": "@x:y.example"}, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            assert (await answer.json())["org.conclave.code"] == "PERSON_UNKNOWN", "it is guarded without the hub"

        await processes.start_hub()
        await processes.ready()

        async def managed() -> dict[str, Any] | None:
            rooms = (await asyncio.to_thread(client.get, "/v1/rooms"))["items"]
            return next((room for room in rooms if room["room_id"] == room_id and room["settled"]), None)

        room = await until(managed)
        assert (room["kind"], room["engagement"], room["name"]) == ("direct", "acme", "direct: Bob, Dana")

        async def complete() -> bool:
            return processes.recorded().get(room_id) == processes.happened()[room_id]

        await until(complete)


async def test_kills_of_synapse_while_it_makes_one_leave_nothing_that_asking_again_does_not_mend(
    tmp_path: Path,
) -> None:
    chance = random.Random(20261124)
    async with start_live_hub(tmp_path) as live:
        for number in range(KILLS):
            scene = await live.stage()
            await kill_while_asking(live, scene, delay=chance.uniform(0.02, 0.4))
            room_id = await until(lambda scene=scene: asked(scene), 120)
            for user in (scene.bob, scene.host):
                assert (await user.send_encrypted(room_id)).status == 200, number
            state = await scene.bob.call("GET", f"/rooms/{quote(room_id)}/state/m.room.encryption")
            assert state.body["algorithm"] == "m.megolm.v1.aes-sha2"
            await until(lambda room_id=room_id: settled(live, room_id))


async def kill_while_asking(live: LiveHub, scene: Scene, delay: float) -> None:
    assert live.homeserver is not None
    asking = asyncio.create_task(ask(scene))
    await asyncio.wait([asking], timeout=delay)
    await kill(live.homeserver.pid)
    await asyncio.wait_for(live.homeserver._process.wait(), 10)  # type: ignore[union-attr]  # it was started
    await asyncio.gather(asking, return_exceptions=True)
    with sqlite3.connect(live.state.homeserver / "homeserver.db") as connection:  # a minute passes
        connection.execute("UPDATE conclave_room SET claimed_at = 0")
    await live.homeserver.start()


async def ask(scene: Scene) -> dict[str, Any]:
    wish = {"is_direct": True, "invite": [scene.host.user_id]}
    return (await scene.bob.call("POST", "/createRoom", wish)).body


async def asked(scene: Scene) -> str | None:
    """The room, or ``None`` while the guard says to try again."""
    found = (await ask(scene)).get("room_id")
    return None if found is None else str(found)


async def settled(live: LiveHub, room_id: str) -> bool:
    rooms = (await live.api("GET", "/v1/rooms?limit=500"))["items"]
    return any(room["room_id"] == room_id and room["settled"] for room in rooms)
