"""What may be in the way of an answer that is to be said: it is tried again, or dropped with the reason."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from bridge.helper.account import HelperAccount
from bridge.helper.errands import PATIENCE, PATIENCE_OUTSIDE, TOO_SLOW, Errands
from config.clock import MINUTE
from spaces.gateway import HomeserverError, HomeserverRefusedError, HomeserverUnavailableError
from tests.api.test_answers import ANSWERS, HELPER, inside
from tests.api.test_answers import scene as scene  # noqa: PLC0414  # the fixture
from tests.api.test_committees import Scene

DROPPED_OUT = "nobody of the vendor is in the room"


@dataclass
class FakeMachine:
    """Knows devices of everybody but ``deaf``."""

    deaf: set[str] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def devices(self, user_id: str) -> list[str]:
        return [] if user_id in self.deaf else ["DEVICE"]

    def unreached(self, _room_id: str) -> int:
        return 0

    def forget(self, room_id: str) -> None:
        self.forgotten.append(room_id)

    def end_session(self, room_id: str) -> None:
        self.ended.append(room_id)


@dataclass
class FakeAccount:
    """Says things in rooms of the fake homeserver; ``keyless`` are given no key, ``failing`` is raised instead."""

    scene: Scene
    machine: FakeMachine = field(default_factory=FakeMachine)
    keyless: set[str] = field(default_factory=set)
    failing: Exception | None = None
    slow: set[str] = field(default_factory=set)
    said: list[tuple[str, str, str]] = field(default_factory=list)
    shared: list[list[str]] = field(default_factory=list)

    async def people_in(self, room_id: str) -> list[str]:
        return sorted(self.scene.hub.homeserver.members(room_id) - {self.scene.hub.hub.services.bot, HELPER})

    async def reach_all(self, _room_id: str, user_ids: list[str]) -> set[str]:
        self.shared.append(user_ids)
        if self.slow & set(user_ids):
            raise TimeoutError
        return set(user_ids) - self.keyless - self.machine.deaf

    async def send(self, room_id: str, text: str, tag: str) -> str:
        if self.failing is not None:
            raise self.failing
        self.said.append((room_id, text, tag))
        return f"$of-{tag}"


@dataclass
class Work:
    """The helper's errands with such an account."""

    scene: Scene
    account: FakeAccount
    errands: Errands
    told: list[str]

    async def round(self) -> int:
        return await self.errands.work(cast(HelperAccount, self.account))

    async def states(self) -> dict[str, tuple[str, str | None]]:
        found = (await self.scene.hub.api("GET", ANSWERS))["items"][-1]["deliveries"]
        return {one["vendor"]: (one["state"], one["problem"]) for one in found}


@pytest.fixture
async def work(scene: Scene) -> Work:
    services, told = scene.hub.hub.services, list[str]()

    async def enforce(committee: str) -> None:
        told.append(committee)

    errands = Errands(services.db, scene.hub.clock, services.answers, enforce=enforce)
    await scene.act("answers", {"answer": "one"})
    await inside(scene)
    return Work(scene, FakeAccount(scene), errands, told)


BOTH_SAID = {"adatum": ("delivered", None), "fabrikam": ("delivered", None)}


async def test_everybody_in_the_room_is_given_the_key_and_nobody_else(work: Work) -> None:
    scene = work.scene
    assert await work.round() == 2
    assert await work.states() == BOTH_SAID
    buyers = {scene.people[name] for name in ("chair", "buyer", "late")}
    assert [set(one) - buyers for one in work.account.shared] == [{scene.people["adatum"]}, {scene.people["fabrikam"]}]
    assert all(buyers <= set(one) for one in work.account.shared)
    assert len({text for _, text, _ in work.account.said}) == 1
    assert len({tag for _, _, tag in work.account.said}) == 2
    assert work.account.machine.forgotten == [room for room, _, _ in work.account.said]
    assert set(work.account.machine.ended) == set(work.account.machine.forgotten)
    assert work.told == ["crm", "crm"]
    assert await work.round() == 0


async def test_a_stranger_in_the_room_is_given_no_key(work: Work) -> None:
    room = (await work.scene.hub.api("GET", "/v1/committees/crm"))["rooms"][2]["room_id"]
    stranger, joined = "@stranger:conclave.test", {"membership": "join"}
    work.scene.hub.homeserver.backdoor(room, stranger, "m.room.member", joined, stranger)
    await work.round()
    assert all(stranger not in one for one in work.account.shared)


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (HomeserverRefusedError("the homeserver refused: no", errcode="M_FORBIDDEN"), "the homeserver refused: no"),
        (ValueError("a bug"), "internal error; see the hub's log"),
    ],
)
async def test_what_fails_is_tried_again_and_dropped_in_the_end(work: Work, failure: Exception, problem: str) -> None:
    work.account.failing, clock = failure, work.scene.hub.clock
    assert await work.round() == 0
    assert set((await work.states()).values()) == {("waiting", problem)}
    assert await work.round() == 0, "not at once again"
    assert len(work.account.shared) == 2
    clock.now += PATIENCE
    assert await work.round() == 0
    clock.now += MINUTE
    assert await work.round() == 2
    assert set((await work.states()).values()) == {("dropped", problem)}
    work.account.failing = None
    assert await work.round() == 0
    assert work.account.said == []


