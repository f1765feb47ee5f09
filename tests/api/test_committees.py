"""Committees through the API, on both databases: who may what, from first to last, by time, and what vendors learn."""

import json
from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY, HOUR, iso
from config.settings import FederationSettings
from tests.api.test_access import credential_of
from tests.fakes.hub import FakeHub, start_fake_hub

CRM = "/v1/committees/crm"
STATEMENT = "my brother works at Adatum"


class Scene:
    """A committee of the host with a chair and two more members, and three companies that may pitch."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub
        self.people: dict[str, str] = {}
        self.tokens: dict[str, str] = {}

    async def make(self) -> "Scene":
        for company in ("adatum", "fabrikam", "litware"):
            await self.hub.api("POST", "/v1/companies", {"id": company, "name": company.title()})
            self.people[company] = await self.hub.add_person(company, prefix=company)
        for name in ("chair", "buyer", "late"):
            self.people[name] = user = await self.hub.add_person("contoso", prefix=name)
            device = {"person": user, "device": "laptop"}
            self.tokens[name] = (await self.hub.api("POST", "/v1/credentials", device))["token"]
        members = [self.people[name] for name in ("chair", "buyer", "late")]
        body = {"id": "crm", "title": "CRM 2027", "chair": members[0], "members": members}
        await self.hub.api("POST", "/v1/committees", body)
        return self

    async def ready(self) -> None:
        """Two vendors; everybody declared."""
        for vendor in ("adatum", "fabrikam"):
            await self.act("vendors", {"vendor": vendor})
        for name in self.tokens:
            await self.act("declare", {"conflict": False}, by=name)

    async def act(self, what: str, body: Any = None, *, by: str = "chair") -> dict[str, Any]:
        return await self.hub.api("POST", f"{CRM}/{what}", body or {}, token=self.tokens[by])

    async def refused(self, what: str, body: Any = None, *, token: str | None = None) -> tuple[int, str]:
        answer = await self.hub.request("POST", f"{CRM}/{what}", body or {}, token=token or self.tokens["chair"])
        return answer.status, answer.body["code"]

    async def inside(self) -> dict[str, set[str]]:
        """Who is in each room, by its name, without the hub's account."""
        await self.hub.settle()
        names = {user: name for name, user in self.people.items()}
        found = {}
        for room in (await self.hub.api("GET", CRM))["rooms"]:
            people = (await self.hub.api("GET", f"/v1/rooms/{room['key']}"))["people"]
            found[room["name"]] = {names[user] for user in people}
        return found


@pytest.fixture
async def scene(fake_hub: FakeHub) -> Scene:
    return await Scene(fake_hub).make()


BUYERS = {"chair", "buyer", "late"}


async def test_from_first_to_last(scene: Scene) -> None:
    assert await scene.inside() == {"CRM 2027": set(), "Deliberation": set()}, "nobody before they declared"
    await scene.ready()
    adatum, fabrikam = "CRM 2027: Adatum", "CRM 2027: Fabrikam"
    waiting = {"CRM 2027": BUYERS, "Deliberation": BUYERS, adatum: BUYERS, fabrikam: BUYERS}
    assert await scene.inside() == waiting
    assert (await scene.act("start"))["phase"] == "pitch"
    assert await scene.inside() == {**waiting, adatum: BUYERS | {"adatum"}, fabrikam: BUYERS | {"fabrikam"}}
    scene.hub.clock.now += HOUR
    cleared = await scene.act("clear")
    assert (cleared["phase"], cleared["clear_at"]) == ("deliberation", iso(scene.hub.clock.now))
    assert await scene.inside() == waiting
    decided = await scene.act("decide", {"winner": "fabrikam", "standstill_days": 10})
    assert (decided["phase"], decided["winner"]) == ("decided", "fabrikam")
    await scene.act("debrief", {"vendor": "adatum"})
    assert await scene.inside() == {**waiting, "CRM 2027: debriefing of Adatum": BUYERS | {"adatum"}}
    assert await scene.refused("close", {"reason": "over"}) == (409, "conflict")
    scene.hub.clock.now += 10 * DAY
    assert (await scene.act("close", {"reason": "over"}))["phase"] == "closed"
    assert set().union(*(await scene.inside()).values()) == set()
    story = await scene.hub.api("GET", f"{CRM}/timeline", token=scene.tokens["buyer"])
    told = [(item["kind"], item["vendor"]) for item in story["items"]]
    came, went = sorted(told[7:9]), sorted(told[12:14])
    assert [*told[:7], *came, *told[9:12], *went, *told[14:]] == [
        ("committee.opened", None),
        ("vendor.added", "adatum"),
        ("vendor.added", "fabrikam"),
        *[("committee.declared", None)] * 3,
        ("committee.started", None),
        *[("member.joined", vendor) for vendor in ("adatum", "fabrikam")],
        ("committee.cleared", None),
        ("vendor.cleared", "adatum"),
        ("vendor.cleared", "fabrikam"),
        *[("member.removed", vendor) for vendor in ("adatum", "fabrikam")],
        ("committee.decided", "fabrikam"),
        ("vendor.debriefed", "adatum"),
        ("member.joined", "adatum"),
        ("committee.closed", None),
        ("member.removed", "adatum"),
    ]


