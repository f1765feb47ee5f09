"""Who can be encrypted to: the helper's one cross-signed device; never the hub's own account."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bridge.helper.machine import Machine, NoKeyError
from bridge.helper.store import HelperStore, MailKind
from tests.helper.conversation import check, helper_of, metric, signed_in
from tests.live import LiveHub, User, until


async def keys_of(user: User, user_id: str) -> dict[str, Any]:
    """What the homeserver tells ``user`` of the keys of ``user_id``."""
    return (await user.call("POST", "/keys/query", {"device_keys": {user_id: []}})).body


def verify(signed: dict[str, Any], user_id: str, public: str) -> None:
    """The specification's "Checking for a signature", by hand; raises when it does not hold."""
    signature = signed["signatures"][user_id][f"ed25519:{public}"]
    bare = {name: value for name, value in signed.items() if name not in ("signatures", "unsigned")}
    message = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public + "="))
    key.verify(base64.b64decode(signature + "=="), message)


async def test_the_helper_has_one_device_that_its_owner_has_signed(live: LiveHub) -> None:
    bob, helper = await live.add_person(await live.add_company()), helper_of(live)
    await live.chat_of(bob)
    found = await keys_of(bob, helper)
    ((device_id, device),) = found["device_keys"][helper].items()
    (master,) = found["master_keys"][helper]["keys"].values()
    (self_signing,) = found["self_signing_keys"][helper]["keys"].values()
    verify(found["self_signing_keys"][helper], helper, master)
    verify(device, helper, self_signing)
    identity = device["keys"][f"ed25519:{device_id}"]
    own = {
        **device,
        "signatures": {helper: {f"ed25519:{identity}": device["signatures"][helper][f"ed25519:{device_id}"]}},
    }
    verify(own, helper, identity)
    with pytest.raises(InvalidSignature):
        verify({**device, "algorithms": []}, helper, self_signing)


