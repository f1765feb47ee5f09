"""Publishing through the API, on both databases: who may, what is stored, and how each delivery ends."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from config.clock import HOUR, iso
from config.settings import HelperSettings
from spaces.answer import MAX_ANSWER, MAX_QUESTION, Delivery
from spaces.policy.records import Charter
from spaces.store import DocumentStore
from tests.api.test_access import credential_of
from tests.api.test_committees import CRM, Scene
from tests.fakes.hub import FakeHub, start_fake_hub

HELPER = "@conclave-helper:conclave.test"
ANSWERS = f"{CRM}/answers"
TEXT = {"question": "May data leave the country?", "answer": "No.\nNever."}


@pytest.fixture
async def scene(fake_hub: FakeHub) -> Scene:
    """Two vendors are in."""
    fake_hub.homeserver.accounts[HELPER] = ("", "Conclave helper")
    found = await Scene(fake_hub).make()
    await found.ready()
    await found.act("start")
    await fake_hub.settle()
    return found


async def charters(scene: Scene) -> dict[str, Charter]:
    """The charters of the vendors' rooms, by vendor."""
    vendors = (await scene.hub.api("GET", CRM))["vendors"]
    async with scene.hub.hub.services.db.read() as connection:
        found = await DocumentStore(connection).charters([item["pitch"] for item in vendors])
    return {item["vendor"]: found[item["pitch"]] for item in vendors}


async def inside(scene: Scene) -> set[str]:
    """The vendors in whose rooms the helper is."""
    await scene.hub.settle()
    rooms = {room["key"]: room["room_id"] for room in (await scene.hub.api("GET", CRM))["rooms"]}
    vendors = (await scene.hub.api("GET", CRM))["vendors"]
    members = scene.hub.homeserver.members
    found = {item["vendor"] for item in vendors if HELPER in members(rooms[item["pitch"]])}
    everywhere = [room for room in rooms.values() if HELPER in members(room)]
    assert len(everywhere) == len(found), "it is in pitch rooms alone"
    return found


async def test_the_helper_is_in_while_there_is_something_to_say(scene: Scene) -> None:
    answers = scene.hub.hub.services.answers
    made = await scene.act("answers", TEXT, by="buyer")
    assert {**made, "id": "", "deliveries": []} == {
        **TEXT,
        "id": "",
        "committee": "crm",
        "number": 1,
        "published_by": made["published_by"],
        "published_at": iso(scene.hub.clock.now),
        "deliveries": [],
        "enforced": True,
    }
    assert [(one["vendor"], one["state"]) for one in made["deliveries"]] == [
        ("adatum", "waiting"),
        ("fabrikam", "waiting"),
    ]
    assert [errand.inside for errand in await answers.errands()] == [False, False]
    assert await inside(scene) == {"adatum", "fabrikam"}
    first, second = await answers.errands()
    assert [errand.inside for errand in (first, second)] == [True, True]
    assert first.delivery.tag != second.delivery.tag
    await answers.delivered(first, "$said")
    assert await inside(scene) == {"fabrikam"}
    await answers.dropped(second, "nobody of the vendor is in the room")
    assert await inside(scene) == set()
    found = (await scene.hub.api("GET", ANSWERS))["items"]
    now = iso(scene.hub.clock.now)
    assert found == [await scene.hub.api("GET", f"{ANSWERS}/{made['id']}")]
    assert found[0]["deliveries"] == [
        {"vendor": "adatum", "state": "delivered", "at": now, "event_id": "$said", "problem": None},
        {
            "vendor": "fabrikam",
            "state": "dropped",
            "at": now,
            "event_id": None,
            "problem": "nobody of the vendor is in the room",
        },
    ]
    drifts = [entry for entry in await scene.hub.entries() if entry["kind"].startswith("drift.")]
    assert drifts == [], "it was asked for"


async def test_how_the_helper_goes_tells_no_lie(scene: Scene) -> None:
    await scene.act("answers", TEXT)
    await inside(scene)
    for errand in await scene.hub.hub.services.answers.errands():
        await scene.hub.hub.services.answers.delivered(errand, "$said")
    await inside(scene)
    room = (await scene.hub.api("GET", CRM))["rooms"][2]["room_id"]
    left = scene.hub.homeserver.rooms[room].state["m.room.member", HELPER]
    assert left == {"membership": "leave", "reason": "Conclave: what there was to say is said."}


