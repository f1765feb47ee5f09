"""A partnership's whole life on a real Synapse: what the rooms are, and who is in them when."""

from typing import Any
from urllib.parse import quote

from tests.live import LiveHub, Scene, User, until


async def state_of(hub: LiveHub, room_id: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The room's state, asked of the homeserver itself."""
    url = f"{hub.homeserver_url}/_synapse/admin/v1/rooms/{quote(room_id)}/state"
    answer = await hub.request("GET", url, token=hub.state.token("as_token"))
    return {(event["type"], event["state_key"]): event for event in answer.body["state"]}


async def members_of(hub: LiveHub, room_id: str) -> set[str]:
    state = await state_of(hub, room_id)
    return {
        key
        for (kind, key), event in state.items()
        if kind == "m.room.member" and event["content"]["membership"] == "join"
    }


async def in_rooms(scene: Scene, *users: User) -> bool:
    """Whether exactly these people and the hub's account are in every room."""
    wanted = {scene.hub.bot, *(user.user_id for user in users)}
    return all([await members_of(scene.hub, room_id) == wanted for room_id in scene.rooms.values()])


async def test_rooms_are_what_their_charters_say_from_the_first_event_on(live: LiveHub) -> None:
    scene = await live.stage()
    for name, room_id in scene.rooms.items():
        state = await state_of(live, room_id)
        content = {kind: event["content"] for (kind, key), event in state.items() if key == ""}
        create = state["m.room.create", ""]
        assert (create["sender"], create["content"]["room_version"]) == (live.bot, "12")
        assert create["content"]["m.federate"] is False
        assert "additional_creators" not in create["content"]
        assert content["m.room.history_visibility"] == {"history_visibility": "joined"}
        assert content["m.room.join_rules"] == {"join_rule": "invite"}
        assert content["m.room.guest_access"] == {"guest_access": "forbidden"}
        levels = content["m.room.power_levels"]
        assert (levels["users"], levels["users_default"], levels["state_default"]) == ({}, 0, 100)
        assert levels["events_default"] == (100 if name == "space" else 0)
        assert ("m.room.encryption" in content) is (name != "space")


async def test_encryption_came_before_anybody_could_speak(live: LiveHub) -> None:
    scene = await live.stage()
    page = await live.hub.services.homeserver.timeline(scene.room, None)
    kinds = [(event["type"], event.get("state_key")) for event in reversed(page.events)]
    first_guest = next(i for i, (kind, key) in enumerate(kinds) if kind == "m.room.member" and key != live.bot)
    assert kinds.index(("m.room.encryption", "")) < first_guest
    assert kinds.index(("m.room.history_visibility", "")) < first_guest


async def test_everyone_concerned_sees_the_space_and_its_rooms_without_accepting(live: LiveHub) -> None:
    scene = await live.stage()
    for user in (scene.host, scene.alice, scene.bob):
        synced = (await user.call("GET", "/sync?timeout=0")).body["rooms"]
        chat = await live.chat_of(user)
        assert set(synced["join"]) - {chat} == set(scene.rooms.values())
        assert not synced.get("invite")
    hierarchy = await scene.bob.call(
        "GET", f"/rooms/{quote(scene.rooms['space'])}/hierarchy", base="/_matrix/client/v1"
    )
    assert {room["room_id"] for room in hierarchy.body["rooms"]} == set(scene.rooms.values())
    children = [
        event for (kind, _), event in (await state_of(live, scene.rooms["space"])).items() if kind == "m.space.child"
    ]
    assert len(children) == 3


async def test_who_enrols_later_is_let_in(live: LiveHub) -> None:
    scene = await live.stage()
    late = await live.add_person(scene.company)
    await until(lambda: in_rooms(scene, scene.host, scene.alice, scene.bob, late))


async def test_the_team_of_the_host_comes_and_goes(live: LiveHub) -> None:
    scene = await live.stage()
    other = await live.add_person("contoso")
    assert await in_rooms(scene, scene.host, scene.alice, scene.bob)
    await live.api("POST", f"/v1/teams/{scene.team}/join", {"person": other.person})
    await until(lambda: in_rooms(scene, scene.host, scene.alice, scene.bob, other))
    await live.api("POST", f"/v1/teams/{scene.team}/leave", {"person": other.person})
    await until(lambda: in_rooms(scene, scene.host, scene.alice, scene.bob))


async def test_a_room_for_one_side_only(live: LiveHub) -> None:
    team, company = live.fresh("team"), await live.add_company()
    host = await live.add_person("contoso", teams=(team,))
    guest = await live.add_person(company)
    rooms = await live.open_partnership(company, team, "supplier")
    assert await members_of(live, rooms["Our side"]) == {live.bot, host.user_id}
    assert await members_of(live, rooms["Quality"]) == {live.bot, host.user_id, guest.user_id}
    refused = await guest.call("POST", f"/join/{quote(rooms['Our side'])}", {})
    assert (refused.status, refused.code) == (403, "COMPANY_NOT_ADMITTED")


async def test_a_suspended_person_is_out_at_once_and_back_when_resumed(live: LiveHub) -> None:
    scene = await live.stage()
    assert (await scene.bob.send_encrypted(scene.room)).status == 200
    answer = await live.api("POST", f"/v1/people/{scene.bob.person}/suspend", {"reason": "stolen laptop"})
    assert answer["enforced"]
    refused = await scene.bob.send_encrypted(scene.room)
    assert refused.body["errcode"] in ("ORG_MATRIX_EXPIRED_ACCOUNT", "M_UNKNOWN_TOKEN")
    login = await live.login(scene.bob.user_id)
    assert (login.status, login.code) == (403, "PERSON_SUSPENDED")
    await until(lambda: in_rooms(scene, scene.host, scene.alice))
    assert login.error == f"Conclave: {scene.bob.user_id} is suspended (PERSON_SUSPENDED)."

    async def signed_out() -> bool:
        return (await scene.bob.call("POST", f"/join/{quote(scene.room)}", {})).status == 401

    await until(signed_out)
    await live.api("POST", f"/v1/people/{scene.bob.person}/resume")
    await until(lambda: in_rooms(scene, scene.host, scene.alice, scene.bob))
    assert (await scene.bob.send_encrypted(scene.room)).status == 401
    scene.bob.token = (await live.login(scene.bob.user_id)).body["access_token"]
    assert (await scene.bob.send_encrypted(scene.room)).status == 200
    ended = [e["data"]["person"] for e in await live.entries("sessions.ended")]
    assert ended.count(scene.bob.person) == 1


async def test_a_suspended_company_is_out_as_a_whole(live: LiveHub) -> None:
    scene = await live.stage()
    answer = await live.api("POST", f"/v1/companies/{scene.company}/suspend", {"reason": "unpaid"})
    assert answer["enforced"]
    for user in (scene.alice, scene.bob):
        assert (await user.send_encrypted(scene.room)).status != 200  # refused, or the session ends meanwhile
        assert (await live.login(user.user_id)).code == "COMPANY_SUSPENDED"
    await until(lambda: in_rooms(scene, scene.host))
    await live.api("POST", f"/v1/companies/{scene.company}/resume")
    await until(lambda: in_rooms(scene, scene.host, scene.alice, scene.bob))


async def test_who_leaves_is_brought_back(live: LiveHub) -> None:
    scene = await live.stage()
    assert (await scene.bob.call("POST", f"/rooms/{quote(scene.room)}/leave", {})).status == 200
    await until(lambda: in_rooms(scene, scene.host, scene.alice, scene.bob))


async def test_a_closed_partnership_is_empty_frozen_and_on_record(live: LiveHub) -> None:
    scene = await live.stage()
    sent = await scene.bob.send_encrypted(scene.room)
    await live.api("POST", f"/v1/partnerships/{scene.company}/close", {"reason": "contract over"})
    refused = await scene.alice.send_encrypted(scene.room)
    assert refused.status == 403
    await live.settled(scene.company)
    assert await in_rooms(scene)
    for room_id in scene.rooms.values():
        state = await state_of(live, room_id)
        assert state["m.room.power_levels", ""]["content"]["events_default"] == 100
    rejoin = await scene.alice.call("POST", f"/join/{quote(scene.room)}", {})
    assert (rejoin.status, rejoin.code) == (403, "ENGAGEMENT_CLOSED")
    (closed,) = [e for e in await live.entries("partnership.closed") if e["engagement"] == scene.company]
    assert closed["data"] == {"reason": "contract over"}
    kept = await live.entries("message.sent", scene.room)
    assert [e["data"]["event_id"] for e in kept] == [sent.body["event_id"]]


async def test_the_ledger_tells_who_joined_and_who_removed_whom(live: LiveHub) -> None:
    scene = await live.stage()
    await live.api("POST", f"/v1/people/{scene.bob.person}/suspend", {"reason": "x"})
    await until(lambda: in_rooms(scene, scene.host, scene.alice))

    async def removed() -> Any:
        return await live.entries("member.removed", scene.room)

    (entry,) = await until(removed)
    assert entry["actor"] == {"system": "conclave"}
    assert entry["data"]["subject"] == {"person": scene.bob.person}
    assert entry["data"]["before"] == "join"


async def test_content_is_nowhere_in_the_ledger(live: LiveHub) -> None:
    scene = await live.stage()
    await scene.bob.send_encrypted(scene.room, "a-very-telling-ciphertext")

    async def arrived() -> Any:
        return await live.entries("message.sent", scene.room)

    (entry,) = await until(arrived)
    assert "telling" not in repr(entry)
    assert entry["data"]["session_id"] == f"session-of-{scene.bob.person}"


async def test_the_hubs_account_has_no_device(live: LiveHub) -> None:
    """Clients encrypt to the devices of every member: an account with a device could read all rooms."""
    url = f"{live.homeserver_url}/_synapse/admin/v2/users/{quote(live.bot)}/devices"
    answer = await live.request("GET", url, token=live.state.token("as_token"))
    assert answer.body["devices"] == []
