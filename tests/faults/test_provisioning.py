"""The hub dies after any change it makes at the homeserver: the next one finishes, with no second room or account."""

import shutil
from pathlib import Path

import pytest

from config.clock import iso
from tests.fakes.homeserver import Crash
from tests.fakes.hub import FakeHub, start_fake_hub
from tests.live import PASSWORD

POINTS = 26
SAMPLED = [pytest.param(point, marks=pytest.mark.long if point % 3 else ()) for point in range(POINTS)]
"""``make test`` takes every third point, ``make test-long`` all of them."""


async def prepare(hub: FakeHub) -> None:
    await hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
    await hub.add_person("contoso", teams=("north",))
    await hub.add_person("acme")
    await hub.add_person("acme")


async def dies(hub: FakeHub) -> None:
    """Let the hub work until the fake kills it; a point behind the last change kills nothing."""
    try:
        await hub.settle()
    except* Crash:
        pass
    hub.homeserver.crash_after = None


@pytest.mark.parametrize("point", SAMPLED)
async def test_a_partnership_is_finished_by_the_next_hub(tmp_path: Path, sqlite_base: Path, point: int) -> None:
    shutil.copy(sqlite_base, tmp_path / "hub.sqlite3")
    await finish_after_a_crash(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3", point)


@pytest.mark.parametrize("point", range(0, POINTS, 6))
async def test_a_partnership_is_finished_on_either_database(tmp_path: Path, database_url: str, point: int) -> None:
    await finish_after_a_crash(tmp_path, database_url, point)


async def finish_after_a_crash(tmp_path: Path, database_url: str, point: int) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        await prepare(hub)
        await hub.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
        fake, clock = hub.homeserver, hub.clock
        fake.crash_after = point
        await dies(hub)
    async with start_fake_hub(tmp_path, database_url, homeserver=fake, clock=clock) as hub:
        clock.now += 20_000
        await hub.settle(rounds=8)
        found = await hub.api("GET", "/v1/partnerships/acme")
        assert found["settled"], found
        assert len(fake.rooms) == 4, "a room was made twice"
        assert {room["room_id"] for room in found["rooms"]} == set(fake.rooms)
        for room_id in fake.rooms:
            assert len(fake.members(room_id)) == 4
        space = next(room["room_id"] for room in found["rooms"] if room["kind"] == "space")
        assert sum(kind == "m.space.child" for kind, _ in fake.rooms[space].state) == 3


@pytest.mark.parametrize("point", range(3))
async def test_an_enrolment_is_finished_by_the_same_link(tmp_path: Path, database_url: str, point: int) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        await hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
        body = {"company": "acme", "name": "Bob", "email": "bob@acme.example"}
        secret = (await hub.api("POST", "/v1/people", body))["link"].rpartition("/")[2]
        fake, clock = hub.homeserver, hub.clock
        fake.crash_after = point
        try:
            await hub.hub.services.enrolment.enrol(secret, username="bob", password=PASSWORD)
            await hub.hub.services.publisher.publish()
        except Crash:
            pass
        fake.crash_after = None
    async with start_fake_hub(tmp_path, database_url, homeserver=fake, clock=clock) as hub:
        clock.now += 61_000
        enrolment = {"secret": secret, "username": "bob", "password": PASSWORD}
        answer = await hub.request("POST", "/v1/enrol", enrolment, token="")
        person = await hub.api("GET", "/v1/people/bob@acme.example")
        assert (answer.status == 201) or (answer.status == 410 and person["status"] == "active")
        assert person["user_id"] == "@bob.acme:conclave.test"
        assert len(await hub.entries("person.enrolled")) == 1
        assert ("person", "@bob.acme:conclave.test") in fake.documents


async def test_closing_is_finished_by_the_next_hub(tmp_path: Path, database_url: str) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        rooms = await hub.stage()
        await hub.api("POST", "/v1/partnerships/acme/close", {"reason": "over"})
        fake, clock = hub.homeserver, hub.clock
        fake.crash_after = 3
        await dies(hub)
    async with start_fake_hub(tmp_path, database_url, homeserver=fake, clock=clock) as hub:
        clock.now += 20_000
        await hub.settle(rounds=8)
        assert (await hub.api("GET", "/v1/partnerships/acme"))["settled"]
        for room_id in rooms.values():
            assert fake.members(room_id) == {fake.bot}


async def test_a_homeserver_that_is_down_delays_and_loses_nothing(fake_hub: FakeHub) -> None:
    await prepare(fake_hub)
    fake_hub.homeserver.down = True
    opened = await fake_hub.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
    assert (opened["enforced"], opened["settled"]) == (False, False)
    fake_hub.homeserver.down = False
    await fake_hub.settle()
    assert (await fake_hub.api("GET", "/v1/partnerships/acme"))["settled"]


async def test_an_action_that_fails_says_why_and_does_not_stop_the_others(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    ghost = await fake_hub.add_person("acme")
    del fake_hub.homeserver.accounts[ghost]
    late = await fake_hub.add_person("acme")
    began = fake_hub.clock.now
    await fake_hub.settle()
    found = await fake_hub.api("GET", "/v1/partnerships/acme")
    assert {room["problem"] for room in found["rooms"]} == {"no such user"}
    for room_id in rooms.values():
        assert late in fake_hub.homeserver.members(room_id)
    shown = await fake_hub.api("GET", f"/v1/rooms/{rooms['Deals']}")
    assert (shown["stuck_since"], shown["next_try"]) == (iso(began), iso(began + 1_000))


async def test_a_change_is_carried_out_at_once_while_another_action_rests(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    ghost = await fake_hub.add_person("acme")
    del fake_hub.homeserver.accounts[ghost]
    for _ in range(4):
        await fake_hub.settle()
        fake_hub.clock.now += 4_000
    await fake_hub.settle()
    fake_hub.clock.now += 1_000
    tried = fake_hub.homeserver.calls.count("add_member")
    late = await fake_hub.add_person("acme")
    await fake_hub.settle()
    assert fake_hub.homeserver.calls.count("add_member") == tried + len(rooms)  # nobody but the late one was tried
    assert all(late in fake_hub.homeserver.members(room_id) for room_id in rooms.values())


async def test_what_failed_is_tried_again_with_back_off(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    ghost = await fake_hub.add_person("acme")
    del fake_hub.homeserver.accounts[ghost]
    tried = []
    for _ in range(5):
        before = fake_hub.homeserver.calls.count("add_member")
        await fake_hub.settle()
        tried.append(fake_hub.homeserver.calls.count("add_member") > before)
        fake_hub.clock.now += 1_000
    assert tried == [True, True, False, True, False]
    fake_hub.homeserver.accounts[ghost] = ("", "")
    fake_hub.clock.now += 300_000
    await fake_hub.settle()
    assert (await fake_hub.api("GET", "/v1/partnerships/acme"))["settled"]
