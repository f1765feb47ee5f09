"""Reused Megolm sessions in a committee, and late members, on both databases: what buyers and vendors are told."""

import json
from typing import Any

import pytest

from config.clock import MINUTE
from tests.api.test_committees import CRM, Scene
from tests.fakes.hub import FakeHub

ADATUM, FABRIKAM = "CRM 2027: Adatum", "CRM 2027: Fabrikam"


@pytest.fixture
async def scene(fake_hub: FakeHub) -> Scene:
    """A committee in its pitch phase."""
    found = await Scene(fake_hub).make()
    await found.ready()
    await found.act("start")
    await found.inside()
    return found


async def rooms(scene: Scene) -> dict[str, str]:
    return {room["name"]: room["room_id"] for room in (await scene.hub.api("GET", CRM))["rooms"]}


async def say(scene: Scene, room: str, session: str, *, by: str = "chair") -> str:
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "c", "session_id": session, "device_id": "LAPTOP"}
    room_id = (await rooms(scene))[room]
    event_id = scene.hub.homeserver.send(room_id, scene.people[by], "m.room.encrypted", content)
    await scene.hub.settle()
    return event_id


async def only(scene: Scene) -> dict[str, Any]:
    (entry,) = await scene.hub.entries("session.reused")
    return entry


async def told_to(scene: Scene, vendor: str) -> str:
    """Every entry that concerns a vendor."""
    return json.dumps([entry for entry in await scene.hub.entries() if vendor in entry.get("companies", ())])


async def test_the_session_of_a_pitch_room_in_the_deliberation_room(scene: Scene) -> None:
    await say(scene, ADATUM, "s1")
    await scene.act("clear")
    await scene.inside()
    assert (await scene.hub.api("GET", CRM))["reused_sessions"] == 0
    event_id = await say(scene, "Deliberation", "s1")
    entry, person = await only(scene), await scene.hub.api("GET", f"/v1/people/{scene.people['adatum']}")
    assert (entry["companies"], entry["data"]["event_id"]) == (["contoso"], event_id)
    assert (entry["data"]["left"], entry["data"]["left_of"]) == ([person["id"]], ["adatum"])
    assert event_id not in await told_to(scene, "adatum")
    assert (await scene.hub.api("GET", CRM))["reused_sessions"] == 1
    chair_of = {"chair": scene.people["chair"], "members": [scene.people["chair"]]}
    other = await scene.hub.api("POST", "/v1/committees", {"id": "erp", "title": "ERP", **chair_of})
    assert other["reused_sessions"] == 0, "what is found elsewhere is not shown here"
    await scene.hub.settle()
    assert len((await scene.hub.api("GET", "/v1/committees/erp/timeline"))["items"]) == 1
    story = await scene.hub.api("GET", f"{CRM}/timeline", token=scene.tokens["buyer"])
    chair = (await scene.hub.api("GET", f"/v1/people/{scene.people['chair']}"))["id"]
    last = story["items"][-1]
    assert (last["kind"], last["vendor"], last["actor"]) == ("session.reused", "adatum", chair)


async def test_one_session_for_two_vendors_names_neither_to_the_other(scene: Scene) -> None:
    await say(scene, ADATUM, "s1")
    await say(scene, FABRIKAM, "s1")
    entry, ids = await only(scene), await rooms(scene)
    assert (entry["companies"], entry["data"]["left_of"]) == (["contoso"], ["adatum"])
    assert (entry["data"]["place"], entry["data"]["used_in"]) == (ids[FABRIKAM], ids[ADATUM])
    adatum, fabrikam = await told_to(scene, "adatum"), await told_to(scene, "fabrikam")
    assert ids[ADATUM] in adatum
    assert ids[ADATUM] not in fabrikam
    assert ids[FABRIKAM] not in adatum
    assert "session.reused" not in adatum + fabrikam


async def test_somebody_out_of_a_pitch_room_is_named_to_both_who_are_in_it(scene: Scene) -> None:
    await say(scene, ADATUM, "s1")
    await scene.act("declare", {"conflict": True, "statement": "kin"}, by="late")
    await scene.inside()
    scene.hub.clock.now += MINUTE
    await say(scene, ADATUM, "s1")
    entry = await only(scene)
    assert (entry["companies"], entry["room"]) == (["adatum", "contoso"], (await rooms(scene))[ADATUM])
    assert entry["data"]["left_of"] == ["contoso"]
    story = await scene.hub.api("GET", f"{CRM}/timeline")
    assert story["items"][-1]["vendor"] is None, "it was a buyer who left"
    assert "fabrikam" not in json.dumps(entry)