async def test_in_a_room_one_answer_comes_after_the_other(scene: Scene) -> None:
    answers = scene.hub.hub.services.answers
    for text in ("one", "two"):
        await scene.act("answers", {"answer": text})
    assert [errand.answer.answer for errand in await answers.errands()] == ["one", "one"]
    first, second = await answers.errands()
    await answers.put_off(first, "no answer", 1_000)
    assert [errand.delivery.vendor for errand in await answers.errands()] == ["fabrikam"], "the second has to wait"
    scene.hub.clock.now += 1_000
    assert [errand.attempts for errand in await answers.errands()] == [1, 0]
    await answers.delivered(second, "$one")
    assert [errand.answer.answer for errand in await answers.errands()] == ["one", "two"]
    assert await inside(scene) == {"adatum", "fabrikam"}


async def test_entries_name_one_vendor_each_and_nothing_of_the_text(scene: Scene) -> None:
    answers = scene.hub.hub.services.answers
    made = await scene.act("answers", TEXT, by="buyer")
    first, second = await answers.errands()
    await answers.delivered(first, "$said")
    await answers.delivered(first, "$said")
    await answers.dropped(second, "gone")
    entries = [entry for entry in await scene.hub.entries() if entry["kind"].startswith("answer.")]
    assert [(entry["kind"], entry["companies"], entry["data"].get("vendor")) for entry in entries] == [
        ("answer.published", ["contoso"], None),
        ("answer.published", ["adatum", "contoso"], "adatum"),
        ("answer.published", ["contoso", "fabrikam"], "fabrikam"),
        ("answer.delivered", ["adatum", "contoso"], "adatum"),
        ("answer.dropped", ["contoso", "fabrikam"], "fabrikam"),
    ]
    assert {entry["data"]["answer"] for entry in entries} == {made["id"]}
    assert [len(entry.get("sd", [])) for entry in entries] == [1, 1, 1, 0, 0]
    assert len({entry["sd"][0] for entry in entries[:3]}) == 3, "each salted on its own"
    assert "country" not in json.dumps(await scene.hub.entries())
    for vendor, other in (("adatum", "fabrikam"), ("fabrikam", "adatum")):
        assert other not in json.dumps([entry for entry in entries if vendor in entry["companies"]])
    story = await scene.hub.api("GET", f"{CRM}/timeline")
    assert [(item["kind"], item["vendor"]) for item in story["items"]][-5:] == [
        ("answer.published", None),
        ("answer.published", "adatum"),
        ("answer.published", "fabrikam"),
        ("answer.delivered", "adatum"),
        ("answer.dropped", "fabrikam"),
    ]


async def test_clearing_drops_what_was_not_said_and_takes_the_helper_out(scene: Scene) -> None:
    answers = scene.hub.hub.services.answers
    made = await scene.act("answers", TEXT)
    await inside(scene)
    first, second = await answers.errands()
    await answers.delivered(first, "$said")
    await scene.act("answers", {"answer": "two"})
    await scene.act("clear")
    assert await inside(scene) == set()
    assert await answers.errands() == []
    assert [charter.accounts for charter in (await charters(scene)).values()] == [(), ()]
    found = await scene.hub.api("GET", f"{ANSWERS}/{made['id']}")
    assert [one["state"] for one in found["deliveries"]] == ["delivered", "dropped"]
    assert found["deliveries"][1]["problem"] == "the room was cleared before it was known to be said"
    kinds = [entry["kind"] for entry in await scene.hub.entries()]
    assert kinds.count("answer.dropped") == 3
    assert kinds.count("vendor.cleared") == 2
    await answers.dropped(second, "again")
    await answers.delivered(second, "$late")  # it was said just before, and the hub was killed
    found = await scene.hub.api("GET", f"{ANSWERS}/{made['id']}")
    assert [(one["state"], one["event_id"]) for one in found["deliveries"]][1] == ("delivered", "$late")


async def test_clearing_by_time_drops_it_as_well(scene: Scene) -> None:
    await scene.act("schedule", {"clear_at": iso(scene.hub.clock.now + HOUR)})
    await scene.act("answers", TEXT)
    assert await inside(scene) == {"adatum", "fabrikam"}
    scene.hub.clock.now += HOUR
    assert await scene.refused("answers", TEXT) == (409, "phase")
    await scene.hub.hub.services.committees.tick()
    assert await inside(scene) == set()
    assert await scene.hub.hub.services.answers.errands() == []


