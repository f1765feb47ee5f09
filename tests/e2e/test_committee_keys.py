"""Keys of a committee: asked for, backed up, sent to the wrong people, with real clients that share what they may.

At the homeserver itself, where a request arrives, and through the shipped proxy, where it does not.
"""

import json
from typing import Any
from urllib.parse import quote

import pytest
from nio.crypto import InboundGroupSession

from bridge.demo.people import Reader
from tests.e2e.told import LOOKS, V3, Told, call
from tests.helper.conversation import helper_of, signed_in
from tests.live import Answer, User

pytestmark = pytest.mark.long

BACKUP = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "x" * 43}}


def session_of(reader: Reader, room: str) -> InboundGroupSession:
    """A session whose key a client has; an attacker may know its id."""
    return next(session for session in reader.client.olm.inbound_group_store if session.room_id == room)


def at_client(told: Told, reader: Reader) -> User:
    """The same session as a client's, on the plain API."""
    return User(told.committee.live, reader.user_id, reader.name, reader.client.access_token)


async def send(sender: User, base: str, kind: str, content: dict[str, Any], *people: str) -> Answer:
    """A message between devices, to every device of ``people``."""
    messages = {"messages": {person: {"*": content} for person in people}}
    return await call(sender, base, "PUT", f"{V3}/sendToDevice/{kind}/x{next(LOOKS)}", messages)


async def ask_for_key(told: Told, base: str, reader: Reader, session: InboundGroupSession, *people: str) -> str:
    """``m.room_key_request``, as a client sends it that lacks a key; the request's id."""
    body = {
        "algorithm": "m.megolm.v1.aes-sha2",
        "room_id": session.room_id,
        "sender_key": session.sender_key,
        "session_id": session.id,
    }
    request = {
        "action": "request",
        "body": body,
        "request_id": f"request{next(LOOKS)}",
        "requesting_device_id": reader.client.device_id,
    }
    answer = await send(at_client(told, reader), base, "m.room_key_request", request, *people)
    assert answer.status == 200
    return str(request["request_id"])


async def answered(told: Told, *readers: Reader) -> set[str]:
    """Sync and let each client answer as clients do; the ids of the requests for keys that reached one."""
    heard = set()
    for reader in readers:
        olm = reader.client.olm
        collect, seen = olm.collect_key_requests, set[str]()

        def collecting(collect: Any = collect, olm: Any = olm, seen: set[str] = seen) -> Any:
            seen.update(olm.received_key_requests)
            return collect()

        olm.collect_key_requests = collecting
        for _ in range(3):  # nio answers after a sync with something in it
            await send(at_client(told, reader), told.committee.live.homeserver_url, "x.tick", {}, reader.user_id)
            await reader.client.sync(timeout=next(LOOKS))
            if reader.client.should_query_keys:
                await reader.client.keys_query()
            if reader.client.should_claim_keys:
                await reader.client.keys_claim(reader.client.get_users_for_key_claiming())
            await reader.client.send_to_device_messages()
        olm.collect_key_requests = collect
        heard |= seen
    return heard


async def test_nobodys_client_gives_a_key_on_request(told: Told, base: str) -> None:
    """To the buyers' clients, who once compared keys with the vendor's, and to the helper."""
    vendor, buyers = told.readers["vendor"], [told.readers["chair"], told.readers["buyer"]]
    for reader in buyers:
        for device in reader.client.device_store.active_user_devices(vendor.user_id):
            reader.client.verify_device(device)
    people = [*(reader.user_id for reader in buyers), helper_of(told.committee.live)]
    session = session_of(told.readers["buyer"], told.rooms["deliberation"])
    request = await ask_for_key(told, base, vendor, session, *people)
    heard = await answered(told, *buyers)
    assert (request in heard) is (base == told.committee.live.homeserver_url), "the proxy drops it"
    await answered(told, vendor)
    keys = {known.room_id for known in vendor.client.olm.inbound_group_store}
    assert keys & set(told.rooms.values()) == {told.rooms["own"]}


