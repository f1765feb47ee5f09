"""Companies, people, teams, partnerships through the API, on both databases: what is done, and what bad input gets."""

import asyncio
from typing import Any

import pytest

from config.clock import DAY, HOUR
from tests.fakes.hub import FakeHub
from tests.live import PASSWORD

ACME = {"id": "acme", "name": "Acme"}


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"id": "Acme"}, "id", 'id = "Acme": expected 1 to 40 lower-case letters, digits and hyphens'),
        ({"id": ""}, "id", 'id = ""'),
        ({"id": "a" * 41}, "id", "id = "),
        ({"name": ""}, "name", 'name = ""'),
        ({"name": "a\nb"}, "name", "expected one line of text without control characters"),
        ({"name": "   "}, "name", "expected 1 to 100 printable characters"),
        ({"kind": "host"}, "kind", 'kind = "host"'),
        ({"seats": 0}, "seats", "seats = 0"),
        ({"seats": "ten"}, "seats", 'seats = "ten"'),
        ({"until": "31.12.2027"}, "until", 'until = "31.12.2027": expected a day such as 2027-12-31'),
        ({"until": "2027-02-30"}, "until", "is not a date such as 2027-12-31"),
        ({"until": "2001-01-01"}, "until", "expected a date in the future"),
        ({"colour": "red"}, "colour", "colour = "),
    ],
)
async def test_a_company_that_does_not_fit_is_refused_in_words(
    fake_hub: FakeHub, change: dict[str, Any], field: str, says: str
) -> None:
    answer = await fake_hub.request("POST", "/v1/companies", {**ACME, **change})
    assert (answer.status, answer.body["code"], answer.body["field"]) == (422, "invalid_input", field)
    assert says in answer.body["detail"]
    assert (await fake_hub.api("GET", "/v1/companies"))["items"][0]["id"] == "contoso"


async def test_a_company_is_entered_once(fake_hub: FakeHub) -> None:
    await fake_hub.api("POST", "/v1/companies", {**ACME, "external_id": "CRM-7", "until": "2099-12-31", "seats": 3})
    shown = await fake_hub.api("GET", "/v1/companies/acme")
    assert (shown["until"], shown["seats"], shown["external_id"]) == ("2099-12-31", 3, "CRM-7")
    answer = await fake_hub.request("POST", "/v1/companies", ACME)
    assert (answer.status, answer.body["detail"]) == (409, "there is a company 'acme' already")
    answer = await fake_hub.request("POST", "/v1/companies", {"id": "other", "name": "Other", "external_id": "CRM-7"})
    assert (answer.status, answer.body["detail"]) == (409, "the external id 'CRM-7' belongs to acme")


async def test_what_does_not_exist_is_not_found(fake_hub: FakeHub) -> None:
    for path in ("companies/x", "people/x", "teams/x", "partnerships/x", "rooms/x", "ledger/entries/999", "nothing"):
        answer = await fake_hub.request("GET", f"/v1/{path}")
        assert (answer.status, answer.body["code"]) == (404, "not_found"), path


async def test_lists_come_in_pages(fake_hub: FakeHub) -> None:
    for number in range(7):
        await fake_hub.api("POST", "/v1/companies", {"id": f"c{number}", "name": f"C {number}"})
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await fake_hub.api("GET", f"/v1/companies?limit=3&cursor={cursor}")
        assert len(page["items"]) <= 3
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert found == [*[f"c{number}" for number in range(7)], "contoso"]
    answer = await fake_hub.request("GET", "/v1/companies?cursor=%F0")
    assert (answer.status, answer.body["field"]) == (422, "cursor")
    assert (await fake_hub.request("GET", "/v1/companies?limit=0")).status == 422


async def invite(hub: FakeHub, company: str = "acme", email: str = "bob@acme.example", **more: Any) -> dict[str, Any]:
    return await hub.api("POST", "/v1/people", {"company": company, "name": "Bob Lee", "email": email, **more})


def secret(invitation: dict[str, Any]) -> str:
    return str(invitation["link"]).rpartition("/")[2]


async def enrol(hub: FakeHub, secret: str, username: str = "bob", password: str = PASSWORD) -> Any:
    body = {"secret": secret, "username": username, "password": password}
    return await hub.request("POST", "/v1/enrol", body, token="")


