"""A partner with a homeserver of its own, by two real Synapses: what works, and what its administrator cannot do."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from spaces.gateway import SignedDocument
from spaces.policy.documents import document_of
from spaces.policy.records import Standing
from spaces.store import DocumentStore
from tests.federated import RemoteUser
from tests.federation.conftest import Partnership
from tests.forger import event_id
from tests.live import Answer, until

pytestmark = [pytest.mark.synapse, pytest.mark.long]

CRASH = "crash"
"""The file beside the hub's tokens that names the rule of the guard that is to crash."""
UNTOUCHED = "Support"
"""A room that nobody of the partner enters before the test that needs it so."""


async def refused(partnership: Partnership, code: str, actor: RemoteUser | str, room_id: str | None = None) -> None:
    """Return when the ledger has a refusal with this code."""
    who = actor if isinstance(actor, str) else actor.user_id
    hub = partnership.pair.hub
    people = (await hub.api("GET", f"/v1/people?company={partnership.company}"))["items"]
    person = next((one["id"] for one in people if one["user_id"] == who), None)

    async def look() -> bool:
        return any(
            entry["data"]["code"] == code
            and entry["actor"] in ({"person": person}, {"user": who})
            and room_id in (None, entry.get("room", entry["data"].get("place")))
            for entry in await hub.entries("guard.refused")
        )

    await until(look)


async def inside(partnership: Partnership) -> str:
    """The room in which Bob of the partner's server is, as he likes."""
    await enter(partnership, partnership.bob, partnership.room)
    return partnership.room


async def enter(partnership: Partnership, user: RemoteUser, room_id: str) -> None:
    """Accept the invitation. It is there a moment before the hub's server knows that it sent it."""

    async def joined() -> bool:
        await user.join(room_id)
        return (await members(partnership, room_id)).get(user.user_id) == "join"

    await until(joined)


async def members(partnership: Partnership, room_id: str) -> dict[str, str]:
    """The memberships that the hub's homeserver has of the room."""
    found = await partnership.host.call("GET", f"/rooms/{quote(room_id)}/members")
    return {event["state_key"]: event["content"]["membership"] for event in found.body["chunk"]}


async def at_the_end(user: RemoteUser, room_id: str) -> dict[str, Any]:
    """What a forged event of ``user`` is tied to: the end of the room, and what entitles him."""
    last = await user.call("GET", f"/rooms/{quote(room_id)}/messages?dir=b&limit=1")
    state = await user.state(room_id)
    entitling = [("m.room.power_levels", ""), ("m.room.member", user.user_id)]
    return {
        "prev_events": [last.body["chunk"][0]["event_id"]],
        "auth_events": [state[key]["event_id"] for key in entitling if key in state],
        "origin_server_ts": last.body["chunk"][0]["origin_server_ts"] + 1,
    }


async def sees(partnership: Partnership, room_id: str, event: str) -> bool:
    """Whether the host's person can get an event."""
    return (await partnership.host.call("GET", f"/rooms/{quote(room_id)}/event/{quote(event)}")).status == 200


async def test_a_person_shut_out_after_the_invitation_gets_nothing_of_the_room(partnership: Partnership) -> None:
    """The guard alone refuses: the hub's database does not know, so that nobody takes the invitation back.

    Neither in order nor with an event that her server was helped to make while she still might have come.
    """
    hub, carol, room_id = partnership.pair.hub, partnership.carol, partnership.rooms[UNTOUCHED]
    await carol.invited(room_id)
    services, signer = hub.hub.services, hub.hub.keys.document
    async with services.db.read() as connection:
        stored = (await DocumentStore(connection).people([carol.user_id]))[carol.user_id]
        now = services.clock()
    forger, place = partnership.pair.partner.forger, f"{quote(room_id)}/{quote(carol.user_id)}"
    made = (await forger.call("GET", f"/_matrix/federation/v1/make_join/{place}?ver=12")).body["event"]
    tied = {name: made[name] for name in ("prev_events", "auth_events", "origin_server_ts", "depth")}
    kept = forger.event(
        room_id, carol.user_id, "m.room.member", {"membership": "join"}, state_key=carol.user_id, **tied
    )
    for version, standing in enumerate((Standing.SUSPENDED, Standing.ACTIVE), start=now):
        document = document_of(replace(stored, standing=standing), version)
        signed = SignedDocument(document=document, signature=signer.sign(document.signed_bytes()))
        await services.homeserver.put_documents([signed])
        answer = await carol.join(room_id)
        if standing is Standing.SUSPENDED:
            assert (answer.status, "PERSON_SUSPENDED" in answer.error) == (403, True), answer
            path = f"/_matrix/federation/v2/send_join/{quote(room_id)}/{quote(event_id(kept))}"
            sent = await forger.call("PUT", path, kept)
            assert (sent.status, sent.code, "state" in sent.body) == (403, "PERSON_SUSPENDED", False), sent
            assert (await members(partnership, room_id))[carol.user_id] == "invite"
            await refused(partnership, "PERSON_SUSPENDED", carol, room_id)
        else:
            assert answer.status == 200, answer


