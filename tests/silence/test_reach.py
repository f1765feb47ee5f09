"""What does not show in an answer: who is reached, who hears of what, and that those who may meet still do."""

import asyncio
import json
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bridge.demo.people import Reader
from tests.live import PASSWORD, Answer, LiveHub, Scene, User, until
from tests.silence.world import World, furnish, upload_keys, upload_picture

_LOOKS = count(1)
CONTENT = {"algorithm": "m.olm.v1.curve25519-aes-sha2", "hello": "from the other company"}


async def send_to(sender: User, base: str, *people: str, version: str = "v3") -> Answer:
    url = f"{base}/_matrix/client/{version}/sendToDevice/m.room.encrypted/{sender.hub.fresh('to')}"
    body = {"messages": {user: {"*": CONTENT} for user in people}}
    return await sender.hub.request("PUT", url, body, token=sender.token)


async def claim(asker: User, base: str, known: dict[str, str]) -> dict[str, Any]:
    body = {"one_time_keys": {user: {device: "signed_curve25519"} for user, device in known.items()}}
    answer = await asker.hub.request("POST", f"{base}/_matrix/client/v3/keys/claim", body, token=asker.token)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.body["one_time_keys"]
    return found


async def heard(user: User) -> list[dict[str, Any]]:
    """The messages to devices that are waiting for ``user``; each look differs, as Synapse keeps first answers."""
    synced = await user.call("GET", f"/sync?timeout={next(_LOOKS)}")
    events: list[dict[str, Any]] = synced.body.get("to_device", {}).get("events", [])
    return events


@pytest.mark.parametrize("version", ["r0", "v3", "unstable"])
async def test_no_message_between_devices_reaches_another_company(world: World, proxy: str, version: str) -> None:
    colleague = world.colleague
    before = len(await heard(world.alice))
    sent = await send_to(world.outsider, proxy, world.alice.user_id, colleague.user_id, version=version)
    assert (sent.status, sent.body) == (200, {})
    assert len(await heard(world.alice)) == before
    received = (await heard(colleague))[-1]
    assert (received["sender"], received["content"]) == (world.outsider.user_id, CONTENT)


async def test_without_the_proxy_it_would(world: World) -> None:
    """Why the proxy's rule is there. When this fails, Synapse has closed it, and the rule may go."""
    sent = await send_to(world.outsider, world.hub.homeserver_url, world.alice.user_id)
    assert sent.status == 200
    assert world.outsider.user_id in [event["sender"] for event in await heard(world.alice)]


async def test_one_time_keys_are_given_to_who_shares_a_room_alone(world: World, proxy: str) -> None:
    alice = {world.alice.user_id: world.known["device"]}
    colleague = {world.colleague.user_id: world.own["colleague"]["device"]}
    mine = {world.outsider.user_id: world.own["outsider"]["device"]}
    assert set(await claim(world.outsider, proxy, {**alice, **colleague, **mine})) == {*colleague, *mine}
    assert set(await claim(world.outsider, world.hub.homeserver_url, alice)) == set(alice), "the proxy's rule may go"


async def test_the_guards_address_takes_these_calls_and_nothing_else(world: World, live: LiveHub) -> None:
    base, token = f"{live.homeserver_url}/_synapse/conclave/v1/screened", world.outsider.token
    good = "/_matrix/client/v3/keys/claim"
    others = ["", "/", "/_matrix/client/v3/keys/query", good + "/x", good + ";x", "/_matrix/client/v3//keys/claim"]
    others += ["/_matrix/client/v3/keys%2Fclaim", "/_synapse/admin/v1/users", "/../../../_synapse/admin/v2/users"]
    for path in others:
        answer = await live.request("POST", base + path, {"one_time_keys": {}}, token=token)
        assert (answer.status, answer.body["errcode"]) == (404, "M_UNRECOGNIZED"), path
    assert (await live.request("POST", base + good, {"one_time_keys": {}})).status == 401
    assert (await live.request("POST", base + good, {"one_time_keys": {}}, token="x")).body["errcode"] == (
        "M_UNKNOWN_TOKEN"
    )
    answer = await live.request("POST", base + good, {"one_time_keys": ["x"]}, token=token)
    assert (answer.status, answer.error) == (400, "one_time_keys must be an object")
    wrong = {"one_time_keys": {world.outsider.user_id: 1}}
    answers = [await live.request("POST", url + good, wrong, token=token) for url in (base, live.homeserver_url)]
    assert answers[0].status >= 400, "Synapse's own errors come through"
    assert answers[0] == answers[1]
    assert (await live.request("DELETE", base + good, {}, token=token)).status == 405


async def now(user: User) -> str:
    """Up to where ``user`` has heard everything."""
    return str((await user.call("GET", f"/sync?timeout={next(_LOOKS)}")).body["next_batch"])