@pytest.fixture
async def acme(fake_hub: FakeHub) -> FakeHub:
    await fake_hub.api("POST", "/v1/companies", {**ACME, "seats": 2})
    return fake_hub


async def test_a_link_works_once(acme: FakeHub) -> None:
    link = secret(await invite(acme))
    first = await enrol(acme, link)
    assert (first.status, first.body["user_id"]) == (201, "@bob.acme:conclave.test")
    again = await enrol(acme, link, "bobby")
    assert (again.status, again.body["detail"]) == (410, "this link was used already, or replaced by a newer one")


async def test_a_link_expires(acme: FakeHub) -> None:
    link = secret(await invite(acme))
    acme.clock.now += 168 * HOUR
    answer = await enrol(acme, link)
    assert (answer.status, answer.body["detail"]) == (410, "this link has expired")


async def test_a_new_link_replaces_the_old(acme: FakeHub) -> None:
    old, new = secret(await invite(acme)), secret(await invite(acme))
    assert (await enrol(acme, old)).status == 410
    assert (await enrol(acme, new)).status == 201


async def test_an_invented_link_is_none(acme: FakeHub) -> None:
    answer = await enrol(acme, "x" * 43)
    assert (answer.status, answer.body["detail"]) == (410, "this link is not one of ours")


@pytest.mark.parametrize(
    ("username", "password", "field"),
    [
        ("", PASSWORD, "username"),
        ("Bob Lee", PASSWORD, "username"),
        ("-bob", PASSWORD, "username"),
        ("b" * 33, PASSWORD, "username"),
        ("bob@x", PASSWORD, "username"),
        ("bob..lee", PASSWORD, "username"),
        ("conclave-helper", PASSWORD, "username"),
        ("Admin", PASSWORD, "username"),
        ("bob", "short", "password"),
    ],
)
async def test_a_bad_choice_leaves_the_link_good(acme: FakeHub, username: str, password: str, field: str) -> None:
    link = secret(await invite(acme))
    answer = await enrol(acme, link, username, password)
    assert (answer.status, answer.body["field"]) == (422, field)
    assert password == PASSWORD or password not in answer.body["detail"]
    assert (await enrol(acme, link)).status == 201


async def test_a_name_is_taken_within_the_company_only(acme: FakeHub) -> None:
    await enrol(acme, secret(await invite(acme)))
    answer = await enrol(acme, secret(await invite(acme, email="bob2@acme.example")))
    assert answer.status == 422
    assert "is taken in your company; choose another" in answer.body["detail"]
    await acme.api("POST", "/v1/companies", {"id": "other", "name": "Other"})
    other = await enrol(acme, secret(await invite(acme, "other", "bob@other.example")))
    assert (other.status, other.body["user_id"]) == (201, "@bob.other:conclave.test")


async def test_a_homeserver_that_does_not_answer_leaves_the_link_good(acme: FakeHub) -> None:
    link = secret(await invite(acme))
    acme.homeserver.down = True
    answer = await enrol(acme, link)
    assert (answer.status, answer.body["code"]) == (503, "homeserver_unavailable")
    acme.homeserver.down = False
    assert (await enrol(acme, link)).status == 201


async def test_two_at_once_with_one_link_make_one_account(acme: FakeHub) -> None:
    link = secret(await invite(acme))
    answers = await asyncio.gather(*(enrol(acme, link, f"bob{number}") for number in range(4)))
    assert sorted(answer.status for answer in answers)[0] == 201
    assert sum(answer.status == 201 for answer in answers) == 1
    assert len(await acme.entries("person.enrolled")) == 1


async def test_seats_bound_the_people(acme: FakeHub) -> None:
    for number in range(2):
        await invite(acme, email=f"p{number}@acme.example")
    body = {"company": "acme", "name": "Third", "email": "p3@acme.example"}
    answer = await acme.request("POST", "/v1/people", body)
    assert (answer.status, answer.body["detail"]) == (409, "all 2 seats of Acme are taken")


async def test_an_address_belongs_to_one_person(acme: FakeHub) -> None:
    await enrol(acme, secret(await invite(acme)))
    answer = await acme.request("POST", "/v1/people", {"company": "acme", "name": "B", "email": "BOB@acme.example"})
    assert (answer.status, answer.body["detail"]) == (409, "bob@acme.example belongs to a person of acme (active)")
    answer = await acme.request("POST", "/v1/people", {"company": "acme", "name": "B", "email": "sales@fabrikam"})
    assert answer.body["detail"] == "email 'sales@fabrikam' is not an address such as bob@northwind.example"


