"""Signing in tells nobody which users there are."""

from typing import Any

from tests.live import LiveHub
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