async def test_people_of_a_partners_server_accept_their_invitations_and_talk(partnership: Partnership) -> None:
    room_id, bob, hub = await inside(partnership), partnership.bob, partnership.pair.hub
    said = (await partnership.host.send_encrypted(room_id)).body["event_id"]

    async def arrived() -> bool:
        return await bob.sees(room_id, said)

    await until(arrived)
    answered = (await bob.send_encrypted(room_id)).body["event_id"]

    async def recorded() -> dict[str, Any] | None:
        entries = await hub.entries("message.sent", room_id)
        return next((entry for entry in entries if entry["data"]["event_id"] == answered), None)

    entry = await until(recorded)
    assert entry["actor"].keys() == {"person"}
    assert entry["engagement"] == partnership.company
    assert await sees(partnership, room_id, answered)


async def test_only_rooms_with_the_partner_are_open_to_its_server_and_to_no_other(partnership: Partnership) -> None:
    hub, found = partnership.pair.hub, {}
    for name, room_id in partnership.rooms.items():
        answer = await partnership.host.call("GET", f"/rooms/{quote(room_id)}/state")
        states: Any = answer.body
        state = {event["type"]: event["content"] for event in states}
        found[name] = state["m.room.create"]["m.federate"]
        own = hub.settings.homeserver.name
        assert state["m.room.server_acl"] == {
            "allow": [own.partition(":")[0], own, "partner.test"],
            "deny": [],
            "allow_ip_literals": False,
        }
    assert set(found.values()) == {True}
    other = await hub.add_company()
    rooms = await hub.open_partnership(other, "north")
    create = await partnership.host.call("GET", f"/rooms/{quote(rooms['Deals'])}/state/m.room.create/")
    assert create.body["m.federate"] is False


async def test_plaintext_of_a_partners_server_is_shown_to_nobody(partnership: Partnership) -> None:
    room_id, bob = await inside(partnership), partnership.bob
    clear = await bob.send(room_id, "m.room.message", {"msgtype": "m.text", "body": "a secret"})
    assert clear.status == 200, "their own server takes it"
    await refused(partnership, "PLAINTEXT", bob, room_id)
    sealed = (await bob.send_encrypted(room_id)).body["event_id"]

    async def arrived() -> bool:
        return await sees(partnership, room_id, sealed)

    await until(arrived)  # what follows a refused event is not lost
    assert not await sees(partnership, room_id, clear.body["event_id"])

    async def recorded() -> list[str]:
        entries = await partnership.pair.hub.entries(None, room_id)
        return [entry["kind"] for entry in entries if entry["data"].get("event_id") == clear.body["event_id"]]

    assert await until(recorded) == ["event.refused"]


FORGED: dict[str, tuple[str, dict[str, Any], str]] = {
    "power": ("m.room.power_levels", {"users_default": 100}, "POWER_FIXED"),
    "another server": ("m.room.server_acl", {"allow": ["*"]}, "SERVER_ACL_FIXED"),
    "the history": ("m.room.history_visibility", {"history_visibility": "world_readable"}, "HISTORY_FIXED"),
    "the door": ("m.room.join_rules", {"join_rule": "public"}, "JOIN_RULES_FIXED"),
    "the name": ("m.room.name", {"name": "Ours"}, "STATE_FIXED"),
}


@pytest.mark.parametrize("name", FORGED)
async def test_state_that_a_partners_server_makes_changes_nothing(partnership: Partnership, name: str) -> None:
    room_id, bob = await inside(partnership), partnership.bob
    event_type, content, code = FORGED[name]
    before = await partnership.host.call("GET", f"/rooms/{quote(room_id)}/state/{event_type}/")
    tied = await at_the_end(bob, room_id)
    forger = partnership.pair.partner.forger
    event = forger.event(room_id, bob.user_id, event_type, content, state_key="", **tied)
    assert set(await forger.push(event)) == {event_id(event)}
    await refused(partnership, code, bob, room_id)
    after = await partnership.host.call("GET", f"/rooms/{quote(room_id)}/state/{event_type}/")
    assert (before.status, after.body) == (200, before.body)


