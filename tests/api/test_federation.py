"""A company with a homeserver of its own through the API and the pages, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.helper.store import HelperStore
from config.settings import FederationSettings
from tests.fakes.hub import FakeHub, start_fake_hub
from tests.live import PASSWORD

SERVER = "partner.example"
ACME = {"id": "acme", "name": "Acme", "homeserver": SERVER}
BOB = f"@bob:{SERVER}"


@pytest.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[FakeHub]:
    """A hub that the operator opened to one partner's server."""
    federation = FederationSettings(servers=(SERVER, "second.example"))
    async with start_fake_hub(tmp_path, database_url, federation=federation) as found:
        yield found


async def invite(hub: FakeHub, company: str = "acme", name: str = "Bob", **more: Any) -> str:
    """The secret of an enrolment link."""
    body = {"company": company, "name": name, "email": f"{name.lower()}@{company}.example", **more}
    return str((await hub.api("POST", "/v1/people", body))["link"]).rpartition("/")[2]


async def enrol(hub: FakeHub, secret: str, user_id: str = BOB) -> Any:
    return await hub.request("POST", "/v1/enrol/remote", {"secret": secret, "user_id": user_id}, token="")


async def test_without_federation_a_company_cannot_bring_its_server(fake_hub: FakeHub) -> None:
    answer = await fake_hub.request("POST", "/v1/companies", ACME)
    assert (answer.status, answer.body["code"]) == (409, "conflict")
    assert answer.body["detail"] == "this hub has no federation: a company cannot bring its own homeserver"
    assert [one["id"] for one in (await fake_hub.api("GET", "/v1/companies"))["items"]] == ["contoso"]


async def test_one_server_belongs_to_one_company(hub: FakeHub) -> None:
    assert (await hub.api("POST", "/v1/companies", ACME))["homeserver"] == SERVER
    assert (await hub.entries("company.added"))[-1]["data"]["server"] == SERVER
    for change, status, says in (
        ({"id": "other"}, 409, "the homeserver partner.example belongs to acme"),
        ({"id": "other", "homeserver": "conclave.test"}, 422, "conclave.test is the hub's own homeserver"),
        ({"id": "other", "homeserver": "evil.example"}, 422, "homeserver 'evil.example': expected one of "),
        (
            {"homeserver": "second.example"},
            409,
            "there is a company 'acme' already; its homeserver was fixed when it was added",
        ),
    ):
        answer = await hub.request("POST", "/v1/companies", {**ACME, **change})
        assert answer.status == status, answer
        assert answer.body["detail"].startswith(says)


async def test_enrolment_binds_an_account_on_the_companys_server(hub: FakeHub) -> None:
    await hub.api("POST", "/v1/companies", ACME)
    secret = await invite(hub)
    answer = await hub.request(
        "POST", "/v1/enrol", {"secret": secret, "username": "bob", "password": PASSWORD}, token=""
    )
    assert (answer.status, answer.body["field"]) == (422, "username")
    assert "people of Acme have their accounts on partner.example" in answer.body["detail"]
    answer = await enrol(hub, secret, "@bob:evil.example")
    assert (answer.status, answer.body["field"]) == (422, "user_id")
    answer = await enrol(hub, secret)
    assert (answer.status, answer.body["user_id"], answer.body["homeserver"]) == (201, BOB, SERVER)
    assert BOB not in hub.homeserver.accounts
    assert (await hub.api("GET", f"/v1/people/{BOB}"))["status"] == "active"
    assert (await enrol(hub, secret)).status == 410, "a link works once"
    answer = await enrol(hub, await invite(hub, name="Carol"))
    assert (answer.status, "is taken in your company" in answer.body["detail"]) == (422, True)


async def test_a_company_without_a_server_has_its_accounts_here(hub: FakeHub) -> None:
    await hub.api("POST", "/v1/companies", {"id": "plain", "name": "Plain"})
    answer = await enrol(hub, await invite(hub, "plain"), "@bob:conclave.test")
    assert (answer.status, answer.body["field"]) == (422, "user_id")
    assert answer.body["detail"] == ("Plain has no homeserver of its own; choose a user name for an account here")


async def stage(hub: FakeHub) -> dict[str, str]:
    """A partnership with Bob invited; its rooms by name."""
    await hub.api("POST", "/v1/companies", ACME)
    await hub.add_person("contoso", teams=("north",))
    assert (await enrol(hub, await invite(hub))).status == 201
    await hub.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
    await hub.settle()
    found = await hub.api("GET", "/v1/partnerships/acme")
    assert found["settled"], found
    return {("space" if room["kind"] == "space" else room["name"]): room["room_id"] for room in found["rooms"]}


