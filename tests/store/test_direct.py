"""Direct rooms become managed rooms, on both databases: from the first event on, through outages, until the end."""

from pathlib import Path
from typing import Any

import pytest

from config.settings import ReconcilerSettings
from spaces.policy.records import Charter, CompanyRecord
from spaces.store import DocumentStore
from tests.fakes.hub import FakeHub, start_fake_hub

HOST = "@person1.contoso:conclave.test"
ANN = "@person2.acme:conclave.test"
BEN = "@person3.acme:conclave.test"


async def adopted(hub: FakeHub) -> dict[str, Any]:
    """The one direct room, once the hub has done all it has to do about it."""
    await hub.settle()
    hub.clock.now += 3_000
    await hub.settle()
    rooms = (await hub.api("GET", "/v1/rooms?limit=100"))["items"]
    (found,) = [room for room in rooms if room["kind"] == "direct"]
    return dict(found)


async def charter_of(hub: FakeHub, key: str) -> Charter:
    async with hub.hub.services.db.read() as connection:
        found = await DocumentStore(connection).charter(key)
    assert found is not None
    return found


async def company_of(hub: FakeHub, company: str = "acme") -> CompanyRecord:
    async with hub.hub.services.db.read() as connection:
        found = await DocumentStore(connection).company(company)
    assert found is not None
    return found