async def test_a_partners_server_takes_back_no_state_of_a_room(partnership: Partnership) -> None:
    """Nobody gets the event; he stays a member."""
    room_id, bob = await inside(partnership), partnership.bob
    own = (await bob.state(room_id))["m.room.member", bob.user_id]["event_id"]
    answer = await bob.call("PUT", f"/rooms/{quote(room_id)}/redact/{quote(own)}/state", {})
    assert answer.status == 200, "their own server takes it"
    await refused(partnership, "STATE_FIXED", bob, room_id)
    assert (await members(partnership, room_id))[bob.user_id] == "join"
    assert not await sees(partnership, room_id, answer.body["event_id"])


async def test_an_account_of_the_partners_server_that_is_not_enrolled_gets_in_nowhere(partnership: Partnership) -> None:
    room_id, partner = await inside(partnership), partnership.pair.partner
    dave = await partner.add_user("dave")
    assert (await dave.join(room_id)).status == 403
    made = await partner.forger.call("GET", f"/_matrix/federation/v1/make_join/{quote(room_id)}/{dave.user_id}?ver=12")
    assert made.status == 403, made
    tied = await at_the_end(partnership.bob, room_id)
    state = await partnership.bob.state(room_id)
    tied["auth_events"] = [state[kind, ""]["event_id"] for kind in ("m.room.power_levels", "m.room.join_rules")]
    join = {"membership": "join"}
    event = partner.forger.event(room_id, dave.user_id, "m.room.member", join, state_key=dave.user_id, **tied)
    await partner.forger.push(event)
    await refused(partnership, "PERSON_UNKNOWN", dave, room_id)
    sent = await partner.forger.call(
        "PUT", f"/_matrix/federation/v2/send_join/{quote(room_id)}/{quote(event_id(event))}", event
    )
    assert (sent.status, "state" in sent.body) == (403, False)
    assert dave.user_id not in await members(partnership, room_id)


async def test_a_member_elsewhere_invites_nobody(partnership: Partnership) -> None:
    """Not a colleague into a room of the hub; and nobody of the hub into a room over there."""
    room_id, bob, partner = await inside(partnership), partnership.bob, partnership.pair.partner
    erin = f"@erin:{partner.name}"
    invite = {"membership": "invite"}
    tied = await at_the_end(bob, room_id)
    await partner.forger.push(
        partner.forger.event(room_id, bob.user_id, "m.room.member", invite, state_key=erin, **tied)
    )
    await refused(partnership, "INVITE_BY_HUB", bob, room_id)
    assert erin not in await members(partnership, room_id)
    elsewhere = (await bob.call("POST", "/createRoom", {"preset": "private_chat"})).body["room_id"]
    answer = await bob.call("POST", f"/rooms/{quote(elsewhere)}/invite", {"user_id": partnership.host.user_id})
    assert answer.status == 403, answer
    await refused(partnership, "INVITE_BY_HUB", bob, elsewhere)
    synced = await partnership.host.call("GET", "/sync?timeout=0")
    assert elsewhere not in synced.body.get("rooms", {}).get("invite", {})


async def test_nobody_of_the_hub_enters_a_room_elsewhere(partnership: Partnership) -> None:
    bob, host = partnership.bob, partnership.host
    room_id = (await bob.call("POST", "/createRoom", {"preset": "public_chat"})).body["room_id"]
    via = quote(partnership.pair.partner.name)
    answer = await host.call("POST", f"/join/{quote(room_id)}?via={via}&server_name={via}", {})
    assert (answer.status, answer.code) == (403, "CHARTER_MISSING"), answer
    assert host.user_id not in {key for kind, key in await bob.state(room_id) if kind == "m.room.member"}


async def test_a_server_that_the_operator_did_not_name_is_no_one(partnership: Partnership) -> None:
    room_id, forger = await inside(partnership), partnership.pair.partner.forger
    path = f"/_matrix/federation/v1/make_join/{quote(room_id)}/{quote('@x:other.test')}?ver=12"
    answer = await forger.call("GET", path, origin="other.test")
    assert (answer.status, answer.body["errcode"]) == (403, "M_FORBIDDEN"), answer
    assert "not federating with other.test" in answer.error.lower() or "denied" in answer.error.lower()