async def test_who_may_what(scene: Scene) -> None:
    await scene.ready()
    acts = {
        "vendors": {"vendor": "litware"},
        "schedule": {"clear_at": iso(scene.hub.clock.now + DAY)},
        "start": {},
        "clear": {},
        "decide": {"winner": "adatum"},
        "debrief": {"vendor": "adatum"},
        "close": {"reason": "over"},
    }
    _, officer = await credential_of(scene.hub, "compliance-officer")
    _, nobody = await credential_of(scene.hub)
    for what, body in acts.items():
        for token in (scene.tokens["buyer"], officer, nobody):
            assert await scene.refused(what, body, token=token) == (403, "forbidden"), what
    for token, status in ((scene.tokens["buyer"], 200), (officer, 200), (nobody, 403)):
        for path in (CRM, f"{CRM}/timeline"):
            assert (await scene.hub.request("GET", path, token=token)).status == status
    assert await scene.refused("declare", {"conflict": False}, token=nobody) == (404, "not_found")
    unknown = await scene.hub.request("GET", "/v1/committees/other", token=nobody)
    assert unknown.body["detail"].endswith("has no say in other; this needs its chair, a member or a role")
    for what, body in acts.items():  # the chair may all of it, a partner manager too
        await scene.act(what, body) if what in ("vendors", "start") else await scene.hub.api(
            "POST", f"{CRM}/{what}", body
        )


async def test_by_time_alone(scene: Scene) -> None:
    await scene.ready()
    now = scene.hub.clock.now
    await scene.act("schedule", {"pitch_at": iso(now + HOUR), "clear_at": iso(now + 2 * HOUR)})
    committees = scene.hub.hub.services.committees
    for after, phase, recorded in ((0, "open", 0), (HOUR, "pitch", 1), (2 * HOUR, "deliberation", 2)):
        scene.hub.clock.now = now + after
        assert (await scene.hub.api("GET", CRM))["phase"] == phase
        await committees.tick()
        assert await committees.tick() == [], "each beginning is recorded once"
        kinds = [entry["kind"] for entry in await scene.hub.entries()]
        assert kinds.count("committee.started") + kinds.count("committee.cleared") == recorded
        guests = {"adatum"} if phase == "pitch" else set()
        assert (await scene.inside())["CRM 2027: Adatum"] == BUYERS | guests
    entries = [*await scene.hub.entries("committee.started"), *await scene.hub.entries("committee.cleared")]
    assert all(entry["data"]["timed"] and entry["actor"] == {"system": "hub"} for entry in entries)


async def test_what_was_missed_while_the_hub_was_down_is_recorded_before_the_next_act(scene: Scene) -> None:
    await scene.ready()
    now = scene.hub.clock.now
    await scene.act("schedule", {"pitch_at": iso(now + HOUR), "clear_at": iso(now + 2 * HOUR)})
    scene.hub.clock.now = now + DAY
    assert await scene.refused("vendors", {"vendor": "litware"}) == (409, "phase")
    await scene.act("decide", {"winner": "adatum"})
    kinds = [entry["kind"] for entry in await scene.hub.entries() if entry.get("engagement") == "crm"]
    assert kinds[-6:] == [
        "committee.scheduled",
        "committee.started",
        "committee.cleared",
        "vendor.cleared",
        "vendor.cleared",
        "committee.decided",
    ]


async def test_a_conflict_shuts_the_rooms_and_the_statement_can_be_erased(scene: Scene) -> None:
    await scene.ready()
    await scene.act("start")
    await scene.act("declare", {"conflict": True, "statement": STATEMENT}, by="late")
    assert all("late" not in inside for inside in (await scene.inside()).values())
    found = (await scene.hub.entries("committee.declared"))[-1]
    assert found["data"]["conflict"] is True
    assert STATEMENT not in json.dumps(await scene.hub.entries())


async def test_no_entry_of_one_vendor_concerns_another(scene: Scene) -> None:
    await scene.ready()
    await scene.act("start")
    await scene.inside()
    await scene.act("clear")
    await scene.inside()
    about = [entry for entry in await scene.hub.entries() if entry.get("engagement") == "crm"]
    for vendor, other in (("adatum", "fabrikam"), ("fabrikam", "adatum")):
        own = [entry for entry in about if vendor in entry["companies"]]
        kinds = {entry["kind"] for entry in own}
        assert {"vendor.added", "vendor.cleared", "member.joined", "member.removed"} <= kinds
        assert other not in json.dumps(own)
        assert not kinds & {"committee.opened", "committee.cleared", "committee.decided"}