async def test_somebody_of_another_vendor_who_was_there_is_no_company_of_the_rooms(scene: Scene) -> None:
    """Somebody wrote into the homeserver: the room's trail has who came, and no more than that."""
    ids, backdoor = await rooms(scene), scene.hub.homeserver.backdoor
    rival = scene.people["fabrikam"]
    backdoor(ids[ADATUM], rival, "m.room.member", {"membership": "join"}, rival)
    await scene.hub.homeserver.deliver(scene.hub.hub.services.feed.accept)
    await say(scene, ADATUM, "s1")
    await scene.inside()
    assert rival not in scene.hub.homeserver.members(ids[ADATUM]), "put right"
    scene.hub.clock.now += MINUTE
    await say(scene, ADATUM, "s1")
    entry = await only(scene)
    assert (entry["data"]["count"], entry["data"]["left_of"]) == (1, [])
    assert "fabrikam" not in json.dumps(entry)


@pytest.mark.parametrize(("rule", "history"), [("see-all", "shared"), ("from-joining", "joined"), (None, "joined")])
async def test_what_late_members_get_is_said_once_and_for_all(
    fake_hub: FakeHub, rule: str | None, history: str
) -> None:
    chair = await fake_hub.add_person("contoso")
    body = {"id": "crm", "title": "CRM 2027", "chair": chair, "members": [chair]}
    told = await fake_hub.api("POST", "/v1/committees", body if rule is None else {**body, "late_members": rule})
    await fake_hub.settle()
    wanted = rule or "from-joining"
    assert told["late_members"] == (await fake_hub.api("GET", CRM))["late_members"] == wanted
    (opened,) = await fake_hub.entries("committee.opened")
    assert opened["data"]["late_members"] == wanted
    for room in told["rooms"]:
        found = await fake_hub.api("GET", f"/v1/rooms/{room['key']}")
        deliberation = room["name"] == "Deliberation"
        assert found["history_visibility"] == (history if deliberation else "joined")
        topic = fake_hub.homeserver.rooms[found["room_id"]].state["m.room.topic", ""]["topic"]
        assert topic.endswith("Who joins late gets all of it.") is (deliberation and history == "shared")
        shown = [event for event in fake_hub.homeserver.rooms[found["room_id"]].events
                 if event["type"] == "m.room.history_visibility"]  # fmt: skip
        assert [event["content"]["history_visibility"] for event in shown] == [found["history_visibility"]]
    again = await fake_hub.request("POST", "/v1/committees", {**body, "late_members": "see-all"})
    assert (again.status, again.body["code"]) == (409, "conflict"), "it cannot be changed later"


async def test_another_rule_for_late_members_is_refused(fake_hub: FakeHub) -> None:
    chair = await fake_hub.add_person("contoso")
    body = {"id": "crm", "title": "CRM", "chair": chair, "members": [chair], "late_members": "invited"}
    answer = await fake_hub.request("POST", "/v1/committees", body)
    assert answer.status == 422
    assert "see-all" in answer.body["detail"]
    assert "from-joining" in answer.body["detail"]


@pytest.mark.parametrize("rule", ["see-all", "from-joining"])
async def test_the_clearing_says_what_the_deliberation_rooms_history_is(fake_hub: FakeHub, rule: str) -> None:
    scene = Scene(fake_hub)
    await fake_hub.api("POST", "/v1/companies", {"id": "adatum", "name": "Adatum"})
    scene.people["chair"] = chair = await fake_hub.add_person("contoso")
    token = (await fake_hub.api("POST", "/v1/credentials", {"person": chair, "device": "laptop"}))["token"]
    scene.tokens["chair"] = token
    body = {"id": "crm", "title": "CRM 2027", "chair": chair, "members": [chair], "late_members": rule}
    await fake_hub.api("POST", "/v1/committees", body)
    for what, more in (
        ("vendors", {"vendor": "adatum"}),
        ("declare", {"conflict": False}),
        ("start", {}),
        ("clear", {}),
    ):
        await scene.act(what, more)
    (cleared,) = await fake_hub.entries("vendor.cleared")
    assert cleared["data"].get("history") == ("shared" if rule == "see-all" else None)
