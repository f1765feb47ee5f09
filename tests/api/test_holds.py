"""Holds, upload limits, sessions: what the API changes, what the ledger and the guard's documents then say."""

from typing import Any

import pytest

from spaces.store import DocumentStore
from tests.fakes.hub import FakeHub


async def officer(hub: FakeHub) -> str:
    """The credential of a compliance officer."""
    person = await hub.add_person("contoso")
    await hub.api("POST", "/v1/roles/grant", {"person": person, "role": "compliance-officer"})
    return str((await hub.api("POST", "/v1/credentials", {"person": person, "device": "d"}))["token"])


async def charters(hub: FakeHub) -> list[bool]:
    """Whether each charter of the partnership is held."""
    keys = [room["key"] for room in (await hub.api("GET", "/v1/partnerships/acme"))["rooms"]]
    async with hub.hub.services.db.read() as connection:
        found = await DocumentStore(connection).charters(keys)
    return [charter.held for charter in found.values()]


async def place(hub: FakeHub, token: str, **target: str) -> dict[str, Any]:
    answer = await hub.api("POST", "/v1/holds", {"reason": "case 7", **target}, token=token)
    assert answer["enforced"]
    return dict(answer["hold"])


async def test_a_hold_on_a_partnership_covers_its_rooms_until_the_last_one_is_lifted(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    token = await officer(fake_hub)
    first, second = [await place(fake_hub, token, partnership="acme") for _ in range(2)]
    assert set(await charters(fake_hub)) == {True}
    for hold, held in ((first, True), (second, False)):
        lifted = await fake_hub.api("POST", f"/v1/holds/{hold['id']}/lift", {"reason": "settled"}, token=token)
        assert lifted["hold"]["lifted_at"]
        assert set(await charters(fake_hub)) == {held}
    again = await fake_hub.request("POST", f"/v1/holds/{first['id']}/lift", {"reason": "x"}, token=token)
    assert (again.status, again.body["detail"]) == (409, f"{first['id']} was lifted already")
    placed, lifted_entries = await fake_hub.entries("hold.placed"), await fake_hub.entries("hold.lifted")
    assert [len(placed), len(lifted_entries)] == [2, 2]
    assert placed[0]["data"] == {"hold": first["id"], "partnership": "acme", "reason": "case 7"}
    assert (placed[0]["engagement"], placed[0]["companies"]) == ("acme", ["acme", "contoso"])


async def test_a_partnership_under_hold_can_be_closed_and_stays_held(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    await place(fake_hub, await officer(fake_hub), partnership="acme")
    await fake_hub.api("POST", "/v1/partnerships/acme/close", {"reason": "over"})
    assert set(await charters(fake_hub)) == {True}


async def test_a_hold_on_a_person_stays_through_other_changes(fake_hub: FakeHub) -> None:
    token = await officer(fake_hub)
    user_id = await fake_hub.add_person("contoso", teams=("north",))
    hold = await place(fake_hub, token, person=user_id)

    async def held() -> bool:
        async with fake_hub.hub.services.db.read() as connection:
            record = await DocumentStore(connection).person(user_id)
        assert record is not None
        return record.held

    assert await held()
    await fake_hub.api("POST", "/v1/teams/south/join", {"person": user_id})
    assert await held()
    await fake_hub.api("POST", f"/v1/holds/{hold['id']}/lift", {"reason": "settled"}, token=token)
    assert not await held()


@pytest.mark.parametrize("body", [{}, {"partnership": "acme", "person": "x"}])
async def test_a_hold_covers_one_thing(sqlite_hub: FakeHub, body: dict[str, str]) -> None:
    token = await officer(sqlite_hub)
    answer = await sqlite_hub.request("POST", "/v1/holds", {"reason": "x", **body}, token=token)
    assert (answer.status, answer.body["detail"]) == (
        422,
        "a hold covers a partnership, a committee or a person: name one of them",
    )


@pytest.mark.parametrize("target", [{"partnership": "nobody"}, {"person": "nobody"}])
async def test_what_there_is_not_cannot_be_held(sqlite_hub: FakeHub, target: dict[str, str]) -> None:
    token = await officer(sqlite_hub)
    answer = await sqlite_hub.request("POST", "/v1/holds", {"reason": "x", **target}, token=token)
    assert (answer.status, answer.body["code"]) == (404, "not_found")
    assert (await sqlite_hub.api("GET", "/v1/holds", token=token))["items"] == []
    assert (await sqlite_hub.request("POST", "/v1/holds/hld_x/lift", {"reason": "x"}, token=token)).status == 404


async def test_only_compliance_officers_place_and_lift_holds(sqlite_hub: FakeHub) -> None:
    await sqlite_hub.stage()
    answer = await sqlite_hub.request("POST", "/v1/holds", {"reason": "x", "partnership": "acme"})
    assert (answer.status, answer.body["code"]) == (403, "forbidden")
    assert set(await charters(sqlite_hub)) == {False}


async def test_an_upload_limit_is_set_changed_and_lifted(fake_hub: FakeHub) -> None:
    company = {"id": "acme", "name": "Acme", "max_upload": 10_000_000}
    assert (await fake_hub.api("POST", "/v1/companies", company))["max_upload"] == 10_000_000
    for limit in (5_000_000, None):
        changed = await fake_hub.api("POST", "/v1/companies/acme/change", {"max_upload": limit})
        assert (changed["company"]["max_upload"], changed["enforced"]) == (limit, True)
        async with fake_hub.hub.services.db.read() as connection:
            record = await DocumentStore(connection).company("acme")
        assert record is not None
        assert record.max_upload == limit
    entries = [entry["data"] for entry in await fake_hub.entries("company.changed")]
    assert entries == [
        {"company": "acme", "max_upload": 5_000_000, "before": 10_000_000},
        {"company": "acme", "max_upload": None, "before": 5_000_000},
    ]
    assert (await fake_hub.entries("company.added"))[-1]["data"]["max_upload"] == 10_000_000


@pytest.mark.parametrize("limit", [0, -1, "10M"])
async def test_a_limit_is_a_number_of_bytes(sqlite_hub: FakeHub, limit: Any) -> None:
    await sqlite_hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
    for path, body in (("/v1/companies/acme/change", {}), ("/v1/companies", {"id": "other", "name": "Other"})):
        answer = await sqlite_hub.request("POST", path, {**body, "max_upload": limit})
        assert (answer.status, answer.body["field"]) == (422, "max_upload")


# --- sessions of who is shut out


async def test_sessions_end_once_for_each_time_that_somebody_is_shut_out(fake_hub: FakeHub) -> None:
    sessions, ended = fake_hub.hub.services.sessions, fake_hub.homeserver.ended
    await fake_hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
    bob = await fake_hub.add_person("acme")
    await sessions.run_once()
    assert ended == []
    for count in (1, 2):
        await fake_hub.api("POST", f"/v1/people/{bob}/suspend", {"reason": "x"})
        for _ in range(2):
            await sessions.run_once()
        assert ended == [bob] * count
        await fake_hub.api("POST", f"/v1/people/{bob}/resume")
        await sessions.run_once()
    assert len(await fake_hub.entries("sessions.ended")) == 2


async def test_sessions_of_a_company_end_when_it_is_suspended_and_when_its_contract_is_over(fake_hub: FakeHub) -> None:
    sessions, ended = fake_hub.hub.services.sessions, fake_hub.homeserver.ended
    await fake_hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme", "until": "2027-02-01"})
    await fake_hub.api("POST", "/v1/companies", {"id": "other", "name": "Other"})
    first, second = await fake_hub.add_person("acme"), await fake_hub.add_person("other")
    await sessions.run_once()
    assert ended == []
    await fake_hub.api("POST", "/v1/companies/other/suspend", {"reason": "x"})
    await sessions.run_once()
    assert ended == [second]
    fake_hub.clock.now += 366 * 86_400_000
    await sessions.run_once()
    assert ended == [second, first]


async def test_a_homeserver_that_is_down_is_asked_again(sqlite_hub: FakeHub) -> None:
    await sqlite_hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
    bob = await sqlite_hub.add_person("acme")
    await sqlite_hub.api("POST", f"/v1/people/{bob}/suspend", {"reason": "x"})
    sqlite_hub.homeserver.down = True
    with pytest.raises(Exception, match="does not answer"):
        await sqlite_hub.hub.services.sessions.run_once()
    sqlite_hub.homeserver.down = False
    await sqlite_hub.hub.services.sessions.run_once()
    assert sqlite_hub.homeserver.ended == [bob]
