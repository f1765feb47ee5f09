"""A clearing that is cut off anywhere, done twice at once, or followed by a clock that is set back: whole, and once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from audit.inbox import Inbox
from config.clock import DAY, HOUR, iso
from config.db import Database
from config.errors import ConclaveError
from spaces.committees import CommitteeService
from spaces.store import DocumentStore
from tests.api.test_committees import BUYERS, CRM, Scene
from tests.fakes.homeserver import Crash
from tests.fakes.hub import FakeHub, start_fake_hub
from tests.faults.crash_points import Killed, Steps, dying

ROOMS = dict.fromkeys(("CRM 2027", "Deliberation", "CRM 2027: Adatum", "CRM 2027: Fabrikam"), BUYERS)
CLEARING = ["committee.cleared", "vendor.cleared", "vendor.cleared"]


async def pitching(hub: FakeHub) -> Scene:
    """A committee whose two vendors are in."""
    scene = await Scene(hub).make()
    await scene.ready()
    await scene.act("start")
    await scene.inside()
    return scene


async def chair_of(hub: FakeHub) -> str:
    return str((await hub.api("GET", CRM))["chair"])


async def recorded(hub: FakeHub) -> list[str]:
    return [entry["kind"] for entry in await hub.entries() if entry["kind"] in CLEARING]


async def seen(hub: FakeHub) -> tuple[str, list[str], set[bool]]:
    """The phase, the entries of the clearing, and whether each pitch room's charter is frozen for good."""
    found = await hub.api("GET", CRM)
    async with hub.hub.services.db.read() as connection:
        charters = await DocumentStore(connection).charters([vendor["pitch"] for vendor in found["vendors"]])
    return found["phase"], await recorded(hub), {charter.frozen_from == 0 for charter in charters.values()}


async def test_a_clearing_killed_at_any_durable_step_happened_or_did_not(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        scene = await pitching(hub)
        chair = await chair_of(hub)
        before: tuple[str, list[str], set[bool]] = ("pitch", [], {False})
        assert await seen(hub) == before
        steps = Steps(0)
        while (found := await seen(hub)) == before:
            steps = Steps((steps.at or 0) + 1)
            with pytest.raises(Killed):
                async with dying(steps, database_url, monkeypatch) as db:
                    await on(hub, db).clear("crm", actor=chair)
        assert found == ("deliberation", CLEARING, {True})
        assert steps.names[-1] == "after commit", "nothing of it is there before all of it is"
        assert len(steps.names) > 10
        assert await scene.inside() == ROOMS


def on(hub: FakeHub, db: Database) -> CommitteeService:
    """The service of a second process on the hub's database."""
    numbers = iter(range(1_000))
    return CommitteeService(
        db,
        Inbox("api", hub.clock),
        hub.clock,
        room_version="12",
        bot="@x:y",
        host="contoso",
        new_key=lambda: f"rm_{next(numbers)}",
    )


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point == 2 else pytest.mark.long) for point in range(5)]
)
async def test_a_clearing_is_finished_by_the_next_hub(tmp_path: Path, database_url: str, point: int) -> None:
    """The hub dies after the change it makes at the homeserver: the documents, then one vendor after the other."""
    async with start_fake_hub(tmp_path, database_url) as hub:
        scene = await pitching(hub)
        fake, clock, chair = hub.homeserver, hub.clock, await chair_of(hub)
        fake.crash_after = point
        try:
            await hub.hub.services.committees.clear("crm", actor=chair)
            await hub.hub.services.publisher.publish()
            await hub.settle()
        except* Crash:
            pass
        fake.crash_after = None
    async with start_fake_hub(tmp_path, database_url, homeserver=fake, clock=clock) as hub:
        clock.now += 20_000
        scene.hub = hub
        assert await scene.inside() == ROOMS
        assert await recorded(hub) == CLEARING
        assert (await hub.api("GET", CRM))["settled"]


