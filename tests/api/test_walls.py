"""Walls through the API, on both databases: who, what is refused, and what the ledger tells."""

import asyncio
from typing import Any

import pytest

from tests.api.test_access import credential_of
from tests.fakes.hub import FakeHub

WALL = {"first": "fabrikam", "second": "acme", "reason": "same tender"}


@pytest.fixture
async def officer(fake_hub: FakeHub) -> str:
    """A compliance officer's token; companies acme and fabrikam, and a team north."""
    for company in ("acme", "fabrikam"):
        await fake_hub.api("POST", "/v1/companies", {"id": company, "name": company.title()})
    await fake_hub.add_person("contoso", teams=("north",))
    return (await credential_of(fake_hub, "compliance-officer"))[1]


async def refused(hub: FakeHub, token: str, **change: str) -> tuple[int, str, str]:
    answer = await hub.request("POST", "/v1/walls", {**WALL, **change}, token=token)
    return answer.status, answer.body["code"], answer.body["detail"]


async def test_a_wall_from_first_to_last(fake_hub: FakeHub, officer: str) -> None:
    added = await fake_hub.api("POST", "/v1/walls", WALL, token=officer)
    assert (added["first"], added["second"], added["reason"]) == ("acme", "fabrikam", "same tender")
    assert (await fake_hub.api("GET", "/v1/walls"))["items"] == [added]
    down = await fake_hub.api("POST", "/v1/walls/fabrikam/acme/remove", {"reason": "tender over"}, token=officer)
    assert down == added
    assert (await fake_hub.api("GET", "/v1/walls"))["items"] == []
    entries = [*await fake_hub.entries("wall.added"), *await fake_hub.entries("wall.removed")]
    assert [(entry["kind"], entry["data"]["first"], entry["data"]["second"]) for entry in entries] == [
        ("wall.added", "acme", "fabrikam"),
        ("wall.removed", "acme", "fabrikam"),
    ]
    assert [entry["data"]["reason"] for entry in entries] == ["same tender", "tender over"]
    assert all(entry["companies"] == ["contoso"] for entry in entries), "an export for one would tell of the other"


async def test_what_is_no_wall_is_refused_in_words(fake_hub: FakeHub, officer: str) -> None:
    assert await refused(fake_hub, officer, second="fabrikam") == (
        422, "invalid_input", "fabrikam twice: a wall stands between two companies",
    )  # fmt: skip
    assert await refused(fake_hub, officer, second="nobody") == (404, "not_found", "no company 'nobody'")
    status, code, detail = await refused(fake_hub, officer, first="Fabrikam")
    assert (status, code) == (422, "invalid_input")
    assert detail.startswith('first = "Fabrikam": expected 1 to 40 lower-case letters, digits and hyphens')
    assert (await refused(fake_hub, officer, reason=""))[0] == 422
    await fake_hub.api("POST", "/v1/walls", WALL, token=officer)
    for again in ({}, {"first": "acme", "second": "fabrikam"}):
        assert await refused(fake_hub, officer, **again) == (
            409, "conflict", "there is a wall between acme and fabrikam already",
        )  # fmt: skip
    answer = await fake_hub.request("POST", "/v1/walls/acme/contoso/remove", {"reason": "x"}, token=officer)
    assert (answer.status, answer.body["detail"]) == (404, "no wall between acme and contoso")
    answer = await fake_hub.request("POST", "/v1/walls/acme/acme/remove", {"reason": "x"}, token=officer)
    assert (answer.status, answer.body["detail"]) == (422, "acme twice: a wall stands between two companies")
    assert len(await fake_hub.entries("wall.added")) == 1


