"""A hub that is down changes nothing about what is refused, and hears of it when it is back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from bridge.app import Hub, listening, open_hub
from bridge.homeserver import EmbeddedHomeserver
from bridge.homeserver_config import write_homeserver_config
from config.clock import system_clock
from config.settings import Settings
from config.state import StateDirectory
from spaces.store import DocumentStore
from tests.guard.test_time import charter_of
from tests.live import NO_LIMITS, PATIENCE_S, LiveHub, Scene, live_settings, until

pytestmark = [pytest.mark.synapse, pytest.mark.long]

SOON_MS = 10_000


async def test_a_hub_that_is_down_changes_nothing_about_what_is_refused(tmp_path: Path) -> None:
    settings = live_settings(tmp_path)
    state = StateDirectory(settings.state_dir)
    state.prepare()
    async with aiohttp.ClientSession() as session, AsyncExitStack() as homeserver:
        async with open_hub(settings, state, migrate=True) as hub:
            files = write_homeserver_config(settings, state, hub.keys.document.public.public_key, NO_LIMITS)
        synapse = EmbeddedHomeserver(files, settings.homeserver)
        await synapse.start()
        homeserver.push_async_callback(synapse.stop)
        async with running(settings, state) as hub:
            live = LiveHub(settings, state, hub, session, synapse)
            scene, other = await live.stage(), await live.stage()
            await let_time_pass(live, scene, other)
        await act_while_it_is_down(scene, other)
        async with running(settings, state) as hub:
            await hears_of_it(LiveHub(settings, state, hub, session, synapse), scene, other)


@asynccontextmanager
async def running(settings: Settings, state: StateDirectory) -> AsyncIterator[Hub]:
    """A hub that works until the block ends; the homeserver goes on."""
    async with open_hub(settings, state, migrate=False) as hub, AsyncExitStack() as stack:
        await stack.enter_async_context(listening(hub.web, settings.hub.listen, settings.hub.port))
        work = asyncio.create_task(hub.work())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await hub.link.established.wait()
            yield hub
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


async def let_time_pass(live: LiveHub, scene: Scene, other: Scene) -> None:
    """A contract and an engagement that end while the hub is down."""
    for each in (scene, other):
        assert (await each.bob.send_encrypted(each.room)).status == 200
    charter = await charter_of(scene)
    async with live.hub.services.db.begin() as tx:
        store, now = DocumentStore(tx), system_clock()
        company = await store.company(other.company)
        assert company is not None
        await store.put(replace(company, not_after=now + SOON_MS), now)
        await store.put(replace(charter, not_after=now + SOON_MS), now)
    await live.hub.services.publisher.publish()


async def act_while_it_is_down(scene: Scene, other: Scene) -> None:
    async def ended() -> bool:
        answer = await scene.bob.send_encrypted(scene.room)
        return (answer.status, answer.code) == (403, "ENGAGEMENT_CLOSED")

    await until(ended)

    async def over() -> bool:
        return (await other.bob.call("GET", "/sync?timeout=0")).status == 403

    await until(over)
    general = scene.rooms["General"]
    said = await scene.bob.send(general, "m.room.message", {"msgtype": "m.text", "body": "x"})
    assert (said.status, said.code) == (403, "PLAINTEXT")
    invited = await scene.alice.call("POST", f"/rooms/{quote(general)}/invite", {"user_id": "@x:y.example"})
    assert (invited.status, invited.code) == (403, "PERSON_UNKNOWN")
    assert (await other.bob.call("GET", "/sync?timeout=0")).body["errcode"] == "ORG_MATRIX_EXPIRED_ACCOUNT"
    assert (await other.hub.login(other.bob.user_id)).code == "COMPANY_ENDED"
    assert (await scene.alice.send_encrypted(general)).status == 200, "what is allowed goes on too"


async def hears_of_it(live: LiveHub, scene: Scene, other: Scene) -> None:
    expected = {
        (scene.bob.person, "ENGAGEMENT_CLOSED"),
        (scene.bob.person, "PLAINTEXT"),
        (scene.alice.person, "PERSON_UNKNOWN"),
        (other.bob.person, "COMPANY_ENDED"),
    }

    async def recorded() -> bool:
        found = await live.entries("guard.refused")
        return expected <= {(entry["actor"].get("person"), entry["data"]["code"]) for entry in found}

    await until(recorded)