def state(hub: FakeHub, room_id: str, event_type: str, key: str = "") -> dict[str, Any]:
    return hub.homeserver.rooms[room_id].state[event_type, key]


async def test_the_rooms_of_the_partnership_are_open_to_the_server_and_people_invited(hub: FakeHub) -> None:
    for room_id in (await stage(hub)).values():
        assert state(hub, room_id, "m.room.create")["m.federate"] is True
        assert state(hub, room_id, "m.room.server_acl")["allow"] == ["conclave.test", SERVER]
        assert state(hub, room_id, "m.room.member", BOB)["membership"] == "invite"


async def test_suspension_closes_the_server_out_and_resuming_invites_again(hub: FakeHub) -> None:
    room_id = (await stage(hub))["Deals"]
    hub.homeserver.join(room_id, BOB)
    await hub.settle()
    await hub.api("POST", "/v1/companies/acme/suspend", {"reason": "unpaid"})
    await hub.settle()
    assert state(hub, room_id, "m.room.server_acl")["allow"] == ["conclave.test"]
    assert state(hub, room_id, "m.room.member", BOB)["membership"] == "leave"
    await hub.api("POST", "/v1/companies/acme/resume")
    await hub.settle()
    assert state(hub, room_id, "m.room.server_acl")["allow"] == ["conclave.test", SERVER]
    assert state(hub, room_id, "m.room.member", BOB)["membership"] == "invite"
    await hub.api("POST", "/v1/partnerships/acme/close", {"reason": "over"})
    await hub.settle()
    assert state(hub, room_id, "m.room.server_acl")["allow"] == ["conclave.test"]


async def test_what_the_homeserver_keeps_from_everybody_is_recorded_and_believed_by_nobody(hub: FakeHub) -> None:
    room_id = (await stage(hub))["Deals"]
    before = len(await hub.entries("event.refused"))
    event = {
        "event_id": "$refused",
        "room_id": room_id,
        "type": "m.room.member",
        "sender": BOB,
        "state_key": BOB,
        "origin_server_ts": hub.clock.now,
        "content": {"membership": "join"},
        "unsigned": {"org.conclave.withheld": True},
    }
    other = {**event, "event_id": "$name", "type": "m.room.name", "state_key": "", "content": {"name": "x"}}
    await hub.hub.services.feed.accept("refused", [event, other])
    entries = await hub.entries("event.refused")
    assert [entry["data"]["event_id"] for entry in entries[before:]] == ["$refused", "$name"]
    assert (await hub.api("GET", f"/v1/rooms/{room_id}"))["people"].count(BOB) == 0
    await hub.settle()
    assert state(hub, room_id, "m.room.name")["name"] == "Deals"
    assert state(hub, room_id, "m.room.member", BOB)["membership"] == "invite"


async def test_who_is_elsewhere_has_no_sessions_here_and_no_chat_with_the_helper(hub: FakeHub) -> None:
    """Synapse answers for its own accounts only: one person elsewhere would hold up everybody behind them."""
    await stage(hub)
    services, ended = hub.hub.services, hub.homeserver.ended
    async with services.db.read() as connection:
        newcomers = {one.user_id for one in await HelperStore(connection).newcomers(100)}
    here = await hub.add_person("contoso")
    await hub.api("POST", "/v1/companies/acme/suspend", {"reason": "unpaid"})
    await hub.api("POST", f"/v1/people/{here}/suspend", {"reason": "x"})
    await services.sessions.run_once()
    assert ended == [here]
    assert len(await hub.entries("sessions.ended")) == 1
    assert newcomers
    assert BOB not in newcomers


async def test_the_page_asks_for_the_address_and_for_no_password(hub: FakeHub) -> None:
    await hub.api("POST", "/v1/companies", ACME)
    secret = await invite(hub)
    async with hub.client.get(f"/enrol/{secret}") as response:
        page = await response.text()
    assert "@you:partner.example" in page
    assert "password" not in page.lower()
    async with hub.client.post(f"/enrol/{secret}", data={"user_id": "@bob:evil.example"}) as response:
        assert response.status == 422
        assert "expected one on your company" in await response.text()
    async with hub.client.post(f"/enrol/{secret}", data={"user_id": BOB}) as response:
        page = await response.text()
    assert "Look into your Matrix client" in page
    assert BOB in page
    async with hub.client.post(f"/enrol/{secret}", data={"user_id": BOB}) as response:
        assert response.status == 410
