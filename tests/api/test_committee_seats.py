"""Seats of a committee through the API, on both databases: conflicts, the chair, members taken off, acts tried."""

from typing import Any

import pytest

from spaces.committee_seats import InterestError
from tests.api.test_access import credential_of
from tests.api.test_committees import BUYERS, CRM, Scene
from tests.fakes.hub import FakeHub

PHASES = {"open": (), "pitch": ("start",), "deliberation": ("start", "clear")}


@pytest.fixture
async def scene(fake_hub: FakeHub) -> Scene:
    made = await Scene(fake_hub).make()
    await made.ready()
    return made


def acts(scene: Scene) -> dict[str, Any]:
    return {
        "vendors": {"vendor": "litware"},
        "members": {"person": scene.people["chair"]},
        "members/remove": {"person": scene.people["late"]},
        "chair": {"person": scene.people["late"]},
        "schedule": {"clear_at": "2999-01-01T00:00:00Z"},
        "start": {},
        "clear": {},
        "decide": {"winner": "adatum"},
        "debrief": {"vendor": "adatum"},
        "close": {"reason": "over"},
    }


@pytest.mark.parametrize("phase", PHASES)
async def test_who_declared_a_conflict_does_nothing_be_they_chair_or_manager(scene: Scene, phase: str) -> None:
    for act in PHASES[phase]:
        await scene.act(act)
    _, role = await credential_of(scene.hub, "partner-manager")
    await scene.hub.api("POST", "/v1/roles/grant", {"person": scene.people["buyer"], "role": "partner-manager"})
    for name in ("chair", "buyer"):
        await scene.act("declare", {"conflict": True, "statement": "shares"}, by=name)
        entries = len(await scene.hub.entries())
        for what, body in acts(scene).items():
            token = scene.tokens[name]
            assert await scene.refused(what, body, token=token) == (403, "conflict_of_interest"), what
        assert len(await scene.hub.entries()) == entries
    answer = await scene.hub.request("POST", f"{CRM}/close", {"reason": "x"}, token=scene.tokens["chair"])
    assert answer.body["detail"] == "you declared a conflict of interest in crm; who has one does nothing there"
    assert answer.body["hint"].endswith("can say: conclave committee chair crm PERSON")
    await scene.hub.api("POST", f"{CRM}/chair", {"person": scene.people["late"]}, token=role)
    assert (await scene.act("close", {"reason": "over"}, by="late"))["phase"] == "closed", "the new chair goes on"


async def test_the_service_refuses_too_whoever_calls_it(scene: Scene) -> None:
    """The helper calls it without the API; and a conflict may be declared while a call is on its way."""
    await scene.act("declare", {"conflict": True, "statement": "shares"})
    chair = (await scene.hub.api("GET", CRM))["chair"]
    committees = scene.hub.hub.services.committees
    works = (
        committees.start("crm", actor=chair),
        committees.close("crm", actor=chair, reason="x"),
        committees.add_vendor("crm", "litware", actor=chair),
    )
    for work in works:
        with pytest.raises(InterestError, match="you declared a conflict of interest in crm"):
            await work


async def test_the_chair_is_handed_on_by_the_chair_or_a_manager(scene: Scene) -> None:
    before = (await scene.hub.api("GET", CRM))["chair"]
    late = {"person": scene.people["late"]}
    assert await scene.refused("chair", late, token=scene.tokens["late"]) == (403, "forbidden")
    after = (await scene.act("chair", late))["chair"]
    assert after != before
    assert await scene.refused("start") == (403, "forbidden"), "who was the chair is no more"
    (entry,) = await scene.hub.entries("committee.chaired")
    assert (entry["data"], entry["companies"]) == ({"chair": after, "before": before}, ["contoso"])
    await scene.act("start", by="late")


async def test_a_member_who_is_taken_off_leaves_the_rooms(scene: Scene) -> None:
    await scene.act("start")
    assert (await scene.inside())["Deliberation"] == BUYERS
    late = {"person": scene.people["late"]}
    for token in (scene.tokens["buyer"], (await credential_of(scene.hub, "auditor"))[1]):
        assert await scene.refused("members/remove", late, token=token) == (403, "forbidden")
    found = await scene.act("members/remove", late)
    assert {one["user_id"] for one in found["members"]} == {scene.people["chair"], scene.people["buyer"]}
    rooms = await scene.inside()
    assert all("late" not in people for people in rooms.values())
    assert rooms["Deliberation"] == BUYERS - {"late"}
    (entry,) = await scene.hub.entries("committee.reduced")
    assert entry["companies"] == ["contoso"]
    assert (await scene.hub.request("GET", CRM, token=scene.tokens["late"])).status == 403
    await scene.act("members", late)
    await scene.act("declare", {"conflict": False}, by="late")
    assert (await scene.inside())["Deliberation"] == BUYERS, "and may be taken in again, to declare again"


