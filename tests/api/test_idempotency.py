"""A write with a key is carried out once, on both databases, however often and however simultaneously it is sent."""

import asyncio

from bridge.api.idempotency import Once
from config.clock import DAY, HOUR
from config.db import before_commit
from tests.fakes.hub import FakeHub

ACME = {"id": "acme", "name": "Acme"}


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def test_a_repeated_call_answers_as_the_first(fake_hub: FakeHub) -> None:
    first = await fake_hub.request("POST", "/v1/companies", ACME, headers=key("k"))
    again = await fake_hub.request("POST", "/v1/companies", ACME, headers=key("k"))
    assert (first.status, again) == (201, first)
    assert len(await fake_hub.entries("company.added")) == 2  # the host's, and this one


async def test_calls_at_the_same_moment_are_carried_out_once(fake_hub: FakeHub) -> None:
    async def send() -> int:
        return (await fake_hub.request("POST", "/v1/companies", ACME, headers=key("k"))).status

    statuses = await asyncio.gather(*(send() for _ in range(5)))
    assert 201 in statuses
    assert set(statuses) <= {201, 409}
    assert (await fake_hub.request("POST", "/v1/companies", ACME, headers=key("k"))).status == 201
    assert len(await fake_hub.entries("company.added")) == 2


async def test_without_a_key_a_repeated_call_is_another_call(fake_hub: FakeHub) -> None:
    assert (await fake_hub.request("POST", "/v1/companies", ACME)).status == 201
    assert (await fake_hub.request("POST", "/v1/companies", ACME)).status == 409


async def test_a_key_stands_for_one_call(fake_hub: FakeHub) -> None:
    await fake_hub.request("POST", "/v1/companies", ACME, headers=key("k"))
    other = await fake_hub.request("POST", "/v1/companies", {**ACME, "id": "other"}, headers=key("k"))
    assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")
    other = await fake_hub.request("POST", "/v1/companies/acme/resume", {}, headers=key("k"))
    assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")


async def test_a_call_that_failed_may_be_sent_again(fake_hub: FakeHub) -> None:
    body = {"partner": "acme", "team": "north"}
    assert (await fake_hub.request("POST", "/v1/partnerships", body, headers=key("k"))).status == 404
    await fake_hub.api("POST", "/v1/companies", ACME)
    await fake_hub.add_person("contoso", teams=("north",))
    assert (await fake_hub.request("POST", "/v1/partnerships", body, headers=key("k"))).status == 201


async def test_a_secret_is_not_told_again(fake_hub: FakeHub) -> None:
    body = {"company": "contoso", "name": "Eve", "email": "eve@contoso.example"}
    first = await fake_hub.request("POST", "/v1/people", body, headers=key("k"))
    again = await fake_hub.request("POST", "/v1/people", body, headers=key("k"))
    assert first.body["link"]
    assert again.body == {**first.body, "link": None}


async def test_a_crash_after_the_change_is_told_and_nothing_is_done_twice(fake_hub: FakeHub) -> None:
    """The change committed, the hub died before it answered: the key proves that it was done."""
    services = fake_hub.hub.services
    me = (await fake_hub.api("GET", "/v1/whoami"))["person"]
    body = b'{"id": "acme", "name": "Acme"}'
    once = Once(services.db, services.clock, person=me, key="k", operation="add-company /v1/companies", body=body)
    with once.noting():
        async with services.db.begin():
            pass
    assert before_commit.get() is None
    headers = {**key("k"), "Content-Type": "application/json"}
    answer = await fake_hub.request("POST", "/v1/companies", data=body, headers=headers)
    assert (answer.status, answer.body["code"]) == (409, "already_done")


async def test_keys_are_forgotten_after_a_day(fake_hub: FakeHub) -> None:
    await fake_hub.request("POST", "/v1/companies", ACME, headers=key("k"))
    fake_hub.clock.now += DAY + HOUR
    await fake_hub.api("POST", "/v1/companies", {"id": "other", "name": "Other"})
    await fake_hub.request("POST", "/v1/companies", {"id": "third", "name": "T"}, headers=key("k2"))
    assert (await fake_hub.request("POST", "/v1/companies", ACME, headers=key("k"))).status == 409


async def test_a_key_that_is_none_is_refused(fake_hub: FakeHub) -> None:
    for value in ("k" * 201, "ключ"):
        answer = await fake_hub.request("POST", "/v1/companies", ACME, headers=key(value))
        assert (answer.status, answer.body["field"]) == (422, "Idempotency-Key")