async def news(user: User, since: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    synced = (await user.call("GET", f"/sync?timeout=0&since={since}")).body
    changed = (await user.call("GET", f"/keys/changes?from={since}&to={synced['next_batch']}")).body
    return synced["next_batch"], synced, changed


async def test_what_a_company_does_is_no_news_to_another(world: World, live: LiveHub) -> None:
    """Keys, pictures, messages, receipts, a new device, somebody who enrols or is shut out: B's sync stands still."""
    since = await now(world.outsider)
    await furnish(live, world.alice, world.known["room"])
    fresh = User(live, world.alice.user_id, world.alice.person, "")
    fresh.token = (await live.login(world.alice.user_id)).body["access_token"]
    await furnish(live, fresh, world.known["room"])
    late = await live.add_person(world.alice.user_id.partition(".")[2].partition(":")[0])
    await live.api("POST", f"/v1/people/{late.person}/suspend", {"reason": "x"})
    _, synced, changed = await news(world.outsider, since)
    assert changed == {"changed": [], "left": []}
    assert set(synced) - {"next_batch", "device_one_time_keys_count", "device_unused_fallback_key_types",
                          "org.matrix.msc2732.device_unused_fallback_key_types"} == set(), synced  # fmt: skip
    text = json.dumps(synced)
    assert not [secret for secret in world.secrets if secret in text]


async def test_how_much_happens_shows_in_the_place_in_the_stream(world: World) -> None:
    """Open, as ``docs/silence.md`` says. When this fails, Synapse has closed it, and the sentence may go."""
    since = await now(world.outsider)
    await world.alice.send_encrypted(world.known["room"])
    assert await now(world.outsider) != since


async def test_keys_follow_who_shares_a_room(live: LiveHub) -> None:
    """Asked for before, while, and after two people share a room: Synapse would remember its first answer."""
    team, company = live.fresh("team"), await live.add_company()
    host, guest = await live.add_person(live.settings.host.id, teams=(team,)), await live.add_person(company)
    for user in (host, guest):
        await upload_keys(user, (await user.call("GET", "/account/whoami")).body["device_id"])

    async def seen() -> bool:
        answer = await guest.call("POST", "/keys/query", {"device_keys": {host.user_id: []}})
        return bool(answer.body["device_keys"].get(host.user_id))

    assert not await seen()
    rooms = await live.open_partnership(company, team)
    assert await seen()
    await live.api("POST", f"/v1/teams/{team}/leave", {"person": host.person})

    async def alone() -> bool:
        found = await guest.call("GET", f"/rooms/{quote(rooms['Deals'])}/joined_members")
        return host.user_id not in found.body["joined"]

    await until(alone)
    assert not await seen()


async def test_news_of_ones_own_arrives(world: World, live: LiveHub) -> None:
    """So that the silence above is not a broken ear."""
    since = await now(world.outsider)
    await furnish(live, world.colleague, world.own["colleague"]["room"])
    _, synced, changed = await news(world.outsider, since)
    assert world.colleague.user_id in changed["changed"]
    assert world.own["colleague"]["room"] in synced["rooms"]["join"]


async def test_a_file_is_found_by_its_id_alone(world: World, live: LiveHub) -> None:
    """Open, as ``docs/silence.md`` says: what protects it is an id of 24 random letters, and encryption."""
    ids = {(await upload_picture(live, world.alice)).partition("/")[2] for _ in range(8)}
    assert len(ids) == 8
    assert all(len(name) == 24 and name.isalpha() for name in ids)
    path = f"/media/download/{world.known['server']}/{world.known['media']}"
    async with live.session.get(
        f"{live.homeserver_url}/_matrix/client/v1{path}", headers={"Authorization": f"Bearer {world.outsider.token}"}
    ) as response:
        assert response.status == 200
    answer = await live.request("GET", f"{live.homeserver_url}/_matrix/client/v1{path}")
    assert (answer.status, answer.body["errcode"]) == (401, "M_MISSING_TOKEN")


async def test_encrypted_conversation_through_the_proxy(live: LiveHub, proxy: str, tmp_path: Path) -> None:
    """A client as people have them, with every rule of the proxy on: sign in, sync, claim keys, send, read."""
    scene: Scene = await live.stage()
    readers = []
    for user in (scene.host, scene.alice):
        (tmp_path / user.person).mkdir()
        readers.append(await Reader.sign_in(proxy, user.person, user.user_id, PASSWORD, tmp_path / user.person))
    host, alice = readers
    try:
        await asyncio.gather(host.sync(), alice.sync())
        await asyncio.gather(host.sync(), alice.sync())
        for speaker, listener in ((host, alice), (alice, host)):
            said = await speaker.say(scene.room, f"{speaker.name} speaks")
            assert said is not None
            assert await listener.read_all({said}), "the message's key did not arrive"
            assert listener.read[said] == f"{speaker.name} speaks"
    finally:
        await asyncio.gather(host.close(), alice.close())


async def test_the_hub_tells_a_person_of_a_company_nothing(world: World, live: LiveHub, proxy: str) -> None:
    """Its API is for people of the host with roles; a Matrix token is nothing there."""
    for path in ("companies", "people", f"people/{quote(world.alice.user_id)}", "partnerships", "rooms", "walls", "x"):
        answers = [await live.request("GET", f"{proxy}/v1/{path}", token=token) for token in (world.outsider.token, "")]
        assert {answer.status for answer in answers} == {401 if path != "x" else 404}
    page = await live.session.get(f"{proxy}/enrol/{'x' * 43}")
    assert page.status == 410
    assert not [secret for secret in world.secrets if secret in await page.text()]