async def test_what_waits_for_an_hour_is_dropped_even_where_the_helper_is_not_at_work(scene: Scene) -> None:
    """The homeserver knows a transaction id for a day: what was said, and not recorded, is never said twice."""
    answers = scene.hub.hub.services.answers
    await scene.act("answers", {"answer": "one"})
    assert await inside(scene) == {"adatum", "fabrikam"}
    first, second = await answers.errands()
    await answers.put_off(second, "the homeserver does not answer", 0)
    scene.hub.clock.now += HOUR - 1
    assert len(await answers.errands()) == 2
    assert await answers.expire() == []
    await scene.act("answers", {"answer": "two"})
    scene.hub.clock.now += 1
    assert [errand.answer.answer for errand in await answers.errands()] == ["two", "two"]
    assert await answers.expire() == ["crm"]
    assert await answers.expire() == []
    one, two = (await scene.hub.api("GET", ANSWERS))["items"]
    assert [(item["state"], item["problem"]) for item in one["deliveries"]] == [
        ("dropped", "it could not be said for an hour"),
        ("dropped", "it could not be said for an hour: the homeserver does not answer"),
    ]
    assert {item["state"] for item in two["deliveries"]} == {"waiting"}
    assert await inside(scene) == {"adatum", "fabrikam"}
    scene.hub.clock.now += HOUR
    await answers.expire()
    assert await inside(scene) == set()
    assert first.delivery.vendor == "adatum"


async def test_many_at_once_come_one_after_the_other(scene: Scene) -> None:
    texts = {f"answer {number}" for number in range(5)}
    await asyncio.gather(*(scene.act("answers", {"answer": text}) for text in texts))
    items = (await scene.hub.api("GET", ANSWERS))["items"]
    assert [item["number"] for item in items] == [1, 2, 3, 4, 5]
    assert {item["answer"] for item in items} == texts


async def test_what_else_changes_in_a_committee_leaves_the_helper_in(scene: Scene) -> None:
    await scene.act("answers", TEXT)
    await scene.act("vendors", {"vendor": "litware"})
    await scene.act("declare", {"conflict": True, "statement": "x"}, by="late")
    assert await inside(scene) == {"adatum", "fabrikam"}, "and who came later hears what comes later"
    made = await scene.act("answers", {"answer": "two"})
    assert [one["vendor"] for one in made["deliveries"]] == ["adatum", "fabrikam", "litware"]


async def test_who_may(scene: Scene) -> None:
    await scene.act("declare", {"conflict": True, "statement": "x"}, by="late")
    _, officer = await credential_of(scene.hub, "compliance-officer")
    _, nobody = await credential_of(scene.hub)
    conflicted, say = scene.tokens["late"], "has no say in crm; this needs a member or partner-manager"
    for token, detail in ((officer, say), (nobody, say), (conflicted, "you declared a conflict of interest in crm")):
        answer = await scene.hub.request("POST", ANSWERS, TEXT, token=token)
        assert (answer.status, answer.body["code"]) == (403, "forbidden")
        assert answer.body["detail"].endswith(detail)
    for token in (scene.tokens["chair"], scene.tokens["buyer"], scene.hub.admin_token):
        await scene.hub.api("POST", ANSWERS, TEXT, token=token)
    for path in (ANSWERS, f"{ANSWERS}/ans_none"):
        for token, status in ((officer, 200), (scene.tokens["buyer"], 200), (nobody, 403), (conflicted, 403)):
            expected = 404 if status == 200 and "none" in path else status
            assert (await scene.hub.request("GET", path, token=token)).status == expected
    device = {"person": scene.people["adatum"], "device": "laptop"}
    assert (await scene.hub.request("POST", "/v1/credentials", device)).status == 409, "no vendor has a way in here"


async def test_a_manager_who_has_a_conflict_stays_out(scene: Scene) -> None:
    late = scene.people["late"]
    await scene.hub.api("POST", "/v1/roles/grant", {"person": late, "role": "partner-manager"})
    await scene.act("declare", {"conflict": True, "statement": "x"}, by="late")
    assert await scene.refused("answers", TEXT, token=scene.tokens["late"]) == (403, "forbidden")
    assert (await scene.hub.request("GET", ANSWERS, token=scene.tokens["late"])).status == 403


