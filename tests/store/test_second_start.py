"""What a hub does when it is started again: on a credential near its end, a changed setting, an older homeserver."""

from pathlib import Path

import pytest

from bridge.app import open_hub
from config.clock import DAY
from config.errors import SettingsError
from config.settings import HostSettings
from tests.fakes.hub import FakeHub, fake_settings, start_fake_hub


async def local_credential(hub: FakeHub) -> dict[str, object]:
    me = await hub.api("GET", "/v1/whoami")
    return {"id": me["credential"], "until": me["expires_at"]}


async def test_the_local_credential_is_renewed_near_its_end_and_it_is_an_entry(
    tmp_path: Path, database_url: str
) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        first = await local_credential(hub)
        homeserver, clock = hub.homeserver, hub.clock
    clock.now += 50 * DAY
    async with start_fake_hub(tmp_path, database_url, homeserver=homeserver, clock=clock) as hub:
        assert await local_credential(hub) == first, "there is time"
        assert not await hub.entries("credential.renewed")
    clock.now += 50 * DAY
    async with start_fake_hub(tmp_path, database_url, homeserver=homeserver, clock=clock) as hub:
        later = await local_credential(hub)
        assert (later["id"], later["until"]) == (first["id"], "2027-07-24T08:00:00.000Z")
        (entry,) = await hub.entries("credential.renewed")
        assert entry["actor"] == {"system": "bootstrap"}
        assert entry["data"]["credential"] == first["id"]


async def test_a_local_credential_that_is_gone_is_made_anew_and_a_revoked_one_stays_revoked(
    tmp_path: Path, database_url: str
) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        first = await local_credential(hub)
        homeserver, clock = hub.homeserver, hub.clock
        await hub.api("POST", f"/v1/credentials/{first['id']}/revoke")
    async with start_fake_hub(tmp_path, database_url, homeserver=homeserver, clock=clock) as hub:
        assert (await hub.request("GET", "/v1/whoami")).status == 401
        hub.state.admin_credential.unlink()
    async with start_fake_hub(tmp_path, database_url, homeserver=homeserver, clock=clock) as hub:
        assert (await local_credential(hub))["id"] != first["id"]
        assert len(await hub.entries("credential.issued")) == 2


async def test_another_host_is_one_sentence_and_changes_nothing(tmp_path: Path, database_url: str) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        state = hub.state
    settings = fake_settings(tmp_path, database_url).model_copy(update={"host": HostSettings(id="fabrikam")})
    with pytest.raises(SettingsError, match=r"host\.id is 'fabrikam', but this hub belongs to 'contoso'") as raised:
        async with open_hub(settings, state, migrate=False):
            pass
    assert raised.value.hint.startswith("set host.id back to 'contoso'")


async def test_a_homeserver_put_back_from_a_backup_gets_what_it_forgot(tmp_path: Path, database_url: str) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        await hub.stage()
        person = "@person2.acme:conclave.test"
        backup = dict(hub.homeserver.documents)
        await hub.api("POST", f"/v1/people/{person}/suspend", {"reason": "left"})
        assert hub.homeserver.documents["person", person][1]["standing"] == "suspended"
        hub.homeserver.documents = backup
        hub.homeserver.instance = "restarted"
        await hub.hub.link.look()
        assert hub.homeserver.documents["person", person][1]["standing"] == "suspended"


async def test_a_hub_put_back_from_a_backup_does_not_fall_over_what_the_guard_knows_better(
    tmp_path: Path, database_url: str
) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        await hub.stage()
        for key, (version, body) in hub.homeserver.documents.items():
            hub.homeserver.documents[key] = (version + 1_000, body)
        hub.homeserver.instance = "restarted"
        await hub.hub.link.look()
        hub.clock.now += 2_000
        person = "@person2.acme:conclave.test"
        answer = await hub.api("POST", f"/v1/people/{person}/suspend", {"reason": "left"})
        assert answer["enforced"]


async def test_a_room_of_one_side_is_not_listed_in_the_space_of_both(fake_hub: FakeHub) -> None:
    await fake_hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
    await fake_hub.add_person("contoso", teams=("north",))
    await fake_hub.add_person("acme")
    await fake_hub.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north", "template": "supplier"})
    await fake_hub.settle()
    rooms = (await fake_hub.api("GET", "/v1/partnerships/acme"))["rooms"]
    by_name = {room["name"]: room["room_id"] for room in rooms}
    space = next(room["room_id"] for room in rooms if room["kind"] == "space")
    state = fake_hub.homeserver.rooms[space].state
    assert {key for kind, key in state if kind == "m.space.child"} == {by_name["General"], by_name["Quality"]}
    assert {room["name"]: room["members"] for room in rooms}["Our side"] == 1, "the hub itself is not counted"


async def test_a_second_invitation_has_the_new_name_and_role(fake_hub: FakeHub) -> None:
    await fake_hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
    body = {"company": "acme", "name": "Bob Le", "email": "bob@acme.example"}
    first = await fake_hub.api("POST", "/v1/people", body)
    again = await fake_hub.api("POST", "/v1/people", {**body, "name": "Bob Lee", "role": "company-admin"})
    assert first["person"]["id"] == again["person"]["id"]
    shown = await fake_hub.api("GET", f"/v1/people/{first['person']['id']}")
    assert (shown["name"], shown["role"]) == ("Bob Lee", "company-admin")


async def test_what_was_answered_is_counted_by_its_status(fake_hub: FakeHub) -> None:
    await fake_hub.request("GET", "/v1/companies/nobody")
    async with fake_hub.client.get("/metrics") as answer:
        text = await answer.text()
    assert 'conclave_http_requests_total{operation="show-company",status="404"}' in text
    assert 'status="500"' not in text