async def test_two_hubs_that_clear_at_once_clear_once(tmp_path: Path, database_url: str) -> None:
    async with (
        start_fake_hub(tmp_path, database_url) as one,
        start_fake_hub(tmp_path, database_url, homeserver=one.homeserver, clock=one.clock) as other,
    ):
        scene = await pitching(one)
        chair = await chair_of(one)
        hubs = [one, other] * 4
        done = await asyncio.gather(
            *(hub.hub.services.committees.clear("crm", actor=chair) for hub in hubs), return_exceptions=True
        )
        refused = [item for item in done if isinstance(item, ConclaveError)]
        assert [item.code for item in refused] == ["phase"] * (len(hubs) - 1), done
        assert refused[0].message == "crm is in phase deliberation; the room is cleared in phase pitch"
        assert await recorded(one) == CLEARING
        assert await scene.inside() == ROOMS


async def test_two_hubs_that_see_the_time_come_record_it_once(tmp_path: Path, database_url: str) -> None:
    """While somebody tries to put it off in the same moment."""
    async with (
        start_fake_hub(tmp_path, database_url) as one,
        start_fake_hub(tmp_path, database_url, homeserver=one.homeserver, clock=one.clock) as other,
    ):
        scene = await pitching(one)
        clear_at = one.clock.now + HOUR
        await scene.act("schedule", {"clear_at": iso(clear_at)})
        one.clock.now = clear_at
        later: Any = one.hub.services.committees.schedule(
            "crm", pitch_at=None, clear_at=clear_at + DAY, actor=await chair_of(one)
        )
        ticks = [hub.hub.services.committees.tick() for hub in (one, other) * 3]
        *_, put_off = await asyncio.gather(*ticks, later, return_exceptions=True)
        assert isinstance(put_off, ConclaveError), "what time has cleared stays cleared"
        assert put_off.code == "phase"
        assert await recorded(one) == CLEARING
        (entry,) = await one.entries("committee.cleared")
        assert entry["data"] == {"clear_at": clear_at, "timed": True, "vendors": 2}
        assert await scene.inside() == ROOMS


async def test_who_waits_for_a_lock_past_the_clearing_finds_it_cleared(fake_hub: FakeHub) -> None:
    """The time that counts is the one when the committee can be changed, not the one when somebody asked."""
    scene = await pitching(fake_hub)
    clear_at = fake_hub.clock.now + HOUR
    await scene.act("schedule", {"clear_at": iso(clear_at)})
    chair, services = await chair_of(fake_hub), fake_hub.hub.services
    if services.db.dialect == "postgresql":
        holder = Database(str(services.db.url.render_as_string(hide_password=False)))
    else:
        holder = services.db
    async with holder.begin() as tx:
        await services.committees._locked(tx, "crm")
        asked = asyncio.create_task(
            services.committees.schedule("crm", pitch_at=None, clear_at=clear_at + DAY, actor=chair)
        )
        for _ in range(50):
            await asyncio.sleep(0)
        fake_hub.clock.now = clear_at
    with pytest.raises(ConclaveError, match="crm is in phase deliberation; times are set in phase open or pitch"):
        await asked
    if holder is not services.db:
        await holder.close()


@pytest.mark.parametrize("timed", [False, True])
async def test_a_clock_that_is_set_back_lets_nobody_in_again(fake_hub: FakeHub, timed: bool) -> None:
    scene = await pitching(fake_hub)
    fake_hub.clock.now += HOUR
    if timed:
        await scene.act("schedule", {"clear_at": iso(fake_hub.clock.now + HOUR)})
        fake_hub.clock.now += HOUR
        await fake_hub.hub.services.committees.tick()
    else:
        await scene.act("clear")
    for clock in (fake_hub.clock.now - 1, fake_hub.clock.now - 90 * 60_000, fake_hub.clock.now - 10 * DAY):
        fake_hub.clock.now = clock
        assert await scene.inside() == ROOMS
        assert await fake_hub.entries("drift.found") == []
    assert await recorded(fake_hub) == CLEARING


async def test_a_clock_that_is_set_back_throws_nobody_out_of_a_pitch(fake_hub: FakeHub) -> None:
    scene = await pitching(fake_hub)
    fake_hub.clock.now -= DAY
    assert (await scene.inside())["CRM 2027: Adatum"] == BUYERS | {"adatum"}