async def test_a_homeserver_that_does_not_answer_is_waited_for(work: Work) -> None:
    work.account.failing = HomeserverUnavailableError("the homeserver does not answer: it is down")
    for _ in range(20):
        assert await work.round() == 0
        work.scene.hub.clock.now += MINUTE
    assert set((await work.states()).values()) == {("waiting", "the homeserver does not answer")}
    work.account.failing = None
    assert await work.round() == 2
    assert await work.states() == BOTH_SAID


async def test_a_vendor_whose_devices_take_too_long_waits_behind_the_others_and_not_for_long(work: Work) -> None:
    """Who signs in on thousands of devices holds nobody up but themselves, and not the helper for an hour."""
    scene = work.scene
    work.account.slow = {scene.people["adatum"]}
    assert await work.round() == 1
    assert await work.states() == {"adatum": ("waiting", TOO_SLOW), "fabrikam": ("delivered", None)}
    await scene.act("answers", {"answer": "two"})
    await inside(scene)
    scene.hub.clock.now += MINUTE
    work.account.shared.clear()
    assert await work.round() == 1
    first, second = [set(one) & {scene.people["adatum"], scene.people["fabrikam"]} for one in work.account.shared]
    assert (first, second) == ({scene.people["fabrikam"]}, {scene.people["adatum"]})
    scene.hub.clock.now += PATIENCE
    work.account.slow = {scene.people["adatum"]}
    assert await work.round() == 1
    assert (await scene.hub.api("GET", ANSWERS))["items"][0]["deliveries"][0]["problem"] == TOO_SLOW


async def test_who_let_the_helper_wait_outside_has_all_the_time_inside(work: Work) -> None:
    scene = work.scene
    await work.round()
    await inside(scene)
    await scene.act("answers", {"answer": "two"})
    assert await work.round() == 0
    scene.hub.clock.now += PATIENCE + MINUTE
    await inside(scene)
    work.account.keyless = {scene.people["fabrikam"]}
    assert await work.round() == 1
    assert (await work.states())["fabrikam"][0] == "waiting"


async def test_a_device_that_is_gone_is_for_the_helper_to_mend(work: Work) -> None:
    work.account.failing = HomeserverRefusedError("gone", errcode="M_UNKNOWN_DEVICE")
    with pytest.raises(HomeserverError):
        await work.round()


async def test_a_vendor_without_a_device_is_dropped_at_once_and_one_without_keys_later(work: Work) -> None:
    work.account.machine.deaf = {work.scene.people["adatum"]}
    work.account.keyless = {work.scene.people["fabrikam"]}
    no_device = "nobody of the vendor has signed in on a device that can be written to"
    assert await work.round() == 1
    assert await work.states() == {"adatum": ("dropped", no_device), "fabrikam": ("waiting", no_device)}
    work.account.keyless = set()
    work.scene.hub.clock.now += MINUTE
    assert await work.round() == 1
    assert (await work.states())["fabrikam"] == ("delivered", None)


async def test_a_vendor_of_whom_nobody_is_there(work: Work) -> None:
    await work.scene.hub.api("POST", "/v1/companies/fabrikam/suspend", {"reason": "x"})
    await inside(work.scene)
    assert await work.round() == 1
    assert await work.states() == {"adatum": ("delivered", None), "fabrikam": ("waiting", DROPPED_OUT)}
    work.scene.hub.clock.now += PATIENCE + MINUTE
    assert await work.round() == 1
    assert (await work.states())["fabrikam"] == ("dropped", DROPPED_OUT)


async def test_where_the_helper_is_not_let_in_it_waits_longer(work: Work) -> None:
    await work.round()
    await inside(work.scene)
    await work.scene.act("answers", {"answer": "two"})
    said = len(work.account.said)
    for minutes in (0, PATIENCE + MINUTE, PATIENCE_OUTSIDE - PATIENCE - MINUTE):
        work.scene.hub.clock.now += minutes
        assert await work.round() == 0
    work.scene.hub.clock.now += 1
    assert await work.round() == 2
    assert set((await work.states()).values()) == {("dropped", "the helper could not come into the room")}
    assert len(work.account.said) == said


async def test_one_that_is_dropped_makes_way_for_the_next(work: Work) -> None:
    await work.scene.act("answers", {"answer": "two"})
    work.account.failing = HomeserverRefusedError("busy", errcode="M_LIMIT_EXCEEDED")
    await work.round()
    work.scene.hub.clock.now += PATIENCE + MINUTE
    work.account.failing = None
    assert await work.round() == 4
    assert [text.rpartition(": ")[2] for _, text, _ in work.account.said] == ["one", "one", "two", "two"]