async def test_a_member_who_has_not_declared_waits(scene: Scene) -> None:
    person = await scene.hub.add_person("contoso", prefix="fresh")
    token = (await scene.hub.api("POST", "/v1/credentials", {"person": person, "device": "laptop"}))["token"]
    await scene.act("members", {"person": person})
    answer = await scene.hub.request("POST", ANSWERS, TEXT, token=token)
    assert (answer.status, answer.body["hint"]) == (403, "conclave committee declare crm --none")


async def test_an_unknown_committee_is_told_from_one_without_a_say_by_roles_alone(scene: Scene) -> None:
    _, nobody = await credential_of(scene.hub)
    for method in ("GET", "POST"):
        path, body = "/v1/committees/other/answers", TEXT if method == "POST" else None
        assert (await scene.hub.request(method, path, body)).status == 404
        refused = await scene.hub.request(method, path, body, token=nobody)
        theirs = await scene.hub.request(method, ANSWERS, body, token=nobody)
        assert (refused.status, refused.body["detail"]) == (403, theirs.body["detail"].replace("crm", "other"))


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"answer": " "}, "the answer is empty"),
        ({"answer": "x" * (MAX_ANSWER + 1)}, "the answer has 2,001 characters; at most 2,000 are sent"),
        ({"answer": "x", "question": "x" * (MAX_QUESTION + 1)}, "the question has 1,001 characters; at most 1,000"),
        ({"answer": "x\x1b[0m"}, "the answer has U+001B at character 2"),
        ({"question": "only"}, "answer"),
        ({"answer": "x", "vendor": "adatum"}, "vendor"),
        ({"answer": 7}, "answer"),
    ],
)
async def test_what_cannot_be_published(scene: Scene, body: dict[str, Any], detail: str) -> None:
    answer = await scene.hub.request("POST", ANSWERS, body)
    assert (answer.status, detail in answer.body["detail"]) == (422, True), answer
    assert (await scene.hub.api("GET", ANSWERS))["items"] == []
    assert [charter.accounts for charter in (await charters(scene)).values()] == [(), ()]


async def test_phases_and_pages(scene: Scene) -> None:
    for text in ("one", "two", "three"):
        await scene.act("answers", {"answer": text})
    page = await scene.hub.api("GET", f"{ANSWERS}?limit=2")
    rest = await scene.hub.api("GET", f"{ANSWERS}?limit=2&cursor={quote(page['next'])}")
    assert [item["answer"] for item in (*page["items"], *rest["items"])] == ["one", "two", "three"]
    assert rest["next"] is None
    for cursor in ("x", "YQ", "LTE"):
        assert (await scene.hub.request("GET", f"{ANSWERS}?cursor={cursor}")).status == 422
    await scene.act("clear")
    assert await scene.refused("answers", TEXT) == (409, "phase")


async def test_before_vendors_are_in_nothing_is_published(fake_hub: FakeHub) -> None:
    scene = await Scene(fake_hub).make()
    await scene.ready()
    assert await scene.refused("answers", TEXT) == (409, "phase")


async def test_the_same_call_again_publishes_once(scene: Scene) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await scene.hub.request("POST", ANSWERS, TEXT, headers=headers)
    again = await scene.hub.request("POST", ANSWERS, TEXT, headers=headers)
    assert (first.status, again.body["id"]) == (201, first.body["id"])
    answers = scene.hub.hub.services.answers
    made = [
        await answers.publish("crm", question="", answer="x", actor="prs_x", manager=True, key="tag") for _ in range(2)
    ]
    assert made[0].id == made[1].id
    assert replace(made[0]) == made[1]
    assert {one.state for one in made[1].deliveries} == {Delivery.WAITING}


async def test_without_the_helper_nothing_is_published(tmp_path: Path, database_url: str) -> None:
    async with start_fake_hub(tmp_path, database_url, helper=HelperSettings(enabled=False)) as hub:
        scene = await Scene(hub).make()
        await scene.ready()
        await scene.act("start")
        answer = await hub.request("POST", ANSWERS, TEXT)
        assert (answer.status, answer.body["detail"]) == (
            409,
            "answers are said by the helper, which is switched off",
        )
        assert (await hub.api("GET", ANSWERS))["items"] == []
