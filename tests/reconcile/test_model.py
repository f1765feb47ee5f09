"""The machine on the fake homeserver: hub crashes at any await, an unreachable homeserver, a clock that jumps."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from config.clock import DAY, SECOND, iso
from config.errors import ConclaveError
from spaces.gateway import HomeserverRefusedError
from tests.fakes.homeserver import Crash, FakeHomeserver
from tests.fakes.hub import FakeHub, ManualClock, start_fake_hub
from tests.reconcile.machine import Company, Hubs, Person

SEALED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "c", "session_id": "s"}
EXAMPLES = int(os.environ.get("CONCLAVE_MODEL_EXAMPLES", "6"))
BASE: dict[str, Path] = {}


class FakeWorld:
    """One hub after another on one fake homeserver."""

    host = "contoso"
    stranger = "@mallory:conclave.test"

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.place = Path(tempfile.mkdtemp(prefix="conclave-model"))
        shutil.copy(BASE["sqlite"], self.place / "hub.sqlite3")
        self.clock = ManualClock()
        self.fake: FakeHomeserver | None = None
        self.begin()
        self.bot = self.server.bot

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(what)

    # --- the hub comes and goes

    def begin(self) -> None:
        url = f"sqlite+aiosqlite:///{self.place}/hub.sqlite3"
        self._opened: AbstractAsyncContextManager[FakeHub] = start_fake_hub(
            self.place, url, homeserver=self.fake, clock=self.clock
        )
        self.hub: FakeHub = self.run(self._opened.__aenter__())
        self.server: FakeHomeserver = self.hub.homeserver
        self.fake = self.server

    def end(self) -> None:
        self.run(self._opened.__aexit__(None, None, None))

    def restart(self) -> None:
        down, self.server.down = self.server.down, False
        self.end()
        self.begin()
        self.server.down = down

    def close(self) -> None:
        self.end()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.place)

    def die_after(self, changes: int) -> None:
        """The hub dies after so many changes at the homeserver."""
        self.server.crash_after = changes
        self.run(self._until_death())
        self.server.crash_after = None
        self.restart()

    async def _until_death(self) -> None:
        try:
            await self.hub.settle()
        except* (Crash, ConclaveError):
            pass

    def die_at(self, steps: int) -> None:
        """The hub dies after so many turns of its loop, wherever it is."""
        self.run(self._cut_off(steps))
        self.restart()

    async def _cut_off(self, steps: int) -> None:
        task = asyncio.ensure_future(self.hub.settle())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def work(self) -> None:
        self.run(self._work())

    async def _work(self) -> None:
        try:
            await self.hub.hub.services.reconciler.run_once()
        except ConclaveError:
            assert self.server.down, "the hub failed with its homeserver up"

    def deliver(self) -> None:
        self.run(self.server.deliver(self.hub.hub.services.feed.accept))

    # --- tests.reconcile.machine.World

    def api(self, method: str, path: str, body: Any = None) -> Any:
        self.clock.now += 7
        return self.run(self.hub.api(method, path, body))

    def add_company(self, ends_in: int | None) -> Company:
        number = self.clock.now % 10**9
        ends = None if ends_in is None else (self.clock.now // DAY + ends_in) * DAY
        more = {} if ends is None else {"until": iso(ends)[:10]}
        found = self.api("POST", "/v1/companies", {"id": f"c{number}", "name": f"C{number}", **more})
        return Company(found["id"], ends_at=None if ends is None else ends + DAY)

    def add_person(self, company: str, teams: tuple[str, ...]) -> Person:
        self.clock.now += 7
        user_id = self.run(self.hub.add_person(company, teams=teams, prefix=f"p{self.clock.now % 10**9}x"))
        return Person(self.api("GET", f"/v1/people/{user_id}")["id"], user_id, company, set(teams))

    def team(self, name: str) -> str:
        return name

    def now(self) -> int:
        return self.clock.now

    def settle(self) -> None:
        self.server.down = False
        for _ in range(4):
            self.clock.now += 301 * SECOND
            self.run(self.hub.settle(rounds=20))

    def rooms(self, partnership: str) -> list[str]:
        shown = self.api("GET", f"/v1/partnerships/{partnership}")
        return [room["room_id"] for room in shown["rooms"] if room["room_id"]]

    def members(self, room_id: str) -> set[str]:
        return self.server.members(room_id)

    def entries(self, room_id: str) -> list[dict[str, Any]]:
        return [entry for entry in self.run(self.hub.entries()) if entry.get("room") == room_id]

    def send(self, person: Person, room_id: str) -> bool:
        return self._try(self.server.send, room_id, person.user_id, "m.room.encrypted", SEALED)

    def say_in_the_clear(self, person: Person, room_id: str) -> bool:
        return self._try(self.server.send, room_id, person.user_id, "m.room.message", {"body": "x"})

    def join(self, person: Person, room_id: str) -> bool:
        return self._try(self.server.join, room_id, person.user_id)

    def leave(self, person: Person, room_id: str) -> None:
        self._try(self.server.leave, room_id, person.user_id)

    def back_door(self, user_id: str, room_id: str) -> None:
        self.server.backdoor(room_id, user_id, "m.room.member", {"membership": "join"}, user_id)

    def _try(self, act: Any, *arguments: Any) -> bool:
        self.clock.now += 7
        try:
            act(*arguments)
        except HomeserverRefusedError:
            return False
        return True


class FakeHubs(Hubs):
    """The machine with everything that can go wrong on one machine."""

    world: FakeWorld

    def __init__(self) -> None:
        super().__init__()
        self.world = FakeWorld()
        self.days = 0

    def able(self) -> bool:
        return not self.world.server.down

    @rule()
    def work(self) -> None:
        self.world.work()

    @rule()
    def deliver(self) -> None:
        if self.able():
            self.world.deliver()

    @rule(down=st.booleans())
    def homeserver_goes_or_comes(self, down: bool) -> None:
        self.world.server.down = down

    @precondition(lambda self: self.days < 60)
    @rule(ms=st.sampled_from([1, SECOND, 11 * SECOND, DAY, 19 * DAY]))
    def time_passes(self, ms: int) -> None:
        self.days += -(-ms // DAY)
        self.world.clock.now += ms

    @rule(changes=st.integers(0, 8))
    def hub_dies_after_a_change(self, changes: int) -> None:
        self.world.die_after(changes)

    @rule(steps=st.integers(0, 400))
    def hub_dies_anywhere(self, steps: int) -> None:
        self.world.die_at(steps)

    @precondition(lambda self: bool(self.partnerships))
    @rule(place=st.integers(0, 9), what=st.sampled_from(["m.room.name", "m.room.join_rules", "m.space.child"]))
    def somebody_changes_state_by_the_back_door(self, place: int, what: str) -> None:
        room_id = self._room(place)
        if room_id is not None:
            key = "!evil" if what == "m.space.child" else ""
            self.world.clock.now += 7
            self.world.server.backdoor(room_id, self.world.bot, what, {"x": str(self.world.clock.now)}, key)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.world.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_whatever_happens_rooms_are_what_their_charters_say(sqlite_base: Path) -> None:
    BASE["sqlite"] = sqlite_base
    run_state_machine_as_test(
        FakeHubs,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
