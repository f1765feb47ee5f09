"""``plan`` and ``apply``: nothing is done before, exactly what was shown is done after, and a stale plan is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import ReconcilerSettings
from tests.fakes.hub import FakeHub, start_fake_hub

MALLORY = "@mallory:conclave.test"


@pytest.fixture
async def manual(tmp_path: Path, database_url: str) -> AsyncIterator[FakeHub]:
    """A hub in manual mode with a partnership that waits to be applied."""
    async with start_fake_hub(tmp_path, database_url, reconciler=ReconcilerSettings(mode="manual")) as hub:
        await hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
        await hub.add_person("contoso", teams=("north",))
        await hub.add_person("acme")
        await hub.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
        await hub.settle()
        yield hub


async def plan(hub: FakeHub) -> dict[str, Any]:
    return await hub.api("GET", "/v1/plan?engagement=acme")


async def apply(hub: FakeHub, found: dict[str, Any]) -> dict[str, Any]:
    answer = await hub.api("POST", "/v1/plan/apply", {"plan": found})
    await hub.settle()
    return answer


def does(found: dict[str, Any]) -> list[str]:
    return [action["do"] for room in found["rooms"] for action in room["actions"]]


async def test_in_manual_mode_nothing_is_made_until_the_plan_is_applied(manual: FakeHub) -> None:
    assert not manual.homeserver.rooms
    found = await plan(manual)
    assert (found["format"], found["hub"], found["engagement"]) == ("conclave-plan/1", "conclave.test", "acme")
    assert does(found) == ["create-room", "add-member", "add-member"] * 4
    answer = await apply(manual, found)
    assert answer["failed"] == 0
    assert {item["status"] for item in answer["actions"]} == {"done"}
    assert (await plan(manual))["rooms"] == []
    assert len(manual.homeserver.rooms) == 4
    assert all(len(manual.homeserver.members(room_id)) == 3 for room_id in manual.homeserver.rooms)
    assert (await manual.api("GET", "/v1/partnerships/acme"))["settled"]
    (entry,) = await manual.entries("plan.applied")
    assert (entry["data"]["rooms"], entry["data"]["done"], entry["data"]["failed"]) == (4, 12, 0)
    assert list(entry["actor"]) == ["person"]


async def test_a_plan_applied_twice_does_nothing_the_second_time(manual: FakeHub) -> None:
    found = await plan(manual)
    await apply(manual, found)
    calls = [call for call in manual.homeserver.calls if call in ("create_room", "add_member", "set_state")]
    answer = await apply(manual, found)
    assert {item["status"] for item in answer["actions"]} == {"done already"}
    assert [call for call in manual.homeserver.calls if call in ("create_room", "add_member", "set_state")] == calls


async def test_what_failed_is_told_the_rest_is_done_and_the_same_plan_finishes_it(manual: FakeHub) -> None:
    found = await plan(manual)
    account = manual.homeserver.accounts.pop("@person2.acme:conclave.test")
    answer = await apply(manual, found)
    failed = [item for item in answer["actions"] if item["status"] == "failed"]
    assert answer["failed"] == len(failed) == 4
    assert {item["problem"] for item in failed} == {"no such user"}
    manual.homeserver.accounts["@person2.acme:conclave.test"] = account
    again = await apply(manual, found)
    assert sorted(item["status"] for item in again["actions"]) == ["done"] * 4 + ["done already"] * 8


async def stale(hub: FakeHub, found: dict[str, Any]) -> str:
    answer = await hub.request("POST", "/v1/plan/apply", {"plan": found})
    assert (answer.status, answer.body["code"]) == (409, "plan_stale")
    assert answer.body["hint"] == "conclave plan makes a new one"
    return str(answer.body["detail"])


async def waiting(hub: FakeHub) -> tuple[str, dict[str, Any]]:
    """The partnership is there, and one change waits: a name that somebody changed. The room, and the plan."""
    await apply(hub, await plan(hub))
    hub.clock.now += 1_000
    room_id = next(room["room_id"] for room in (await hub.api("GET", "/v1/rooms"))["items"] if room["name"] == "Deals")
    hub.homeserver.backdoor(room_id, hub.homeserver.bot, "m.room.name", {"name": "Mine"}, "")
    await hub.settle()
    found = await plan(hub)
    assert does(found) == ["set-state"]
    return room_id, found


async def test_drift_waits_to_be_applied_and_says_so(manual: FakeHub) -> None:
    room_id, found = await waiting(manual)
    shown = await manual.api("GET", f"/v1/rooms/{room_id}")
    assert (shown["settled"], shown["waiting"], shown["problem"]) == (False, 1, None)
    (entry,) = await manual.entries("drift.found")
    assert entry["data"]["waiting"]
    await apply(manual, found)
    assert manual.homeserver.rooms[room_id].state["m.room.name", ""] == {"name": "Deals"}
    assert [entry["data"]["outcome"] for entry in await manual.entries("drift.corrected")] == ["put-right"]


async def test_what_closes_a_door_does_not_wait(manual: FakeHub) -> None:
    room_id, _ = await waiting(manual)
    bot = manual.homeserver.bot
    manual.homeserver.backdoor(room_id, bot, "m.room.join_rules", {"join_rule": "public"}, "")
    manual.homeserver.backdoor(room_id, bot, "m.room.member", {"membership": "join"}, MALLORY)
    await manual.api("POST", "/v1/people/@person2.acme:conclave.test/suspend", {"reason": "x"})
    await manual.settle()
    assert manual.homeserver.rooms[room_id].state["m.room.join_rules", ""] == {"join_rule": "invite"}
    assert manual.homeserver.members(room_id) == {bot, "@person1.contoso:conclave.test"}
    assert manual.homeserver.rooms[room_id].state["m.room.name", ""] == {"name": "Mine"}


async def test_a_plan_is_stale_when_somebody_whom_it_names_has_changed(manual: FakeHub) -> None:
    _, found = await waiting(manual)
    await manual.add_person("acme")
    detail = await stale(manual, found)
    assert detail == (
        f"the plan is stale, nothing was done: Deals ({found['rooms'][0]['key']}): "
        "its charter, or somebody whom it names, has changed"
    )


async def test_a_plan_is_stale_when_the_room_has_changed(manual: FakeHub) -> None:
    room_id, found = await waiting(manual)
    manual.homeserver.backdoor(room_id, manual.homeserver.bot, "m.room.topic", {"topic": "Mine"}, "")
    await manual.settle()
    assert (await stale(manual, found)).endswith("the homeserver has something else there by now")


async def test_a_plan_is_stale_when_time_has_brought_more_to_do(manual: FakeHub) -> None:
    _, found = await waiting(manual)
    found["rooms"][0]["actions"] = []
    assert (await stale(manual, found)).endswith("the homeserver has something else there by now")
    other = {**(await plan(manual))["rooms"][0], "key": "rm_none"}
    assert (await stale(manual, {**found, "rooms": [other]})).endswith("Deals (rm_none): there is no such room")


async def test_a_change_elsewhere_does_not_make_it_stale(manual: FakeHub) -> None:
    _, found = await waiting(manual)
    await manual.add_person("contoso")
    await manual.api("POST", "/v1/companies", {"id": "fabrikam", "name": "Fabrikam"})
    assert (await apply(manual, found))["failed"] == 0


async def test_a_check_does_nothing(manual: FakeHub) -> None:
    answer = await manual.api("POST", "/v1/plan/apply", {"plan": await plan(manual), "check": True})
    assert answer == {"actions": [], "failed": 0}
    assert not manual.homeserver.rooms


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "conclave-plan/9"}, "the plan has the form 'conclave-plan/9', expected 'conclave-plan/1'"),
        ({"hub": "other.test"}, "the plan is for the hub 'other.test', this is 'conclave.test'"),
    ],
)
async def test_a_plan_of_another_form_or_hub_is_refused(manual: FakeHub, change: dict[str, str], says: str) -> None:
    answer = await manual.request("POST", "/v1/plan/apply", {"plan": {**await plan(manual), **change}})
    assert (answer.status, answer.body["detail"]) == (422, says)


async def test_the_whole_hub_in_one_plan_and_an_engagement_that_is_none(manual: FakeHub) -> None:
    assert (await manual.api("GET", "/v1/plan"))["rooms"] == (await plan(manual))["rooms"]
    answer = await manual.request("GET", "/v1/plan?engagement=none")
    assert (answer.status, answer.body["detail"]) == (404, "no partnership or committee 'none'")


async def test_in_continuous_mode_there_is_nothing_to_plan(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    assert (await fake_hub.api("GET", "/v1/plan"))["rooms"] == []
