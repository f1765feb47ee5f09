"""What members try through the plain client-server API, against a real Synapse: refused, in words, and recorded."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import pytest

from tests.live import Answer, LiveHub, Scene, until

Act = Callable[[Scene], Awaitable[Answer]]

FORBIDDEN: dict[str, tuple[str, str, Act]] = {
    "make a room": (
        "ROOM_BY_HUB",
        "rooms are made by the hub, for an engagement",
        lambda s: s.bob.call("POST", "/createRoom", {"name": "mine"}),
    ),
    "invite a stranger": (
        "PERSON_UNKNOWN",
        "@mallory:evil.example is not enrolled in this hub",
        lambda s: s.bob.call("POST", f"/rooms/{quote(s.room)}/invite", {"user_id": "@mallory:evil.example"}),
    ),
    "invite a local stranger": (
        "PERSON_UNKNOWN",
        "@nobody:conclave.test is not enrolled in this hub",
        lambda s: s.bob.call("POST", f"/rooms/{quote(s.room)}/invite", {"user_id": "@nobody:conclave.test"}),
    ),
    "invite a member": (
        "INVITE_BY_HUB",
        "is added by the hub, without an invitation",
        lambda s: s.bob.call("POST", f"/rooms/{quote(s.room)}/invite", {"user_id": s.host.user_id}),
    ),
    "write in the clear": (
        "PLAINTEXT",
        "this room carries encrypted messages only",
        lambda s: s.bob.send(s.room, "m.room.message", {"msgtype": "m.text", "body": "secret"}),
    ),
    "an unknown type in the clear": (
        "PLAINTEXT",
        "this room carries encrypted messages only",
        lambda s: s.bob.send(s.room, "com.example.note", {"body": "secret"}),
    ),
    "clear text beside a ciphertext": (
        "PLAINTEXT",
        "this room carries encrypted messages only",
        lambda s: s.bob.send(
            s.room,
            "m.room.encrypted",
            {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "y", "body": "secret"},
        ),
    ),
    "another algorithm": (
        "PLAINTEXT",
        "this room carries encrypted messages only",
        lambda s: s.bob.send(s.room, "m.room.encrypted", {"algorithm": "rot13", "ciphertext": "x", "session_id": "y"}),
    ),
    "a reaction with a novel in it": (
        "PLAINTEXT",
        "this room carries encrypted messages only",
        lambda s: s.bob.send(
            s.room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$x", "key": "n" * 65}}
        ),
    ),
    "talk in the Space": (
        "SPACE_QUIET",
        "a Space carries no conversation",
        lambda s: s.bob.send_encrypted(s.rooms["space"]),
    ),
    "open the history": (
        "HISTORY_FIXED",
        "m.room.history_visibility is fixed by the charter of this room",
        lambda s: s.bob.set_state(s.room, "m.room.history_visibility", {"history_visibility": "world_readable"}),
    ),
    "open the door": (
        "JOIN_RULES_FIXED",
        "m.room.join_rules is fixed by the charter of this room",
        lambda s: s.bob.set_state(s.room, "m.room.join_rules", {"join_rule": "public"}),
    ),
    "let guests in": (
        "JOIN_RULES_FIXED",
        "m.room.guest_access is fixed by the charter of this room",
        lambda s: s.bob.set_state(s.room, "m.room.guest_access", {"guest_access": "can_join"}),
    ),
    "take power": (
        "POWER_FIXED",
        "m.room.power_levels is fixed by the charter of this room",
        lambda s: s.bob.set_state(s.room, "m.room.power_levels", {"users": {s.bob.user_id: 100}}),
    ),
    "weaken the encryption": (
        "ENCRYPTION_FIXED",
        "m.room.encryption is fixed by the charter of this room",
        lambda s: s.bob.set_state(s.room, "m.room.encryption", {"algorithm": "none"}),
    ),
    "shut servers out": (
        "SERVER_ACL_FIXED",
        "m.room.server_acl is fixed by the charter of this room",
        lambda s: s.bob.set_state(s.room, "m.room.server_acl", {"deny": ["*"]}),
    ),
    "replace the room": (
        "UPGRADE_BY_HUB",
        "m.room.tombstone is fixed by the charter of this room",
        lambda s: s.bob.set_state(s.room, "m.room.tombstone", {"body": "moved", "replacement_room": "!x"}),
    ),
    "rename the room": (
        "STATE_FIXED",
        "m.room.name is fixed by the charter of this room",
        lambda s: s.bob.set_state(s.room, "m.room.name", {"name": "Bob's"}),
    ),
    "somebody else's call": (
        "STATE_FIXED",
        "is fixed by the charter of this room",
        lambda s: s.bob.set_state(s.room, "org.matrix.msc3401.call.member", {}, s.alice.user_id),
    ),
    "remove the hub": (
        "ACCOUNT_PROTECTED",
        "belongs to the hub and stays as it is",
        lambda s: s.bob.call("POST", f"/rooms/{quote(s.room)}/kick", {"user_id": s.hub.bot}),
    ),
    "ban the hub": (
        "ACCOUNT_PROTECTED",
        "belongs to the hub and stays as it is",
        lambda s: s.bob.call("POST", f"/rooms/{quote(s.room)}/ban", {"user_id": s.hub.bot}),
    ),
    "remove a colleague": (
        "MEMBERSHIP_BY_HUB",
        "people are removed by the hub",
        lambda s: s.bob.call("POST", f"/rooms/{quote(s.room)}/kick", {"user_id": s.alice.user_id}),
    ),
    "ban a colleague": (
        "MEMBERSHIP_BY_HUB",
        "people are removed by the hub",
        lambda s: s.bob.call("POST", f"/rooms/{quote(s.room)}/ban", {"user_id": s.alice.user_id}),
    ),
}


@pytest.fixture(scope="module")
async def scene(live: LiveHub) -> Scene:
    return await live.stage()


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_a_member_is_refused_in_words_and_it_is_recorded(scene: Scene, name: str) -> None:
    code, sentence, act = FORBIDDEN[name]
    answer = await act(scene)
    assert (answer.status, answer.code, answer.body["errcode"]) == (403, code, "M_FORBIDDEN")
    assert answer.error.startswith("Conclave: ")
    assert sentence in answer.error
    assert f"({code})" in answer.error

    async def recorded() -> bool:
        refusals = await scene.hub.entries("guard.refused")
        return any(e["actor"] == {"person": scene.bob.person} and e["data"]["code"] == code for e in refusals)

    await until(recorded)


async def test_whom_to_ask_is_said_where_asking_helps(scene: Scene) -> None:
    answer = await scene.bob.call("POST", f"/rooms/{quote(scene.room)}/invite", {"user_id": "@mallory:evil.example"})
    assert answer.error.endswith("(PERSON_UNKNOWN). Ask Dana Fox (Contoso Manufacturing).")
    answer = await scene.bob.send(scene.room, "m.room.message", {"msgtype": "m.text", "body": "x"})
    assert answer.error.endswith("(PLAINTEXT).")


async def test_a_stranger_gets_in_nowhere(live: LiveHub, scene: Scene) -> None:
    outsider = await live.add_person(await live.add_company())
    for room_id in scene.rooms.values():
        joined = await outsider.call("POST", f"/join/{quote(room_id)}", {})
        assert (joined.status, joined.code) == (403, "COMPANY_NOT_ADMITTED")
        knocked = await outsider.call("POST", f"/knock/{quote(room_id)}", {})
        assert (knocked.status, knocked.code) == (403, "KNOCK_CLOSED")
        assert (await outsider.call("GET", f"/rooms/{quote(room_id)}/state")).status == 403
        assert (await outsider.send_encrypted(room_id)).status == 403


async def test_members_do_what_members_do(scene: Scene) -> None:
    sent = await scene.bob.send_encrypted(scene.room)
    assert sent.status == 200
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": sent.body["event_id"], "key": "👍"}}
    assert (await scene.alice.send(scene.room, "m.reaction", reaction)).status == 200
    redact = f"/rooms/{quote(scene.room)}/redact/{quote(sent.body['event_id'])}/r1"
    assert (await scene.bob.call("PUT", redact, {})).status == 200
    call = await scene.bob.set_state(scene.room, "org.matrix.msc3401.call.member", {}, scene.bob.user_id)
    assert call.status == 200


async def test_a_flood_of_refusals_is_counted_not_dropped(live: LiveHub) -> None:
    scene = await live.stage()
    for _ in range(30):
        assert (await scene.bob.send(scene.room, "m.room.message", {"msgtype": "m.text", "body": "x"})).status == 403

    async def rows() -> list[dict[str, object]]:
        found = await live.entries("guard.refused")
        return [e for e in found if e["actor"] == {"person": scene.bob.person} and e["room"] == scene.room]

    first = await until(rows)
    assert len(first) <= 2, "a minute's flood is one entry at once, and one when the minute is over"


async def test_registration_is_closed_and_unknown_accounts_cannot_sign_in(live: LiveHub) -> None:
    url = f"{live.homeserver_url}/_matrix/client/v3/register"
    assert (await live.request("POST", url, {"username": "x", "password": "y" * 12})).status == 403
    user_id = f"@ghost:{live.settings.homeserver.name}"
    await live.hub.services.homeserver.create_account(user_id, "correct horse battery", "Ghost")
    answer = await live.login(user_id)
    assert (answer.status, answer.code) == (403, "PERSON_UNKNOWN")


async def test_the_guard_answers_the_hub_only(live: LiveHub) -> None:
    for method, path in (("PUT", "documents"), ("GET", "rooms?key=x"), ("GET", "status"), ("POST", "status")):
        url = f"{live.homeserver_url}/_synapse/conclave/v1/{path}"
        assert (await live.request(method, url, {}, token="wrong")).status == 403
        assert (await live.request(method, url, {})).status == 403