async def test_a_client_gives_keys_to_its_owners_verified_devices(told: Told, tmp_path: Any) -> None:
    """So that the silence above is not that of a client which answers nobody."""
    buyer = told.readers["buyer"]
    session = session_of(buyer, told.rooms["deliberation"])
    async with signed_in(told.committee.live, told.committee.buyers[1], tmp_path / "desk") as desk:
        await desk.sync()
        await answered(told, buyer)
        devices = buyer.client.device_store.active_user_devices(buyer.user_id)
        (own,) = [device for device in devices if device.id == desk.client.device_id]
        buyer.client.verify_device(own)
        lacking = {known.id for known in desk.client.olm.inbound_group_store}
        assert session.id not in lacking
        request = await ask_for_key(told, told.committee.live.homeserver_url, desk, session, buyer.user_id)
        assert request in await answered(told, buyer)
        synced = await at_client(told, desk).call("GET", f"/sync?timeout={next(LOOKS)}")
        kinds = [event["type"] for event in synced.body["to_device"]["events"]]
        assert "m.room.encrypted" in kinds, "the forwarded key"


async def test_a_message_between_devices_does_not_follow_a_vendor_out(told: Told, base: str) -> None:
    """Through the proxy nothing gets from buyers to who was put out, nor back; without it, as docs/silence.md says."""
    through = base == told.committee.live.homeserver_url
    for sender, receiver in ((told.chair, told.vendor), (told.vendor, told.chair), (told.vendor, told.committee.rival)):
        mark = f"mark{next(LOOKS)}"
        await send(sender, base, "m.room.encrypted", {"algorithm": mark}, receiver.user_id)
        synced = (await receiver.call("GET", f"/sync?timeout={next(LOOKS)}")).body
        heard = [event["content"].get("algorithm") for event in synced.get("to_device", {}).get("events", [])]
        assert (mark in heard) is through, (sender.user_id, receiver.user_id)


async def test_backups_are_each_ones_own(told: Told, base: str) -> None:
    """A buyer backs up keys to the homeserver; a vendor finds no version and no key of it, and in its own the old."""
    session, room = session_of(told.readers["buyer"], told.rooms["deliberation"]), told.rooms["deliberation"]
    backups = {}
    for who, user, kept in (
        ("chair", told.chair, {room: {session.id: "of the deliberation"}}),
        ("vendor", told.vendor, {told.rooms["own"]: {"old": "of the pitch"}}),
    ):
        backups[who] = (await user.call("POST", "/room_keys/version", BACKUP)).body["version"]
        keys = {
            name: {"sessions": {one: _backed_up(text) for one, text in sessions.items()}}
            for name, sessions in kept.items()
        }
        stored = await user.call("PUT", f"/room_keys/keys?version={backups[who]}", {"rooms": keys})
        assert stored.status == 200, stored
    found = await call(told.chair, base, "GET", f"{V3}/room_keys/keys?version={backups['chair']}")
    assert "of the deliberation" in json.dumps(found.body)
    where = f"{quote(room)}/{quote(session.id, safe='')}"
    for path in ("keys", f"keys/{quote(room)}", f"keys/{where}"):
        for version in {*backups.values(), "1", "2", "0"}:
            answer = await call(told.vendor, base, "GET", f"{V3}/room_keys/{path}?version={version}")
            told_of = json.dumps(answer.body)
            assert "of the deliberation" not in told_of, (path, version)
            assert not told.learns(answer), (path, version)
    own = await call(told.vendor, base, "GET", f"{V3}/room_keys/version")
    assert own.body["version"] == backups["vendor"]
    assert own.body["count"] == 1


def _backed_up(text: str) -> dict[str, Any]:
    data = {"ephemeral": "x", "ciphertext": text, "mac": "x"}
    return {"first_message_index": 0, "forwarded_count": 0, "is_verified": True, "session_data": data}