async def test_a_direct_room_is_taken_in_under_the_names_of_the_two(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    room = await adopted(fake_hub)
    assert (room["name"], room["engagement"], room["room_id"]) == ("direct: Person1, Person2", "acme", room_id)
    assert (room["settled"], room["problem"], room["members"]) == (True, None, 2)
    detail = await fake_hub.api("GET", f"/v1/rooms/{room['key']}")
    assert detail["people"] == sorted([ANN, HOST])
    assert ("charter", room["key"]) in fake_hub.homeserver.documents


async def test_what_happens_in_it_is_in_the_ledger_as_in_any_room(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    room = await adopted(fake_hub)
    entries = [entry for entry in await fake_hub.entries() if entry.get("room") == room_id]
    happened = [event["event_id"] for event in fake_hub.homeserver.rooms[room_id].events]
    assert [entry["data"]["event_id"] for entry in entries if entry["source"] == "homeserver"] == happened
    assert {entry["engagement"] for entry in entries} == {"acme"}
    assert {tuple(entry["companies"]) for entry in entries} == {("acme", "contoso")}
    (opened,) = [entry for entry in entries if entry["kind"] == "direct.opened"]
    assert opened["data"]["room_key"] == room["key"]
    assert len(opened["data"]["people"]) == 2


async def test_it_stands_apart_from_the_space(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    await adopted(fake_hub)
    assert ("m.space.child", room_id) not in fake_hub.homeserver.rooms[rooms["space"]].state
    assert not [kind for kind, _ in fake_hub.homeserver.rooms[room_id].state if kind == "m.space.parent"]


async def test_several_have_their_own_places_in_the_list(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    for one, other in ((ANN, HOST), (BEN, HOST), (ANN, BEN)):
        fake_hub.homeserver.open_direct(one, other)
    await fake_hub.settle()
    found: list[str] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = await fake_hub.api("GET", f"/v1/rooms?limit=1&cursor={page['next']}")
        found += [room["name"] for room in page["items"]]
    assert found[4:] == ["direct: Person1, Person2", "direct: Person1, Person3", "direct: Person2, Person3"]


async def test_a_hub_that_dies_after_taking_it_in_goes_on_where_it_was(
    fake_hub: FakeHub, tmp_path: Path, database_url: str
) -> None:
    await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    await fake_hub.homeserver.deliver(fake_hub.hub.services.feed.accept)
    fake_hub.clock.now += 3_000
    async with start_fake_hub(tmp_path, database_url, homeserver=fake_hub.homeserver, clock=fake_hub.clock) as second:
        room = await adopted(second)
        assert (room["room_id"], room["settled"]) == (room_id, True)


async def test_one_whose_every_event_was_lost_is_found_by_the_sweep(
    fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.feed.SETTLE_S", 0)
    await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    lost, fake_hub.homeserver.outbox = len(fake_hub.homeserver.outbox), []
    assert await fake_hub.hub.services.feed.sweep() == lost
    assert (await adopted(fake_hub))["room_id"] == room_id
    assert await fake_hub.hub.services.feed.sweep() == 0


async def test_a_creation_that_was_cut_short_is_finished(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    room, outbox = fake_hub.homeserver.rooms[room_id], fake_hub.homeserver.outbox
    del room.events[2:], outbox[2:]  # m.room.create and the hub's own join
    room.state = {key: room.state[key] for key in (("m.room.create", ""), ("m.room.member", fake_hub.homeserver.bot))}
    assert (await adopted(fake_hub))["settled"]
    assert ("m.room.encryption", "") in room.state
    assert fake_hub.homeserver.members(room_id) == {fake_hub.homeserver.bot}


async def test_one_is_taken_in_where_changes_wait_to_be_applied(tmp_path: Path, database_url: str) -> None:
    """Else nobody could be taken out of it."""
    async with start_fake_hub(tmp_path, database_url, reconciler=ReconcilerSettings(mode="manual")) as manual:
        await manual.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
        for company, teams in (("contoso", ("north",)), ("acme", ()), ("acme", ())):
            await manual.add_person(company, teams=teams)
        await manual.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
        await manual.settle()
        found = await manual.api("GET", "/v1/plan?engagement=acme")
        await manual.api("POST", "/v1/plan/apply", {"plan": found})
        await manual.settle()
        room_id = manual.homeserver.open_direct(ANN, HOST)
        assert (await adopted(manual))["room_id"] == room_id
        await manual.api("POST", f"/v1/people/{ANN}/suspend", {"reason": "left"})
        await manual.settle()
        assert manual.homeserver.members(room_id) == {manual.homeserver.bot, HOST}


async def test_it_ends_with_the_partnership(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    room = await adopted(fake_hub)
    await fake_hub.api("POST", "/v1/partnerships/acme/close", {"reason": "over"})
    await fake_hub.settle()
    assert fake_hub.homeserver.members(room_id) == {fake_hub.homeserver.bot}
    assert not (await charter_of(fake_hub, room["key"])).open


async def test_one_that_the_hub_hears_of_after_the_end_is_closed_at_once(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    waiting, fake_hub.homeserver.outbox = fake_hub.homeserver.outbox, []
    await fake_hub.api("POST", "/v1/partnerships/acme/close", {"reason": "over"})
    await fake_hub.settle()
    fake_hub.homeserver.outbox = waiting
    room = await adopted(fake_hub)
    assert not (await charter_of(fake_hub, room["key"])).open
    assert fake_hub.homeserver.members(room_id) == {fake_hub.homeserver.bot}


async def test_who_is_suspended_goes_and_is_not_brought_back_unasked(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    await adopted(fake_hub)
    await fake_hub.api("POST", f"/v1/people/{ANN}/suspend", {"reason": "left"})
    await fake_hub.settle()
    assert fake_hub.homeserver.members(room_id) == {fake_hub.homeserver.bot, HOST}
    await fake_hub.api("POST", f"/v1/people/{ANN}/resume")
    await fake_hub.settle()
    assert fake_hub.homeserver.members(room_id) == {fake_hub.homeserver.bot, HOST}


async def test_who_leaves_the_team_leaves_the_direct_room(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    room_id = fake_hub.homeserver.open_direct(ANN, HOST)
    await adopted(fake_hub)
    await fake_hub.api("POST", "/v1/teams/north/leave", {"person": HOST})
    await fake_hub.settle()
    assert fake_hub.homeserver.members(room_id) == {fake_hub.homeserver.bot, ANN}


async def test_what_is_no_direct_room_of_ours_is_not_taken_in(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    fake_hub.homeserver.open_direct(ANN, HOST)
    create = fake_hub.homeserver.outbox[0]
    create["content"] = {**create["content"], "org.conclave.direct": {ANN: "acme", BEN: "acme"}}
    await fake_hub.settle()
    assert {room["kind"] for room in (await fake_hub.api("GET", "/v1/rooms?limit=100"))["items"]} == {"space", "room"}


# --- which Spaces a company is listed for


async def test_the_partner_lists_the_spaces_of_its_open_partnerships(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    (space,) = (await company_of(fake_hub)).direct
    assert (await charter_of(fake_hub, space)).direct
    assert (await company_of(fake_hub, "contoso")).direct == (), "the host's list would be endless"
    await fake_hub.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north", "template": "supplier"})
    assert (await company_of(fake_hub)).direct == (space,), "its template has no direct rooms"
    await fake_hub.api("POST", "/v1/partnerships/acme/close", {"reason": "over"})
    assert (await company_of(fake_hub)).direct == ()
    await fake_hub.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
    assert len((await company_of(fake_hub)).direct) == 1


async def test_a_suspension_does_not_lose_the_list(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    before = (await company_of(fake_hub)).direct
    await fake_hub.api("POST", "/v1/companies/acme/suspend", {"reason": "late"})
    assert (await company_of(fake_hub)).direct == before
    await fake_hub.api("POST", "/v1/companies/acme/resume")
    assert (await company_of(fake_hub)).direct == before


async def test_the_oldest_partnership_comes_first_in_the_list(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    async with fake_hub.hub.services.db.begin() as tx:
        for key in ("rm_b", "rm_a", "rm_b"):
            await DocumentStore(tx).list_direct("acme", key, fake_hub.clock(), listed=True)
    assert (await company_of(fake_hub)).direct[1:] == ("rm_b", "rm_a")