async def test_a_suspended_company_takes_back_its_invitations(acme: FakeHub) -> None:
    link = secret(await invite(acme))
    await acme.api("POST", "/v1/companies/acme/suspend", {"reason": "unpaid"})
    assert (await enrol(acme, link)).body["detail"] == "this invitation was taken back"
    answer = await acme.request("POST", "/v1/people", {"company": "acme", "name": "B", "email": "b@acme.example"})
    assert (answer.status, answer.body["detail"]) == (409, "Acme is suspended")


async def test_the_host_is_not_suspended(fake_hub: FakeHub) -> None:
    answer = await fake_hub.request("POST", "/v1/companies/contoso/suspend", {"reason": "x"})
    assert (answer.status, answer.body["code"]) == (409, "conflict")


async def test_teams_are_of_the_host(acme: FakeHub) -> None:
    bob = (await invite(acme))["person"]["id"]
    answer = await acme.request("POST", "/v1/teams/north/join", {"person": bob})
    assert (answer.status, answer.body["detail"]) == (422, "teams are of the host company contoso, not of acme")


async def test_a_partnership_needs_a_team_a_template_and_a_partner_in_good_standing(acme: FakeHub) -> None:
    good = {"partner": "acme", "team": "north", "template": "reseller"}
    answer = await acme.request("POST", "/v1/partnerships", good)
    assert (answer.status, answer.body["detail"]) == (404, "nobody is in a team 'north'")
    await acme.add_person("contoso", teams=("north",))
    for change, status, says in (
        ({"template": "none"}, 422, "no template 'none', expected one of reseller, supplier"),
        ({"partner": "contoso"}, 422, "contoso is the host itself; a partnership needs another"),
        ({"partner": "nobody"}, 404, "no company 'nobody'"),
    ):
        answer = await acme.request("POST", "/v1/partnerships", {**good, **change})
        assert (answer.status, answer.body["detail"]) == (status, says)
    await acme.api("POST", "/v1/companies/acme/suspend", {"reason": "unpaid"})
    answer = await acme.request("POST", "/v1/partnerships", good)
    assert (answer.status, answer.body["detail"]) == (409, "Acme is suspended")


async def test_one_partnership_of_a_kind_at_a_time(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    again = {"partner": "acme", "team": "north", "template": "reseller"}
    answer = await fake_hub.request("POST", "/v1/partnerships", again)
    assert (answer.status, answer.body["detail"]) == (409, "a reseller partnership with acme is open already")
    other = await fake_hub.api("POST", "/v1/partnerships", {**again, "template": "supplier"})
    assert other["id"] == "acme-2"
    await fake_hub.api("POST", "/v1/partnerships/acme/close", {"reason": "done"})
    answer = await fake_hub.request("POST", "/v1/partnerships/acme/close", {"reason": "done"})
    assert (answer.status, answer.body["detail"]) == (409, "acme is closed already")
    assert (await fake_hub.api("POST", "/v1/partnerships", again))["id"] == "acme-3"


async def test_a_contract_that_has_ended_opens_nothing(fake_hub: FakeHub) -> None:
    await fake_hub.api("POST", "/v1/companies", {**ACME, "until": "2027-12-31"})
    await fake_hub.add_person("contoso", teams=("north",))
    fake_hub.clock.now += 80 * DAY
    more = {"partner": "acme", "team": "north"}
    assert (await fake_hub.request("POST", "/v1/partnerships", more)).status == 201
    await fake_hub.api("POST", "/v1/partnerships/acme/close", {"reason": "x"})
    fake_hub.clock.now = 1_830_297_600_000  # 2028-01-01
    token = await _fresh_token(fake_hub)
    answer = await fake_hub.request("POST", "/v1/partnerships", more, token=token)
    assert (answer.status, answer.body["detail"]) == (409, "the contract with Acme has ended")


async def _fresh_token(hub: FakeHub) -> str:
    """The administrator's credential has expired by then: another one, made underneath."""
    access = hub.hub.services.access
    _, token = await access.issue("dana@contoso.example", "test", days=1, actor="prs_test")
    return token