async def test_a_partners_server_speaks_for_its_own_people_only(partnership: Partnership) -> None:
    room_id, forger = await inside(partnership), partnership.pair.partner.forger
    for sender in (partnership.host.user_id, "@x:other.test"):
        tied = await at_the_end(partnership.bob, room_id)
        content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s"}
        event = forger.event(room_id, sender, "m.room.encrypted", content, **tied)
        said = await forger.push(event)
        assert "error" in said[event_id(event)], said
        assert not await sees(partnership, room_id, event_id(event))


async def test_knocking_from_elsewhere_is_refused(partnership: Partnership) -> None:
    room_id, partner = await inside(partnership), partnership.pair.partner
    for user_id in (f"@frank:{partner.name}", partnership.carol.user_id):
        path = f"/_matrix/federation/v1/make_knock/{quote(room_id)}/{quote(user_id)}?ver=12"
        answer = await partner.forger.call("GET", path)
        assert answer.status == 403, answer
        assert answer.code == "KNOCK_CLOSED"


async def test_what_else_a_partners_server_may_ask_for_is_closed(partnership: Partnership) -> None:
    forger, host = partnership.pair.partner.forger, quote(partnership.host.user_id)
    for path in (f"query/profile?user_id={host}", "publicRooms"):
        answer = await forger.call("GET", f"/_matrix/federation/v1/{path}")
        assert answer.status in (403, 404), (path, answer)


async def test_a_person_who_is_suspended_leaves_every_room(partnership: Partnership) -> None:
    hub, carol, room_id = partnership.pair.hub, partnership.carol, await inside(partnership)
    await hub.api("POST", f"/v1/people/{quote(carol.user_id)}/suspend", {"reason": "a test"})
    await carol.join(room_id)  # her own server, where a colleague is in the room already, takes it; the hub's does not

    async def out() -> bool:
        found = [await members(partnership, room) for room in partnership.rooms.values()]
        return all(room.get(carol.user_id) == "leave" for room in found)

    await until(out)
    await hub.api("POST", f"/v1/people/{quote(carol.user_id)}/resume")
    await carol.invited(room_id)


async def test_suspending_the_company_cuts_its_server_off(partnership: Partnership) -> None:
    hub, bob, forger = partnership.pair.hub, partnership.bob, partnership.pair.partner.forger
    room_id = await inside(partnership)
    tied = await at_the_end(bob, room_id)
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s"}
    await hub.api("POST", f"/v1/companies/{partnership.company}/suspend", {"reason": "a test"})
    own = hub.settings.homeserver.name

    async def acl() -> list[str]:
        answer: Answer = await partnership.host.call("GET", f"/rooms/{quote(room_id)}/state/m.room.server_acl/")
        allowed: list[str] = answer.body["allow"]
        return allowed

    async def cut_off() -> bool:
        left = [membership for user, membership in (await members(partnership, room_id)).items() if bob.user_id == user]
        return left == ["leave"] and await acl() == [own.partition(":")[0], own]

    await until(cut_off)
    event = forger.event(room_id, bob.user_id, "m.room.encrypted", content, **tied)
    said = await forger.push(event)
    assert said[event_id(event)]["error"] == "Server is banned from room"
    for path in (f"make_join/{quote(room_id)}/{bob.user_id}?ver=12", f"backfill/{quote(room_id)}?v=x&limit=10"):
        assert (await forger.call("GET", f"/_matrix/federation/v1/{path}")).status == 403
    await hub.api("POST", f"/v1/companies/{partnership.company}/resume")
    await enter(partnership, bob, room_id)
    assert (await acl())[-1] == "partner.test"


async def test_a_rule_about_servers_that_crashes_refuses_and_it_is_an_entry(partnership: Partnership) -> None:
    room, hub, bob = await inside(partnership), partnership.pair.hub, partnership.bob
    place = hub.state.tokens / CRASH
    place.write_text("refuse_server")
    try:
        sent = await bob.send_encrypted(room, "while the rule crashes")
        assert sent.status == 200, "their own server took it"

        async def recorded() -> bool:
            return any(entry["data"]["act"] == "m.room.encrypted" for entry in await hub.entries("guard.crashed"))

        await until(recorded)
    finally:
        place.unlink()
    assert not await sees(partnership, room, sent.body["event_id"])
    sent = await bob.send_encrypted(room, "afterwards")
    await until(lambda: sees(partnership, room, sent.body["event_id"]))
