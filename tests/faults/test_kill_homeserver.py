"""kill -9 of Synapse: restarted and said so; what it lost on the way to the hub is fetched, in its place."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import kill
from tests.live import LiveHub, Scene, start_live_hub, until

pytestmark = [pytest.mark.synapse, pytest.mark.long]


def happened(hub: LiveHub, room_id: str) -> list[str]:
    path = hub.state.homeserver / "homeserver.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT event_id FROM events WHERE room_id = ? AND NOT outlier AND rejection_reason IS NULL"
            " ORDER BY stream_ordering",
            (room_id,),
        )
        return [row[0] for row in rows]


async def recorded(hub: LiveHub, room_id: str) -> list[str]:
    entries: list[dict[str, Any]] = await hub.entries(room=room_id)
    return [entry["data"]["event_id"] for entry in entries if entry["source"] == "homeserver"]


async def lose_events(scene: Scene) -> None:
    """Have Synapse persist events that never leave its memory: its one transaction hangs at the hub, then it dies."""
    feed, synapse = scene.hub.hub.services.feed, scene.hub.homeserver
    assert synapse is not None
    async with feed._turn:
        for number in range(20):
            assert (await scene.bob.send_encrypted(scene.room, str(number))).status == 200
        await kill(synapse.pid)
        await asyncio.wait_for(synapse._process.wait(), 10)  # type: ignore[union-attr]  # it was started


async def test_what_synapse_lost_is_fetched_in_order_before_what_comes_after(tmp_path: Path) -> None:
    async with start_live_hub(tmp_path) as live:
        scene = await live.stage()
        await until(lambda: _same(live, scene.room))
        await lose_events(scene)
        assert live.homeserver is not None
        await live.homeserver.start()
        assert (await scene.bob.send_encrypted(scene.room, "after")).status == 200
        await until(lambda: _same(live, scene.room))
        found = await live.entries("feed.recovered")
        assert sum(entry["data"]["events"] for entry in found) > 0, "Synapse lost nothing: this test shows nothing"


async def test_what_synapse_lost_at_the_end_of_a_room_is_found_by_the_hub_alone(tmp_path: Path) -> None:
    async with start_live_hub(tmp_path) as live:
        scene = await live.stage()
        await until(lambda: _same(live, scene.room))
        await lose_events(scene)
        assert live.homeserver is not None
        await live.homeserver.start()
        await until(lambda: _same(live, scene.room))


async def _same(live: LiveHub, room_id: str) -> bool:
    return await recorded(live, room_id) == happened(live, room_id)


async def test_a_dead_synapse_is_started_again_and_it_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    async with start_live_hub(tmp_path) as live:
        assert live.homeserver is not None
        live.homeserver._say = said.append
        watch = asyncio.create_task(live.homeserver.run(_nothing))
        first = live.homeserver.pid
        await kill(first)

        async def again() -> bool:
            return "homeserver ready again" in said

        await until(again, 60)
        assert said[0] == "homeserver stopped (killed by SIGKILL); starting it again in 1 s"
        assert live.homeserver.pid != first
        watch.cancel()


async def _nothing() -> None:
    return None
