"""Drift on a real Synapse, by doors that are really there: clients, the admin API, the hub's own token and keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from config.clock import system_clock
from spaces.gateway import SignedDocument
from spaces.policy.documents import document_of
from spaces.policy.records import Admission
from spaces.store import DocumentStore
from tests.live import Answer, LiveHub, Scene, until


async def admin(hub: LiveHub, method: str, path: str, body: Any = None) -> Answer:
    """The homeserver's admin API, with the hub's token: what somebody who stole it would try."""
    url = f"{hub.homeserver_url}/_synapse/admin{path}"
    return await hub.request(method, url, body, token=hub.state.token("as_token"))


async def corrected(scene: Scene, room_id: str, count: int = 1) -> list[dict[str, Any]]:
    """The drift of a room, once so much of it was put right: what was found."""

    async def look() -> bool:
        return len(await scene.hub.entries("drift.corrected", room_id)) >= count

    await until(look)
    return await scene.hub.entries("drift.found", room_id)


async def members(hub: LiveHub, room_id: str) -> set[str]:
    answer = await admin(hub, "GET", f"/v1/rooms/{quote(room_id)}/members")
    return set(answer.body["members"])


async def test_setting_up_on_a_real_homeserver_is_no_drift(live: LiveHub) -> None:
    scene = await live.stage()
    for room_id in scene.rooms.values():
        assert await live.entries("drift.found", room_id) == []


async def test_who_leaves_is_back_and_it_is_told(live: LiveHub) -> None:
    scene = await live.stage()
    assert (await scene.bob.call("POST", f"/rooms/{quote(scene.room)}/leave", {})).status == 200
    (found,) = await corrected(scene, scene.room)
    assert found["data"]["subject"] == found["data"]["caused_by"] == {"person": scene.bob.person}
    assert scene.bob.user_id in await members(live, scene.room)


async def test_the_hubs_stolen_token_takes_somebody_out_and_they_are_back(live: LiveHub) -> None:
    scene = await live.stage()
    path = f"{live.homeserver_url}/_matrix/client/v3/rooms/{quote(scene.room)}/kick"
    body = {"user_id": scene.alice.user_id, "reason": "x"}
    assert (await live.request("POST", path, body, token=live.state.token("as_token"))).status == 200
    (found,) = await corrected(scene, scene.room)
    assert (found["data"]["found"], found["data"]["caused_by"]) == ("leave", {"system": "conclave"})
    assert scene.alice.user_id in await members(live, scene.room)


async def test_a_room_hung_into_the_space_with_the_hubs_token_is_unhung(live: LiveHub) -> None:
    scene = await live.stage()
    space, other = scene.rooms["space"], "!elsewhere:evil.example"
    await live.hub.services.homeserver.set_state(space, "m.space.child", other, {"via": ["evil.example"]})
    (found,) = await corrected(scene, space)
    assert (found["data"]["type"], found["data"]["state_key"]) == ("m.space.child", other)
    state = await admin(live, "GET", f"/v1/rooms/{quote(space)}/state")
    assert [item["content"] for item in state.body["state"] if item["state_key"] == other] == [{}]


@asynccontextmanager
async def deceived(scene: Scene, **changes: Any) -> AsyncIterator[None]:
    """While the block runs the guard believes another charter of the room, signed with a stolen document key."""
    services = scene.hub.hub.services
    key = (await scene.hub.api("GET", f"/v1/rooms/{quote(scene.room)}"))["key"]
    async with services.db.read() as connection:
        charter = await DocumentStore(connection).charter(key)
    assert charter is not None
    for version, believed in ((1, replace(charter, **changes)), (2, charter)):
        document = document_of(believed, system_clock() + version)
        signature = scene.hub.hub.keys.document.sign(document.signed_bytes())
        await services.homeserver.put_documents([SignedDocument(document=document, signature=signature)])
        if believed is not charter:
            yield


async def test_a_stranger_whom_the_guard_was_made_to_let_in_is_taken_out(live: LiveHub) -> None:
    scene = await live.stage()
    company = await live.add_company()
    stranger = await live.add_person(company)
    async with deceived(scene, admits=(Admission(company=company),)):
        answer = await admin(live, "POST", f"/v1/join/{quote(scene.room)}", {"user_id": stranger.user_id})
        assert answer.status == 200, answer
    found = await corrected(scene, scene.room)
    assert {"person": stranger.person} in [item["data"]["subject"] for item in found]
    assert stranger.user_id not in await members(live, scene.room)

    async def removed() -> bool:
        entries = await live.entries("member.removed", scene.room)
        return {"person": stranger.person} in [entry["data"]["subject"] for entry in entries]

    await until(removed)


async def test_history_that_the_guard_was_made_to_open_is_closed(live: LiveHub) -> None:
    scene = await live.stage()
    homeserver = live.hub.services.homeserver
    async with deceived(scene, history_visibility="shared"):
        opened = {"history_visibility": "shared"}
        await homeserver.set_state(scene.room, "m.room.history_visibility", "", opened)
    found = await corrected(scene, scene.room)
    assert found[0]["data"]["type"] == "m.room.history_visibility"
    state = await admin(live, "GET", f"/v1/rooms/{quote(scene.room)}/state")
    (content,) = (item["content"] for item in state.body["state"] if item["type"] == "m.room.history_visibility")
    assert content == {"history_visibility": "joined"}