async def test_a_wall_refuses_the_engagement_and_says_so(fake_hub: FakeHub, officer: str) -> None:
    await fake_hub.api("POST", "/v1/walls", {**WALL, "first": "contoso", "reason": "owned by a rival"}, token=officer)
    body = {"partner": "acme", "team": "north"}
    answer = await fake_hub.request("POST", "/v1/partnerships", body)
    assert (answer.status, answer.body["code"]) == (409, "wall")
    assert answer.body["detail"] == "a wall stands between acme and contoso: owned by a rival"
    assert answer.body["hint"] == "conclave wall list; only a compliance officer takes a wall down"
    assert await fake_hub.entries("partnership.opened") == []
    await fake_hub.api("POST", "/v1/partnerships", {**body, "partner": "fabrikam"})
    await fake_hub.api("POST", "/v1/walls/acme/contoso/remove", {"reason": "sold"}, token=officer)
    await fake_hub.api("POST", "/v1/partnerships", body)


async def test_a_wall_across_an_open_engagement_is_refused_naming_it(fake_hub: FakeHub, officer: str) -> None:
    await fake_hub.add_person("acme")  # whose chat with the helper is no meeting of companies
    await fake_hub.api("POST", "/v1/partnerships", {"partner": "acme", "team": "north"})
    across = {"first": "acme", "second": "contoso"}
    answer = await fake_hub.request("POST", "/v1/walls", {**WALL, **across}, token=officer)
    assert (answer.status, answer.body["code"]) == (409, "wall")
    assert answer.body["detail"] == "acme and contoso meet in the open partnership acme; a wall needs them apart"
    assert answer.body["hint"] == "conclave partnership close acme --reason …"
    await fake_hub.api("POST", "/v1/walls", WALL, token=officer)  # partners of one host do not meet
    await fake_hub.api("POST", "/v1/partnerships/acme/close", {"reason": "conflict of interest"})
    await fake_hub.api("POST", "/v1/walls", {**WALL, **across}, token=officer)


async def test_a_wall_and_an_engagement_across_it_at_the_same_moment(fake_hub: FakeHub, officer: str) -> None:
    """One of the two comes first, and then the other is refused: never both."""
    for _ in range(5):
        wall: dict[str, Any] = {"first": "contoso", "second": "acme", "reason": "x"}
        answers = await asyncio.gather(
            fake_hub.request("POST", "/v1/walls", wall, token=officer),
            fake_hub.request("POST", "/v1/partnerships", {"partner": "acme", "team": "north"}),
        )
        assert sorted(answer.status for answer in answers) == [201, 409], answers
        if answers[0].status == 201:
            await fake_hub.api("POST", "/v1/walls/acme/contoso/remove", {"reason": "x"}, token=officer)
        else:
            await fake_hub.api("POST", f"/v1/partnerships/{answers[1].body['id']}/close", {"reason": "x"})


async def test_those_whom_a_wall_binds_may_not_take_it_down(fake_hub: FakeHub, officer: str) -> None:
    await fake_hub.api("POST", "/v1/walls", WALL, token=officer)
    for role in ("partner-manager", "admin", "auditor"):
        token = (await credential_of(fake_hub, role))[1]
        answer = await fake_hub.request("POST", "/v1/walls/acme/fabrikam/remove", {"reason": "x"}, token=token)
        assert answer.status == 403
        assert answer.body["detail"].endswith(f" holds {role}; this needs compliance-officer")
        assert len((await fake_hub.api("GET", "/v1/walls", token=token))["items"]) == 1


async def test_walls_come_in_pages(fake_hub: FakeHub, officer: str) -> None:
    for first, second in (("acme", "fabrikam"), ("acme", "contoso"), ("contoso", "fabrikam")):
        await fake_hub.api("POST", "/v1/walls", {"first": first, "second": second, "reason": "x"}, token=officer)
    found: list[tuple[str, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await fake_hub.api("GET", f"/v1/walls?limit=1&cursor={cursor}")
        found += [(item["first"], item["second"]) for item in page["items"]]
        cursor = page["next"]
    assert found == [("acme", "contoso"), ("acme", "fabrikam"), ("contoso", "fabrikam")]