async def test_rooms_tell_a_vendor_of_no_other_room(scene: Scene) -> None:
    """No link from a pitch room to the buyers' Space: two vendors who compare notes would find the same one."""
    await scene.ready()
    await scene.act("start")
    await scene.inside()
    rooms = {room["name"]: room["room_id"] for room in (await scene.hub.api("GET", CRM))["rooms"]}
    state = scene.hub.homeserver.rooms
    assert [key for key in state[rooms["CRM 2027: Adatum"]].state if key[0] == "m.space.parent"] == []
    assert len([key for key in state[rooms["CRM 2027"]].state if key[0] == "m.space.child"]) == 3


async def test_walls_hold_between_everybody_of_a_committee(scene: Scene) -> None:
    _, officer = await credential_of(scene.hub, "compliance-officer")
    wall = {"first": "fabrikam", "second": "adatum", "reason": "cartel case"}
    for vendor in ("fabrikam", "litware"):
        await scene.act("vendors", {"vendor": vendor})
    between = {**wall, "second": "litware"}
    answer = await scene.hub.request("POST", "/v1/walls", between, token=officer)
    assert (answer.status, answer.body["code"]) == (409, "wall"), "two vendors of one committee"
    await scene.hub.api("POST", "/v1/committees/crm/close", {"reason": "begun anew"})
    chair = scene.people["chair"]
    again = {"id": "crm-2", "title": "CRM", "chair": chair, "members": [chair]}
    await scene.hub.api("POST", "/v1/committees", again)
    await scene.hub.api("POST", "/v1/walls", wall, token=officer)
    await scene.hub.api("POST", "/v1/committees/crm-2/vendors", {"vendor": "adatum"})
    refused = await scene.hub.request("POST", "/v1/committees/crm-2/vendors", {"vendor": "fabrikam"})
    assert (refused.status, refused.body["code"]) == (409, "wall")
    answer = await scene.hub.request("POST", "/v1/walls", {**wall, "first": "contoso"}, token=officer)
    assert (answer.status, answer.body["detail"]) == (
        409,
        "adatum and contoso meet in the open committee crm-2; a wall needs them apart",
    )


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"id": "crm"}, 409, "there is a committee or partnership crm already"),
        ({"chair": "nobody@x.example"}, 404, "no person"),
        ({"buyer": "adatum"}, 422, "is of contoso, not of the buyer adatum"),
        ({"buyer": "nowhere"}, 404, "no company 'nowhere'"),
        ({"members": []}, 422, "members"),
        ({"id": "litware"}, 409, "litware is a company; every vendor learns a committee's name"),
        ({"id": "No Name"}, 422, "id"),
    ],
)
async def test_what_cannot_be_opened(scene: Scene, change: dict[str, Any], status: int, detail: str) -> None:
    chair = scene.people["chair"]
    body = {"id": "erp", "title": "ERP", "chair": chair, "members": [chair], **change}
    answer = await scene.hub.request("POST", "/v1/committees", body)
    assert (answer.status, detail in answer.body["detail"]) == (status, True), answer
    assert (await scene.hub.request("GET", "/v1/committees/erp")).status == 404


async def test_the_host_is_no_vendor(scene: Scene) -> None:
    """Whoever holds a role at the hub sees every committee, and so every rival."""
    buyer = scene.people["adatum"]
    body = {"id": "erp", "title": "ERP", "buyer": "adatum", "chair": buyer, "members": [buyer]}
    await scene.hub.api("POST", "/v1/committees", body)
    answer = await scene.hub.request("POST", "/v1/committees/erp/vendors", {"vendor": "contoso"})
    text = "contoso is the host of this hub, whose roles see every committee: it cannot be a vendor"
    assert (answer.status, answer.body["detail"]) == (409, text)
    assert (await scene.hub.api("GET", "/v1/committees/erp"))["vendors"] == []


async def test_a_company_with_a_homeserver_of_its_own_takes_no_part(tmp_path: Path, database_url: str) -> None:
    """It would keep a copy of the pitch room that nobody could freeze."""
    federation = FederationSettings(servers=("remote.example",))
    async with start_fake_hub(tmp_path, database_url, federation=federation) as hub:
        scene = await Scene(hub).make()
        await hub.api("POST", "/v1/companies", {"id": "remote", "name": "Remote", "homeserver": "remote.example"})
        assert await scene.refused("vendors", {"vendor": "remote"}) == (409, "conflict")