async def test_who_has_not_declared_holds_nobody_up(scene: Scene) -> None:
    eve = await scene.hub.add_person("contoso", prefix="eve")
    await scene.act("members", {"person": eve})
    answer = await scene.hub.request("POST", f"{CRM}/start", {}, token=scene.tokens["chair"])
    assert (answer.status, eve in answer.body["detail"]) == (409, True), "it says who"
    await scene.act("members/remove", {"person": eve})
    assert (await scene.act("start"))["phase"] == "pitch"


async def test_a_vendors_people_are_its_own(scene: Scene) -> None:
    async def attendance() -> dict[str, tuple[int, int]]:
        await scene.hub.settle()
        found = (await scene.hub.api("GET", CRM))["attendance"]
        return {one["vendor"]: (one["enrolled"], one["inside"]) for one in found}

    await scene.hub.api("POST", "/v1/companies", {"id": "empty", "name": "Empty"})
    await scene.act("vendors", {"vendor": "empty"})
    assert await attendance() == {"adatum": (1, 0), "empty": (0, 0), "fabrikam": (1, 0)}
    await scene.act("start")
    assert await attendance() == {"adatum": (1, 1), "empty": (0, 0), "fabrikam": (1, 1)}
    await scene.act("clear")
    assert await attendance() == {"adatum": (1, 0), "empty": (0, 0), "fabrikam": (1, 0)}


async def test_members_without_a_role_see_their_own_committees(scene: Scene) -> None:
    buyer = scene.people["buyer"]
    await scene.hub.api("POST", "/v1/committees", {"id": "erp", "title": "E", "chair": buyer, "members": [buyer]})
    _, officer = await credential_of(scene.hub, "compliance-officer")
    _, nobody = await credential_of(scene.hub)
    for token, ids in ((officer, ["crm", "erp"]), (scene.tokens["chair"], ["crm"]), (nobody, [])):
        found = await scene.hub.api("GET", "/v1/committees", token=token)
        assert [one["id"] for one in found["items"]] == ids


async def test_what_is_tried_changes_nothing_and_says_what_the_act_would(scene: Scene) -> None:
    entries = len(await scene.hub.entries())

    async def tried(act: str, by: str = "chair", **more: Any) -> tuple[int, str]:
        body = {"act": act, **more}
        answer = await scene.hub.request("POST", f"{CRM}/try", body, token=scene.tokens[by])
        return answer.status, answer.body.get("detail", "")

    assert (await tried("start"))[0] == 200
    assert (await tried("clear")) == (409, "crm is in phase open; the room is cleared in phase pitch")
    assert (await tried("clear", by="buyer"))[0] == 403
    assert (await tried("decide")) == (422, "to decide goes with a vendor")
    assert (await tried("answer", answer="No."))[1].startswith("crm is in phase open; an answer is published")
    assert (await tried("answer", answer=" ")) == (422, "the answer is empty")
    assert (await tried("declare", by="late")) == (409, "you declared already: none")
    assert (await tried("declare", by="late", conflict=True))[0] == 200
    assert len(await scene.hub.entries()) == entries
    await scene.act("start")
    assert (await tried("clear"))[0] == 200
    assert (await tried("answer", by="buyer", answer="No."))[0] == 200
    await scene.act("clear")
    assert (await tried("decide", vendor="litware"))[1] == "litware is no vendor of crm"
    assert (await tried("decide", vendor="adatum"))[0] == 200
    assert (await tried("debrief", vendor="adatum"))[0] == 409
    assert (await tried("close"))[0] == 200
    await scene.act("declare", {"conflict": True, "statement": "shares"})
    assert (await tried("close")) == (403, "you declared a conflict of interest in crm; who has one does nothing there")


async def test_the_timeline_says_who_what_and_when(scene: Scene) -> None:
    await scene.act("start")
    await scene.inside()
    await scene.act("declare", {"conflict": True, "statement": "shares"}, by="late")
    await scene.act("clear")
    await scene.inside()
    story = await scene.hub.api("GET", f"{CRM}/timeline", token=scene.tokens["buyer"])
    by_kind = {item["kind"]: item for item in story["items"]}
    assert by_kind["committee.declared"]["data"]["conflict"] is True
    assert by_kind["committee.declared"]["person"] in story["names"]
    gone = [item for item in story["items"] if item["kind"] == "member.removed"]
    assert {item["vendor"] for item in gone} == {"adatum", "fabrikam"}, "the buyer who has a conflict is not among them"
    assert all(item["person"] in story["names"] for item in gone)
    assert by_kind["vendor.cleared"]["data"]["clear_at"] == by_kind["committee.cleared"]["data"]["clear_at"]
    torn = await scene.hub.api("GET", f"{CRM}/timeline", token=scene.tokens["late"])
    assert torn["names"] == {}, "who has a conflict does not learn the vendors' people"


async def test_who_is_no_member_is_told_as_whom_they_act(scene: Scene) -> None:
    answer = await scene.hub.request("POST", f"{CRM}/declare", {"conflict": False})
    assert answer.status == 404
    assert answer.body["detail"].startswith("you act as ")
    assert "conclave login ADDRESS" in answer.body["hint"]
