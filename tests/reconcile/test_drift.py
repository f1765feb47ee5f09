"""Drift: what comes in by the back door is found, told with who did it, and put right. On both databases."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.fakes.hub import FakeHub

HOST, ALICE, BOB = (f"@{name}:conclave.test" for name in ("person1.contoso", "person2.acme", "person3.acme"))
MALLORY = "@mallory:conclave.test"


async def staged(hub: FakeHub) -> dict[str, str]:
    """A partnership that is ready, and a moment later."""
    rooms = await hub.stage()
    hub.clock.now += 1_000
    return rooms


async def drift(hub: FakeHub) -> list[dict[str, Any]]:
    return [entry for kind in ("drift.found", "drift.corrected") for entry in await hub.entries(kind)]


async def test_setting_up_changing_and_closing_are_no_drift(fake_hub: FakeHub) -> None:
    await staged(fake_hub)
    person = (await fake_hub.api("GET", f"/v1/people/{BOB}"))["id"]
    for path, body in (
        (f"/v1/people/{person}/suspend", {"reason": "x"}),
        (f"/v1/people/{person}/resume", None),
        ("/v1/companies/acme/suspend", {"reason": "x"}),
        ("/v1/companies/acme/resume", None),
        ("/v1/partnerships/acme/close", {"reason": "x"}),
    ):
        await fake_hub.api("POST", path, body)
        fake_hub.clock.now += 1_000
        await fake_hub.settle()
    assert await drift(fake_hub) == []


async def test_somebody_put_into_a_room_is_taken_out_and_it_is_told_who_did_it(fake_hub: FakeHub) -> None:
    rooms = await staged(fake_hub)
    event = fake_hub.homeserver.backdoor(rooms["Deals"], HOST, "m.room.member", {"membership": "join"}, MALLORY)
    await fake_hub.settle()
    assert MALLORY not in fake_hub.homeserver.members(rooms["Deals"])
    found, corrected = await drift(fake_hub)
    host = (await fake_hub.api("GET", f"/v1/people/{HOST}"))["id"]
    assert (found["room"], found["engagement"], found["companies"]) == (rooms["Deals"], "acme", ["acme", "contoso"])
    assert found["actor"] == {"system": "reconciler"}
    assert found["data"] == {
        "type": "m.room.member",
        "event_id": event,
        "subject": {"user": MALLORY},
        "found": "join",
        "caused_by": {"person": host},
        "waiting": False,
    }
    assert corrected["data"] == {
        "type": "m.room.member",
        "event_id": event,
        "subject": {"user": MALLORY},
        "outcome": "put-right",
        "after_ms": 0,
    }


STATE: dict[str, tuple[str, dict[str, Any]]] = {
    "power": ("m.room.power_levels", {"users": {MALLORY: 100}}),
    "doors": ("m.room.join_rules", {"join_rule": "public"}),
    "history": ("m.room.history_visibility", {"history_visibility": "world_readable"}),
    "name": ("m.room.name", {"name": "Mine"}),
}


@pytest.mark.parametrize("what", STATE)
async def test_state_is_put_back(fake_hub: FakeHub, what: str) -> None:
    rooms = await staged(fake_hub)
    kind, content = STATE[what]
    before = fake_hub.homeserver.rooms[rooms["Deals"]].state[kind, ""]
    fake_hub.homeserver.backdoor(rooms["Deals"], fake_hub.homeserver.bot, kind, content, "")
    await fake_hub.settle()
    assert fake_hub.homeserver.rooms[rooms["Deals"]].state[kind, ""] == before
    found, corrected = await drift(fake_hub)
    assert (found["data"]["type"], found["data"]["caused_by"]) == (kind, {"system": "conclave"})
    assert corrected["data"]["outcome"] == "put-right"


async def test_a_room_hung_into_the_space_is_unhung_and_one_taken_off_is_hung_back(fake_hub: FakeHub) -> None:
    rooms = await staged(fake_hub)
    space = fake_hub.homeserver.rooms[rooms["space"]]
    fake_hub.homeserver.backdoor(rooms["space"], MALLORY, "m.space.child", {"via": ["evil.example"]}, "!evil")
    fake_hub.homeserver.backdoor(rooms["space"], MALLORY, "m.space.child", {}, rooms["Deals"])
    await fake_hub.settle()
    assert space.state["m.space.child", "!evil"] == {}
    assert space.state["m.space.child", rooms["Deals"]]["via"] == ["conclave.test"]
    assert len(await drift(fake_hub)) == 4


async def test_who_leaves_alone_is_back_and_that_is_told(fake_hub: FakeHub) -> None:
    rooms = await staged(fake_hub)
    fake_hub.homeserver.leave(rooms["Deals"], BOB)
    await fake_hub.settle()
    assert BOB in fake_hub.homeserver.members(rooms["Deals"])
    found, _ = await drift(fake_hub)
    bob = (await fake_hub.api("GET", f"/v1/people/{BOB}"))["id"]
    assert (found["data"]["found"], found["data"]["caused_by"]) == ("leave", {"person": bob})


async def test_the_hub_put_out_of_a_room_waits_for_a_person_and_says_so(fake_hub: FakeHub) -> None:
    rooms = await staged(fake_hub)
    bot = fake_hub.homeserver.bot
    fake_hub.homeserver.backdoor(rooms["Deals"], bot, "m.room.member", {"membership": "leave"}, bot)
    await fake_hub.settle()
    shown = await fake_hub.api("GET", f"/v1/rooms/{rooms['Deals']}")
    assert shown["problem"] == f"{bot} is not in room {rooms['Deals']}"
    assert [item["state_key"] for item in shown["drift"]] == [bot]
    assert [entry["kind"] for entry in await drift(fake_hub)] == ["drift.found"]


async def test_state_that_nobody_may_set_waits_for_a_person(fake_hub: FakeHub) -> None:
    rooms = await staged(fake_hub)
    fake_hub.homeserver.backdoor(rooms["Deals"], BOB, "m.room.tombstone", {"replacement_room": "!evil"}, "")
    for _ in range(3):
        await fake_hub.settle()
    (found,) = await drift(fake_hub)
    assert (found["data"]["type"], found["data"]["waiting"]) == ("m.room.tombstone", True)
    shown = await fake_hub.api("GET", f"/v1/rooms/{rooms['Deals']}")
    assert [item["type"] for item in shown["drift"]] == ["m.room.tombstone"]
    fake_hub.homeserver.backdoor(rooms["Deals"], BOB, "m.room.tombstone", {}, "")
    await fake_hub.settle()
    assert (await drift(fake_hub))[1]["data"]["outcome"] == "put-right"


async def test_drift_is_told_once_however_often_it_cannot_be_put_right(fake_hub: FakeHub) -> None:
    rooms = await staged(fake_hub)
    fake_hub.homeserver.backdoor(rooms["Deals"], HOST, "m.room.member", {"membership": "join"}, MALLORY)
    await fake_hub.homeserver.deliver(fake_hub.hub.services.feed.accept)
    fake_hub.homeserver.down = True
    for _ in range(4):
        await fake_hub.settle()
        fake_hub.clock.now += 10_000
    assert [entry["kind"] for entry in await drift(fake_hub)] == ["drift.found"]
    fake_hub.homeserver.down = False
    await fake_hub.settle()
    (_, corrected) = await drift(fake_hub)
    assert corrected["data"]["after_ms"] == 40_000


async def test_what_is_wanted_may_come_to_agree(fake_hub: FakeHub) -> None:
    rooms = await staged(fake_hub)
    late = await fake_hub.add_person("contoso")
    fake_hub.clock.now += 1_000
    fake_hub.homeserver.backdoor(rooms["Deals"], late, "m.room.member", {"membership": "join"}, late)
    await fake_hub.homeserver.deliver(fake_hub.hub.services.feed.accept)
    fake_hub.homeserver.down = True
    await fake_hub.settle()
    fake_hub.homeserver.down = False
    await fake_hub.api("POST", "/v1/teams/north/join", {"person": late})
    await fake_hub.settle()
    found, corrected = await drift(fake_hub)
    assert found["data"]["found"] == "join"
    assert corrected["data"]["outcome"] == "wanted-now"


async def test_an_ended_contract_is_no_drift_and_needs_nobody_to_notice(fake_hub: FakeHub) -> None:
    await fake_hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme", "until": "2027-02-01"})
    await fake_hub.add_person("contoso", teams=("north",))
    await fake_hub.add_person("acme")
    await fake_hub.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
    await fake_hub.settle()
    fake_hub.clock.now = 1_801_526_400_000  # 2027-02-02
    await fake_hub.hub.services.reconciler.run_once()
    assert all(ALICE not in fake_hub.homeserver.members(room_id) for room_id in fake_hub.homeserver.rooms)
    assert await drift(fake_hub) == []


# --- who is out of the roster is out of every room


async def test_who_is_suspended_leaves_rooms_of_closed_engagements_too(fake_hub: FakeHub) -> None:
    rooms = await staged(fake_hub)
    await fake_hub.api("POST", "/v1/partnerships/acme/close", {"reason": "over"})
    await fake_hub.settle()
    fake_hub.clock.now += 1_000
    fake_hub.homeserver.backdoor(rooms["Deals"], BOB, "m.room.member", {"membership": "join"}, BOB)
    await fake_hub.homeserver.deliver(fake_hub.hub.services.feed.accept)
    await fake_hub.api("POST", f"/v1/people/{BOB}/suspend", {"reason": "x"})
    await fake_hub.settle()
    assert fake_hub.homeserver.members(rooms["Deals"]) == {fake_hub.homeserver.bot}


async def test_who_is_suspended_leaves_rooms_that_no_template_knows(fake_hub: FakeHub) -> None:
    await staged(fake_hub)
    fake_hub.homeserver.make_unmanaged("!old", [ALICE, BOB])
    await fake_hub.homeserver.deliver(fake_hub.hub.services.feed.accept)
    await fake_hub.settle()
    assert fake_hub.homeserver.members("!old") == {fake_hub.homeserver.bot, ALICE, BOB}
    await fake_hub.api("POST", f"/v1/people/{BOB}/suspend", {"reason": "x"})
    await fake_hub.settle()
    assert fake_hub.homeserver.members("!old") == {fake_hub.homeserver.bot, ALICE}


@pytest.mark.parametrize("gone", ["person", "charter"])
async def test_without_record_or_charter_nobody_stays(fake_hub: FakeHub, gone: str) -> None:
    rooms = await staged(fake_hub)
    key = BOB if gone == "person" else (await fake_hub.api("GET", f"/v1/rooms/{rooms['Deals']}"))["key"]
    async with fake_hub.hub.services.db.begin() as tx:
        await tx.execute(
            text("UPDATE document SET gone = true WHERE kind = :kind AND key = :key"), {"kind": gone, "key": key}
        )
    del fake_hub.homeserver.documents[gone, key]
    await fake_hub.settle()
    left = fake_hub.homeserver.members(rooms["Deals"])
    assert left == ({fake_hub.homeserver.bot, HOST, ALICE} if gone == "person" else {fake_hub.homeserver.bot})
