"""Signing in tells nobody which users there are."""

import json
from typing import Any

import bcrypt
import pytest
import yaml

from bridge.guard.sign_in import EqualTime
from tests.live import PASSWORD, LiveHub
from tests.silence.world import World


async def sign_in(live: LiveHub, user: str, password: str = "wrong horse battery") -> tuple[int, Any]:
    answer = await live.login(user, password)
    return answer.status, answer.body


async def test_one_answer_for_a_wrong_password_whoever_it_is(world: World, live: LiveHub) -> None:
    suspended = await live.add_person(world.alice.user_id.partition(".")[2].partition(":")[0])
    await live.api("POST", f"/v1/people/{suspended.person}/suspend", {"reason": "x"})
    answers = [
        await sign_in(live, user)
        for user in (world.alice.user_id, suspended.user_id, world.ghost["user"], world.known["localpart"],
                     world.ghost["localpart"], "@x:elsewhere.example", live.bot)
    ]  # fmt: skip
    assert answers[0] == (403, {"errcode": "M_FORBIDDEN", "error": "Invalid username or password"})
    assert answers[:5] == answers[:1] * 5
    for identifier in ({"type": "m.id.thirdparty", "medium": "email", "address": world.known["email"]},
                       {"type": "m.id.phone", "country": "DE", "number": world.known["phone"]}):  # fmt: skip
        body = {"type": "m.login.password", "identifier": identifier, "password": "wrong horse battery"}
        answer = await live.request("POST", f"{live.homeserver_url}/_matrix/client/v3/login", body)
        assert (answer.status, answer.body) == answers[0]


async def test_only_with_the_right_password_does_one_learn_of_a_suspension(world: World, live: LiveHub) -> None:
    person = await live.add_person(world.alice.user_id.partition(".")[2].partition(":")[0])
    await live.api("POST", f"/v1/people/{person.person}/suspend", {"reason": "x"})
    assert (await live.login(person.user_id)).code == "PERSON_SUSPENDED"


NO_TEXT = "\ud800"


async def without_text(live: LiveHub, base: str, user: str) -> tuple[int, Any]:
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": NO_TEXT}
    async with live.session.post(f"{base}/_matrix/client/v3/login", data=json.dumps(body)) as response:
        return response.status, await response.json()


async def test_a_password_that_is_no_text_tells_nothing_through_the_proxy(
    world: World, live: LiveHub, proxy: str
) -> None:
    there, not_there = [await without_text(live, proxy, user) for user in (world.alice.user_id, world.ghost["user"])]
    assert there == not_there == (403, {"errcode": "M_FORBIDDEN", "error": "Invalid username or password"})
    statuses = [(await without_text(live, live.homeserver_url, ids["user"]))[0] for ids in (world.known, world.ghost)]
    assert statuses == [500, 403], "Synapse has closed it: the proxy's rule may go"


async def test_signing_in_through_the_proxy(world: World, live: LiveHub, proxy: str) -> None:
    for password, status in ((PASSWORD, 200), ("wrong horse battery", 403)):
        body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": world.alice.user_id}}
        url = f"{proxy}/_matrix/client/v3/login"
        answer = await live.request("POST", url, {**body, "password": password}, headers={"User-Agent": "Element"})
        assert answer.status == status
    asked = await live.request("GET", f"{proxy}/_matrix/client/v3/login")
    assert [flow["type"] for flow in asked.body["flows"]] == ["m.login.password", "m.login.application_service"]


class Users:
    """The part of Synapse's module API that is needed, with one user, and one who was deactivated."""

    def __init__(self) -> None:
        self.worked = 0

    def get_qualified_user_id(self, name: str) -> str:
        return name if name.startswith("@") else f"@{name}:hub.example"

    async def check_user_exists(self, user_id: str) -> str | None:
        found = user_id.lower()
        return found if found in ("@alice:hub.example", "@gone:hub.example") else None

    async def get_userinfo_by_id(self, user_id: str) -> Any:
        return type("Info", (), {"is_deactivated": user_id.startswith("@gone")})

    async def defer_to_thread(self, work: Any, /) -> None:
        work()
        self.worked += 1


@pytest.mark.parametrize(
    ("user", "works"),
    [
        ("alice", 0),
        ("@alice:hub.example", 0),
        ("@ALICE:hub.example", 0),
        ("bob", 1),
        ("@x:else.example", 1),
        ("gone", 1),
    ],
)
async def test_the_work_of_a_comparison_is_done_where_there_is_nothing_to_compare(user: str, works: int) -> None:
    users = Users()
    checker = EqualTime(users, 4)
    for password in ("wrong", NO_TEXT, "x" * 1_000, ""):
        await checker.check(user, "m.login.password", {"password": password})
    assert users.worked == 4 * works


async def test_the_work_is_that_of_synapse(live: LiveHub) -> None:
    """As many rounds: the guard's number is Synapse's."""
    shipped = yaml.safe_load((live.state.homeserver / "homeserver.yaml").read_text())
    assert shipped["modules"][0]["config"]["bcrypt_rounds"] == 12
    assert bcrypt.hashpw(b"x", bcrypt.gensalt(4)).startswith(b"$2b$04$")
