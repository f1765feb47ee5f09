"""Direct rooms, asked for as clients do, against a real Synapse: made managed, one for two, and refused in words."""

import asyncio
import sqlite3
from typing import Any
from urllib.parse import quote

import pytest

from spaces.policy.direct import direct_key
from tests.live import Answer, LiveHub, Scene, User, until

pytestmark = pytest.mark.long

ELEMENT = {
    "preset": "trusted_private_chat",
    "visibility": "private",
    "is_direct": True,
    "initial_state": [
        {"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "can_join"}},
        {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
    ],
}
GREEDY = {
    **ELEMENT,
    "visibility": "public",
    "preset": "public_chat",
    "name": "Mine",
    "topic": "Mine",
    "room_alias_name": "mine",
    "room_version": "11",
    "creation_content": {"m.federate": True, "type": "m.space", "additional_creators": ["@x:y.example"]},
    "power_level_content_override": {"users_default": 100},
    "initial_state": [
        {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}},
        {"type": "m.room.join_rules", "content": {"join_rule": "public"}},
    ],
}


async def ask(user: User, *others: str, **more: Any) -> Answer:
    """What a client sends when its person wants to talk to somebody alone."""
    return await user.call("POST", "/createRoom", {**ELEMENT, "invite": list(others), **more})


async def opened(user: User, other: User) -> str:
    answer = await ask(user, other.user_id)
    assert answer.status == 200, answer
    return str(answer.body["room_id"])


async def state_of(user: User, room_id: str) -> dict[tuple[str, str], dict[str, Any]]:
    answer = await user.call("GET", f"/rooms/{quote(room_id)}/state")
    assert answer.status == 200, answer
    events: Any = answer.body  # a list
    return {(event["type"], event["state_key"]): event for event in events}


async def members(user: User, room_id: str) -> dict[str, str]:
    state = await state_of(user, room_id)
    return {key: event["content"]["membership"] for (kind, key), event in state.items() if kind == "m.room.member"}


async def managed(hub: LiveHub, room_id: str) -> dict[str, Any]:
    """The room as the hub shows it, once it is as its charter says."""

    async def look() -> dict[str, Any] | None:
        found = await hub.request(
            "GET", f"{hub.settings.hub.url}/v1/rooms/{quote(room_id, safe='')}", token=hub.admin_token
        )
        return found.body if found.status == 200 and found.body["settled"] else None

    return dict(await until(look))


# --- what one gets


@pytest.mark.parametrize("wish", [ELEMENT, GREEDY], ids=["as clients ask", "as somebody greedy asks"])
async def test_the_room_is_what_the_charter_says_whatever_was_asked_for(live: LiveHub, wish: dict[str, Any]) -> None:
    scene = await live.stage()
    answer = await scene.bob.call("POST", "/createRoom", {**wish, "invite": [scene.host.user_id]})
    assert (answer.status, set(answer.body)) == (200, {"room_id"})
    state = await state_of(scene.bob, answer.body["room_id"])
    create = state["m.room.create", ""]
    assert (create["sender"], create["content"]["room_version"]) == (live.bot, "12")
    assert create["content"].keys() == {"m.federate", "org.conclave.direct", "org.conclave.room", "room_version"}
    content = {kind: event["content"] for (kind, key), event in state.items() if key == ""}
    assert content["m.room.history_visibility"] == {"history_visibility": "joined"}
    assert content["m.room.join_rules"] == {"join_rule": "invite"}
    assert content["m.room.guest_access"] == {"guest_access": "forbidden"}
    assert content["m.room.encryption"]["algorithm"] == "m.megolm.v1.aes-sha2"
    levels = content["m.room.power_levels"]
    assert (levels["users"], levels["users_default"], levels["state_default"], levels["kick"]) == ({}, 0, 100, 100)
    assert not {"m.room.name", "m.room.canonical_alias"} & content.keys()
    everyone = {live.bot: "join", scene.bob.user_id: "join", scene.host.user_id: "join"}
    assert await members(scene.bob, answer.body["room_id"]) == everyone


async def test_both_can_write_at_once_and_the_others_client_knows_that_it_is_direct(live: LiveHub) -> None:
    scene = await live.stage()
    room_id = await opened(scene.bob, scene.host)
    assert [(await user.send_encrypted(room_id)).status for user in (scene.bob, scene.host)] == [200, 200]
    joined = (await state_of(scene.host, room_id))["m.room.member", scene.host.user_id]
    before = joined["unsigned"]
    assert (before["prev_content"]["membership"], before["prev_content"]["is_direct"]) == ("invite", True)
    assert before["prev_sender"] == scene.bob.user_id


async def test_the_hub_manages_it_from_its_first_event_on(live: LiveHub) -> None:
    scene = await live.stage()
    room_id = await opened(scene.bob, scene.host)
    room = await managed(live, room_id)
    assert room["kind"] == "direct"
    assert room["name"].startswith("direct: Person")
    entries = await live.entries(room=room_id)
    first = [entry["kind"] for entry in entries if entry["source"] == "homeserver"][:2]
    assert first == ["room.created", "member.joined"]
    assert {(entry["engagement"], *entry["companies"]) for entry in entries} == {
        (scene.company, *sorted([scene.company, "contoso"]))
    }


async def test_colleagues_at_the_partner_talk_too(live: LiveHub) -> None:
    scene = await live.stage()
    assert (await scene.bob.send_encrypted(await opened(scene.bob, scene.alice))).status == 200


# --- one for two


async def test_whoever_asks_again_gets_the_same_room(live: LiveHub) -> None:
    scene = await live.stage()
    room_id = await opened(scene.bob, scene.host)
    assert await opened(scene.bob, scene.host) == room_id
    assert await opened(scene.host, scene.bob) == room_id
    assert await opened(scene.bob, scene.alice) != room_id


async def test_two_who_ask_at_the_same_moment_meet_in_one_room(live: LiveHub) -> None:
    scene = await live.stage()
    answers = await asyncio.gather(
        *(opened(*pair) for _ in range(3) for pair in ((scene.bob, scene.host), (scene.host, scene.bob)))
    )
    (room_id,) = set(answers)
    assert set((await members(scene.bob, room_id)).values()) == {"join"}
    assert [(await user.send_encrypted(room_id)).status for user in (scene.bob, scene.host)] == [200, 200]


async def test_who_left_is_asked_and_not_fetched(live: LiveHub) -> None:
    scene = await live.stage()
    room_id = await opened(scene.bob, scene.host)
    assert (await scene.host.call("POST", f"/rooms/{quote(room_id)}/leave", {})).status == 200
    await managed(live, room_id)
    assert (await members(scene.bob, room_id))[scene.host.user_id] == "leave"
    assert await opened(scene.bob, scene.host) == room_id
    assert (await members(scene.bob, room_id))[scene.host.user_id] == "invite"
    assert (await scene.host.call("POST", f"/join/{quote(room_id)}", {})).status == 200
    assert (await scene.bob.call("POST", f"/rooms/{quote(room_id)}/leave", {})).status == 200
    assert await opened(scene.bob, scene.host) == room_id, "who asks is back in"
    assert set((await members(scene.bob, room_id)).values()) == {"join"}


async def test_one_invites_the_other_back_as_in_any_chat(live: LiveHub) -> None:
    scene = await live.stage()
    room_id = await opened(scene.bob, scene.host)
    await scene.host.call("POST", f"/rooms/{quote(room_id)}/leave", {})
    path = f"/rooms/{quote(room_id)}/invite"
    assert (await scene.bob.call("POST", path, {"user_id": scene.host.user_id})).status == 200


# --- refused


async def refused(scene: Scene, user: User, answer: Answer, code: str, sentence: str) -> None:
    assert (answer.status, answer.code, answer.body["errcode"]) == (403, code, "M_FORBIDDEN")
    assert answer.error.startswith(f"Conclave: {sentence} ({code}).")

    async def recorded() -> bool:
        found = await scene.hub.entries("guard.refused")
        return any(e["actor"] == {"person": user.person} and e["data"]["code"] == code for e in found)

    await until(recorded)


async def test_people_of_no_common_engagement_and_people_who_do_not_exist_are_the_same(live: LiveHub) -> None:
    scene, other = await live.stage(), await live.stage()
    nobody = f"@{live.fresh('nobody')}.{scene.company}:conclave.test"
    suspended = await live.add_person(scene.company)
    await live.api("POST", f"/v1/people/{suspended.person}/suspend", {"reason": "left"})
    elsewhere = "@somebody:elsewhere.example"
    for user_id in (other.bob.user_id, other.host.user_id, nobody, suspended.user_id, elsewhere, live.bot):
        answer = await ask(scene.bob, user_id)
        sentence = f"no engagement of yours lets you open a direct chat with {user_id}"
        await refused(scene, scene.bob, answer, "DIRECT_NOT_ALLOWED", sentence)


async def test_nobody_talks_to_themselves_or_to_a_colleague_of_the_host(live: LiveHub) -> None:
    scene = await live.stage()
    colleague = await live.add_person("contoso", teams=(scene.team,))
    for user, user_id in ((scene.bob, scene.bob.user_id), (scene.host, colleague.user_id)):
        sentence = f"no engagement of yours lets you open a direct chat with {user_id}"
        await refused(scene, user, await ask(user, user_id), "DIRECT_NOT_ALLOWED", sentence)


async def test_anything_else_is_no_direct_room(live: LiveHub) -> None:
    scene = await live.stage()
    mail = {"medium": "email", "address": "x@x.example", "id_server": "x.example", "id_access_token": "x"}
    other = scene.host.user_id
    for answer in (
        await ask(scene.bob),
        await ask(scene.bob, other, scene.alice.user_id),
        await ask(scene.bob, other, other),
        await ask(scene.bob, other, is_direct=False),
        await ask(scene.bob, "@a\0b:conclave.test"),
        await ask(scene.bob, other, is_direct="yes"),
        await ask(scene.bob, other, invite_3pid=[mail]),
        await scene.bob.call("POST", "/createRoom", {**ELEMENT, "invite": {"user": other}}),
    ):
        await refused(scene, scene.bob, answer, "ROOM_BY_HUB", "rooms are made by the hub, for an engagement")


async def test_a_template_without_direct_rooms_has_none(live: LiveHub) -> None:
    company, team = await live.add_company(), live.fresh("team")
    host, bob = await live.add_person("contoso", teams=(team,)), await live.add_person(company)
    await live.open_partnership(company, team, "supplier")
    answer = await ask(bob, host.user_id)
    assert (answer.status, answer.code) == (403, "DIRECT_NOT_ALLOWED")


async def test_one_who_is_suspended_opens_nothing(live: LiveHub) -> None:
    scene = await live.stage()
    await live.api("POST", f"/v1/people/{scene.bob.person}/suspend", {"reason": "left"})
    answer = await ask(scene.bob, scene.host.user_id)
    assert answer.status != 200, "the session is over, or about to be"
    assert "room_id" not in answer.body


async def test_a_direct_room_admits_no_third_and_no_change(live: LiveHub) -> None:
    scene = await live.stage()
    room_id = await opened(scene.bob, scene.host)
    place = f"/rooms/{quote(room_id)}"
    for answer, code in (
        (await scene.bob.call("POST", f"{place}/invite", {"user_id": scene.alice.user_id}), "PERSON_UNKNOWN"),
        (await scene.bob.call("POST", f"{place}/kick", {"user_id": scene.host.user_id}), "MEMBERSHIP_BY_HUB"),
        (await scene.bob.call("POST", f"{place}/ban", {"user_id": live.bot}), "ACCOUNT_PROTECTED"),
        (await scene.alice.call("POST", f"/join/{quote(room_id)}", {}), "COMPANY_NOT_ADMITTED"),
        (await scene.alice.call("POST", f"/knock/{quote(room_id)}", {}), "KNOCK_CLOSED"),
        (await scene.bob.send(room_id, "m.room.message", {"msgtype": "m.text", "body": "x"}), "PLAINTEXT"),
        (await scene.bob.set_state(room_id, "m.room.name", {"name": "x"}), "STATE_FIXED"),
        (await scene.bob.set_state(room_id, "m.room.power_levels", {"users": {}}), "POWER_FIXED"),
        (await scene.bob.set_state(room_id, "m.room.join_rules", {"join_rule": "public"}), "JOIN_RULES_FIXED"),
    ):
        assert (answer.status, answer.code) == (403, code), answer


# --- the end of it


async def test_it_closes_with_the_partnership_and_is_not_opened_again(live: LiveHub) -> None:
    scene = await live.stage()
    room_id = await opened(scene.bob, scene.host)
    await managed(live, room_id)
    await live.api("POST", f"/v1/partnerships/{scene.company}/close", {"reason": "over"})
    assert (await scene.bob.send_encrypted(room_id)).status == 403

    async def gone() -> bool:
        found = await live.api("GET", f"/v1/rooms/{quote(room_id, safe='')}")
        return bool(found["people"] == [] and not found["open"])

    await until(gone)
    assert (await ask(scene.bob, scene.host.user_id)).code == "DIRECT_NOT_ALLOWED"


async def test_who_is_suspended_is_out_and_may_ask_again_afterwards(live: LiveHub) -> None:
    scene = await live.stage()
    room_id = await opened(scene.bob, scene.host)
    await managed(live, room_id)
    await live.api("POST", f"/v1/people/{scene.bob.person}/suspend", {"reason": "late"})

    async def out() -> bool:
        return (await members(scene.host, room_id))[scene.bob.user_id] == "leave"

    await until(out)
    await live.api("POST", f"/v1/people/{scene.bob.person}/resume")
    scene.bob.token = (await live.login(scene.bob.user_id)).body["access_token"]
    assert await opened(scene.bob, scene.host) == room_id


async def test_who_leaves_the_team_is_out(live: LiveHub) -> None:
    scene = await live.stage()
    room_id = await opened(scene.bob, scene.host)
    await managed(live, room_id)
    await live.api("POST", f"/v1/teams/{scene.team}/leave", {"person": scene.host.person})
    assert (await scene.host.send_encrypted(room_id)).status == 403
    assert (await ask(scene.bob, scene.host.user_id)).code == "DIRECT_NOT_ALLOWED"


# --- creations that were cut short


async def test_a_room_of_which_nothing_but_the_claim_is_there_is_left_alone_for_a_minute(live: LiveHub) -> None:
    scene = await live.stage()
    listed = await live.api("GET", f"/v1/rooms/{quote(scene.rooms['space'], safe='')}")
    key = direct_key(listed["key"], {scene.bob.user_id: "", scene.host.user_id: ""})
    await claim(live, key, "!gone")
    answer = await ask(scene.bob, scene.host.user_id)
    await refused(scene, scene.bob, answer, "ROOM_EXISTS", "this direct room is being made; try again in a minute")
    await claim(live, key, "!gone", at=0)
    assert (await scene.bob.send_encrypted(await opened(scene.bob, scene.host))).status == 200


async def claim(live: LiveHub, key: str, room_id: str, at: int = 9_000_000_000_000) -> None:
    """Bind a charter to a room in Synapse's own database, as a guard that died after it would have left it."""
    with sqlite3.connect(live.state.homeserver / "homeserver.db", timeout=20) as connection:
        connection.execute("DELETE FROM conclave_room WHERE key = ?", (key,))
        connection.execute("INSERT INTO conclave_room (key, room_id, claimed_at) VALUES (?, ?, ?)", (key, room_id, at))