async def test_the_helper_has_one_time_keys_and_gets_new_ones(live: LiveHub) -> None:
    """Fifty are there; more than half of them are claimed by somebody, and the next event brings new ones."""
    bob, helper = await live.add_person(await live.add_company()), helper_of(live)
    room_id = await live.chat_of(bob)
    (device_id,) = (await keys_of(bob, helper))["device_keys"][helper]
    url = f"{live.homeserver_url}/_matrix/client/v3/keys/upload?user_id={quote(helper)}&device_id={device_id}"

    async def left() -> int:
        answer = await live.request("POST", url, {}, token=live.state.token("as_token"))
        return int(answer.body["one_time_key_counts"]["signed_curve25519"])

    before = await left()
    for _ in range(before // 2 + 2):
        wanted = {"one_time_keys": {helper: {device_id: "signed_curve25519"}}}
        claimed = await bob.call("POST", "/keys/claim", wanted)
        assert claimed.body["one_time_keys"][helper][device_id]
    await bob.send_encrypted(room_id)

    async def replenished() -> bool:
        return await left() >= before

    await until(replenished)


async def test_no_client_can_encrypt_to_the_hubs_account(live: LiveHub, tmp_path: Path) -> None:
    scene = await live.stage()
    async with (
        signed_in(live, scene.bob, tmp_path / "bob") as bob,
        signed_in(live, scene.alice, tmp_path / "a") as alice,
    ):
        await bob.sync()
        said = await bob.say(scene.room, "between us")
        assert said
        assert await alice.read_all({said})
        assert live.bot in bob.client.rooms[scene.room].users
        known = bob.client.olm.device_store
        assert len(list(known.active_user_devices(alice.user_id))) == 1
        assert not list(known.active_user_devices(live.bot))
    for user in (scene.bob, scene.alice, scene.host):
        found = await keys_of(user, live.bot)
        assert not found["device_keys"].get(live.bot)
        assert live.bot not in found.get("master_keys", {})


async def test_the_hub_cannot_decrypt_one_message_of_a_metadata_room(live: LiveHub, tmp_path: Path) -> None:
    """All keys that the hub has are the helper's: none of them is one of the room's, and none ever came to it."""
    scene = await live.stage()
    async with (
        signed_in(live, scene.bob, tmp_path / "bob") as bob,
        signed_in(live, scene.alice, tmp_path / "a") as alice,
    ):
        said = [await bob.say(scene.room, f"secret {number}") for number in range(3)]
        said.append(await alice.say(scene.room, "secret 4"))

    async def arrived() -> bool:
        return len(await live.entries("message.sent", scene.room)) == len(said)

    await until(arrived)
    async with live.hub.services.db.read() as connection:
        waiting = await HelperStore(connection).due(1 << 60, 10_000)
    assert [mail for mail in waiting if mail.kind is MailKind.TO_DEVICE or mail.room_id == scene.room] == []
    key = (live.state.keys / "helper.key").read_text().strip()
    machine = Machine.opened(live.state.helper, helper_of(live), key)
    try:
        assert not {key.room_id for key in machine._olm.inbound_group_store} & set(scene.rooms.values())
        for event_id in said:
            path = f"/rooms/{quote(scene.room)}/event/{quote(str(event_id))}"
            event = (await scene.alice.call("GET", path)).body
            with pytest.raises(NoKeyError):
                machine.open({**event, "room_id": scene.room})
    finally:
        machine.close()


async def appears(live: LiveHub, user_id: str, device: str) -> None:
    """Somebody who has the hub's token makes a device on one of its accounts."""
    url = f"{live.homeserver_url}/_matrix/client/v3/devices/{device}?user_id={quote(user_id)}"
    answer = await live.request("PUT", url, {"display_name": "x"}, token=live.state.token("as_token"))
    assert answer.status == 201


async def devices(live: LiveHub, user_id: str) -> list[str]:
    url = f"{live.homeserver_url}/_synapse/admin/v2/users/{quote(user_id)}/devices"
    answer = await live.request("GET", url, token=live.state.token("as_token"))
    return [item["device_id"] for item in answer.body["devices"]]


async def test_a_device_on_the_hubs_account_is_found_recorded_shown_and_removed(live: LiveHub) -> None:
    await appears(live, live.bot, "EVIL")

    async def recorded() -> Any:
        found = await live.entries("device.found")
        return [entry for entry in found if entry["data"] == {"device": "EVIL", "account": live.bot}]

    (entry,) = await until(recorded)
    assert entry["actor"] == {"system": "hub"}

    async def removed() -> bool:
        return await devices(live, live.bot) == []

    await until(removed)
    assert (
        f"found and removed since the start, see device.found in the ledger: EVIL on {live.bot}"
        in ((await check(live, "devices"))["detail"])
    )
    assert "conclave_hub_devices_found_total 0.0" not in await metric(live, "conclave_hub_devices_found_total")


async def test_a_second_device_on_the_helpers_account_is_found_too(live: LiveHub) -> None:
    bob, helper = await live.add_person(await live.add_company()), helper_of(live)
    await live.chat_of(bob)
    (own,) = (await keys_of(bob, helper))["device_keys"][helper]
    await appears(live, helper, "SECOND")
    await live.hub.hub_devices.look(helper, {own})
    assert await devices(live, helper) == [own]

    async def recorded() -> bool:
        found = [entry["data"] for entry in await live.entries("device.found")]
        return {"device": "SECOND", "account": helper} in found

    await until(recorded)


async def test_what_the_helper_does_is_told_of_but_the_hub_is_ready_without_it(live: LiveHub) -> None:
    bob = await live.add_person(await live.add_company())
    await live.chat_of(bob)

    async def answers() -> bool:
        found = await check(live, "helper")
        return bool(found["ok"]) and str(found["detail"]).startswith("answers; ")

    await until(answers)
    assert json.loads(await metric(live, "conclave_helper_waiting "))
