"""The same machine on a real Synapse: a few examples; ``make test-model`` runs it."""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.live import LiveHub, User, start_live_hub, until
from tests.reconcile.machine import Company, Hubs, Person

pytestmark = pytest.mark.skipif("CONCLAVE_MODEL_LIVE" not in os.environ, reason="make test-model runs it")
EXAMPLES = int(os.environ.get("CONCLAVE_MODEL_LIVE", "3"))


class LiveWorld:
    """Fresh companies, teams and people for each example, on one hub that works by itself in a thread."""

    host = "contoso"
    hub: LiveHub
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.bot = self.hub.bot
        self._users: dict[str, User] = {}
        self._teams: dict[str, str] = {}
        self._partnerships: list[str] = []
        self.stranger = self.run(self.hub.add_person(self.run(self.hub.add_company()))).user_id

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(120)

    # --- tests.reconcile.machine.World

    def api(self, method: str, path: str, body: Any = None) -> Any:
        found = self.run(self.hub.api(method, path, body))
        if (method, path) == ("POST", "/v1/partnerships"):
            self._partnerships.append(found["id"])
        return found

    def add_company(self, ends_in: int | None) -> Company:
        return Company(self.run(self.hub.add_company()))

    def add_person(self, company: str, teams: tuple[str, ...]) -> Person:
        user = self.run(self.hub.add_person(company, teams=teams))
        self._users[user.user_id] = user
        return Person(user.person, user.user_id, company, set(teams))

    def team(self, name: str) -> str:
        return self._teams.setdefault(name, self.hub.fresh(name))

    def now(self) -> int:
        return self.hub.hub.services.clock()

    def settle(self) -> None:
        self.run(until(self._at_rest, 90))

    async def _at_rest(self) -> bool:
        """Settled, nothing to plan, and the feed has everything: twice, a turn apart."""
        for _ in range(2):
            for name in self._partnerships:
                shown = await self.hub.api("GET", f"/v1/partnerships/{name}")
                plan = await self.hub.api("GET", f"/v1/plan?engagement={name}")
                if not shown["settled"] or plan["rooms"]:
                    return False
            await self.hub.hub.services.feed.sweep()
        return True

    def rooms(self, partnership: str) -> list[str]:
        shown = self.api("GET", f"/v1/partnerships/{partnership}")
        return [room["room_id"] for room in shown["rooms"] if room["room_id"]]

    def members(self, room_id: str) -> set[str]:
        url = f"{self.hub.homeserver_url}/_synapse/admin/v1/rooms/{quote(room_id)}/members"
        return set(self.run(self.hub.request("GET", url, token=self.hub.state.token("as_token"))).body["members"])

    def entries(self, room_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.run(self._entries(room_id))
        return found

    async def _entries(self, room_id: str) -> list[dict[str, Any]]:
        """Once everything that was handed in is in the log."""
        await until(self._drained)
        return await self.hub.entries(room=room_id)

    async def _drained(self) -> bool:
        return not await self.hub.hub.sequencer.step()

    def send(self, person: Person, room_id: str) -> bool:
        return self._did(self._users[person.user_id].send_encrypted(room_id))

    def say_in_the_clear(self, person: Person, room_id: str) -> bool:
        return self._did(
            self._users[person.user_id].send(room_id, "m.room.message", {"msgtype": "m.text", "body": "x"})
        )

    def join(self, person: Person, room_id: str) -> bool:
        return self._did(self._users[person.user_id].call("POST", f"/join/{quote(room_id)}", {}))

    def leave(self, person: Person, room_id: str) -> None:
        self._did(self._users[person.user_id].call("POST", f"/rooms/{quote(room_id)}/leave", {}))

    def back_door(self, user_id: str, room_id: str) -> None:
        """The admin API: the guard admits whom the charter names, and refuses the others."""
        url = f"{self.hub.homeserver_url}/_synapse/admin/v1/join/{quote(room_id)}"
        self.run(self.hub.request("POST", url, {"user_id": user_id}, token=self.hub.state.token("as_token")))

    def _did(self, act: Coroutine[Any, Any, Any]) -> bool:
        return bool(self.run(act).status == 200)


class LiveHubs(Hubs):
    """The machine as it is, without what a shared homeserver does not stand."""

    def __init__(self) -> None:
        super().__init__()
        self.world = LiveWorld()


@pytest.fixture
def live_thread(tmp_path: Path) -> Iterator[None]:
    """A hub with its Synapse in a thread of its own."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        async with start_live_hub(tmp_path) as hub:
            LiveWorld.hub, LiveWorld.loop = hub, loop
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert ready.wait(90)
    try:
        yield
    finally:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def test_whatever_people_do_rooms_are_what_their_charters_say(live_thread: None) -> None:
    run_state_machine_as_test(
        LiveHubs,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
