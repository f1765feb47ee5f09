"""What Synapse asks beside events, where the answer is yes: files within the limit, colleagues found, holds lifted."""

import json
from urllib.parse import quote

import pytest

from tests.guard.cast import officer_token, place_hold, upload
from tests.live import LiveHub, Scene, User, until


@pytest.fixture(scope="module")
async def scene(live: LiveHub) -> Scene:
    return await live.stage()


async def found_by(user: User, name: str) -> set[str]:
    answer = await user.call("POST", "/user_directory/search", {"search_term": name, "limit": 50})
    assert answer.status == 200
    return {item["user_id"] for item in answer.body["results"]}


async def test_people_find_those_with_whom_they_share_an_engagement_and_nobody_else(live: LiveHub) -> None:
    scene, other = await live.stage(), await live.stage()

    async def everybody() -> bool:
        return {scene.host.user_id, scene.alice.user_id} <= await found_by(scene.bob, "person")

    await until(everybody)
    strangers = {other.host.user_id, other.alice.user_id, other.bob.user_id, live.bot}
    for term in ("person", "partner", "conclave", *sorted(strangers)):
        assert not strangers & await found_by(scene.bob, term)
    await live.api("POST", f"/v1/people/{scene.alice.person}/suspend", {"reason": "test"})
    assert scene.alice.user_id not in await found_by(scene.bob, "person")


async def test_a_company_shares_files_up_to_its_limit_and_is_told_how_large(live: LiveHub, scene: Scene) -> None:
    config = "/media/config"
    assert (await scene.bob.call("GET", config, base="/_matrix/client/v1")).body["m.upload.size"] == 50 << 20
    answer = await live.api("POST", f"/v1/companies/{scene.company}/change", {"max_upload": 2_000})
    assert answer["enforced"]
    assert (await scene.bob.call("GET", config, base="/_matrix/client/v1")).body == {"m.upload.size": 2_000}
    assert (await upload(scene.bob, 2_000)).status == 200
    refused = await upload(scene.bob, 2_001)
    assert (refused.status, refused.code) == (413, "UPLOAD_TOO_LARGE")
    assert refused.error == "Conclave: your company may share files of at most 1.95 KiB (UPLOAD_TOO_LARGE)."
    assert (await upload(scene.host, 3_000)).status == 200, "the limit is that company's alone"


async def test_a_lifted_hold_holds_nothing(live: LiveHub, scene: Scene) -> None:
    sent = await scene.alice.send_encrypted(scene.room)
    hold = await place_hold(live, person=scene.alice.person)
    redact = f"/rooms/{quote(scene.room)}/redact/{quote(sent.body['event_id'])}/r"
    assert (await scene.alice.call("PUT", f"{redact}1", {})).code == "HELD"
    await live.api("POST", f"/v1/holds/{hold}/lift", {"reason": "over"}, token=await officer_token(live))
    assert (await scene.alice.call("PUT", f"{redact}2", {})).status == 200


async def test_whom_a_refused_invitation_was_meant_for_is_in_its_entry(live: LiveHub, scene: Scene) -> None:
    path = f"/rooms/{quote(scene.room)}/invite"
    assert (await scene.bob.call("POST", path, {"user_id": "@eve:evil.example"})).code == "PERSON_UNKNOWN"

    async def named() -> bool:
        found = await live.entries("guard.refused")
        assert "evil.example" not in json.dumps(found), "the room's companies are given this"
        return any(e["data"]["code"] == "PERSON_UNKNOWN" and "sd" in e for e in found)

    await until(named)


async def test_a_room_of_a_closed_partnership_may_be_deleted(live: LiveHub) -> None:
    scene = await live.stage()
    room = await live.api("GET", f"/v1/rooms/{quote(scene.room, safe='')}")
    await live.api("POST", f"/v1/partnerships/{room['engagement']}/close", {"reason": "over"})
    bot = User(live, live.bot, "conclave", live.state.token("as_token"))
    path = f"/v2/rooms/{quote(scene.room, safe='')}"
    assert (await bot.call("DELETE", path, {"purge": False}, base="/_synapse/admin")).status == 200
