"""Checkpoints in the Spaces of a real Synapse: a partner's own client gets them, nobody else can touch them."""

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest

from audit.keys import verify_ed25519
from audit.note import Checkpoint, open_note
from audit.tree import verify_consistency
from bridge.posts import CheckpointPosts
from config.settings import LedgerSettings
from spaces.policy.checkpoints import CHECKPOINT
from tests.live import LiveHub, Scene, User, live_settings, start_live_hub, until

LIMITS = count(10)

pytestmark = pytest.mark.synapse


@pytest.fixture(scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveHub]:
    """A hub that posts by itself, as soon as there is something to post."""
    place = tmp_path_factory.mktemp("posts")
    settings = live_settings(place).model_copy(update={"ledger": LedgerSettings(post_minutes=0.01)})
    async with start_live_hub(place, settings=settings) as found:
        yield found


@pytest.fixture(scope="module")
async def scene(hub: LiveHub) -> Scene:
    found = await hub.stage()
    for user in (found.host, found.alice, found.bob):
        await hub.chat_of(user)
    return found


async def seen_by(user: User, space: str) -> dict[str, Any] | None:
    """The checkpoint in the Space as the person's client gets it when it starts, from the Space's state or timeline."""
    first = quote(json.dumps({"room": {"timeline": {"limit": next(LIMITS)}}}))  # Synapse answers the same with the same
    synced = (await user.call("GET", f"/sync?timeout=0&filter={first}")).body["rooms"]["join"][space]
    events = [*synced["state"]["events"], *synced["timeline"]["events"]]
    found = [event for event in events if event["type"] == CHECKPOINT and event.get("state_key") == ""]
    return found[-1] if found else None


async def shown_to(user: User, space: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        return await seen_by(user, space)

    found: dict[str, Any] = await until(look)
    return found


def checkpoint_in(hub: LiveHub, event: dict[str, Any]) -> Checkpoint:
    """What the note in the event says, when the log's key signed it."""
    note = event["content"]["note"].encode()
    return Checkpoint.parse(open_note(note, hub.hub.services.audit.log_key, verify_ed25519))


async def at_rest(hub: LiveHub) -> int:
    """The log's size once everything that was posted is in it and nothing more is to post."""
    posts = always_due(hub)

    async def rests() -> int | None:
        before = (await hub.hub.services.audit.status()).head.size
        posted = await posts.go_round()
        status = await hub.hub.services.audit.status()
        quiet = posted == 0 and status.backlog == 0 and status.head.size == before
        return status.head.size if quiet else None

    return int(await until(rests))


def always_due(hub: LiveHub) -> CheckpointPosts:
    """Beside the hub's own: it posts whenever the log grew by something else than posts."""
    own = hub.hub.services
    return CheckpointPosts(own.audit, own.db, own.homeserver, own.clock, every_ms=0, cosignatures=False)


async def test_a_partners_client_gets_the_signed_checkpoint(hub: LiveHub, scene: Scene) -> None:
    space = scene.rooms["space"]
    event = await shown_to(scene.alice, space)
    assert event["sender"] == hub.bot
    checkpoint = checkpoint_in(hub, event)
    assert checkpoint.origin == "conclave.test"
    assert f": {checkpoint.size} entries, root " in event["content"]["body"]
    asked = await scene.alice.call("GET", f"/rooms/{quote(space)}/state/{CHECKPOINT}")
    assert asked.status == 200
    assert checkpoint_in(hub, {"content": asked.body}).size >= checkpoint.size, "as docs/witnesses.md has it"
    late = await hub.add_person(scene.company)

    async def joined() -> bool:
        return space in (await late.call("GET", "/joined_rooms")).body["joined_rooms"]

    await until(joined)
    await hub.chat_of(late)
    assert checkpoint_in(hub, await shown_to(late, space)).size >= checkpoint.size, "who comes later gets it too"


async def test_a_later_one_extends_the_one_that_a_client_kept(hub: LiveHub, scene: Scene) -> None:
    first = checkpoint_in(hub, await shown_to(scene.alice, scene.rooms["space"]))
    await hub.add_company()

    async def look() -> Checkpoint | None:
        found = checkpoint_in(hub, await shown_to(scene.alice, scene.rooms["space"]))
        return found if found.size > first.size else None

    later: Checkpoint = await until(look)
    proof = await hub.hub.services.audit.consistency(first.size, later.size)
    verify_consistency(first.size, later.size, proof, first.root, later.root)


async def test_nobody_but_the_hub_sets_it_or_takes_it_back(hub: LiveHub, scene: Scene) -> None:
    space = scene.rooms["space"]
    event = await shown_to(scene.bob, space)
    for user in (scene.bob, scene.host):
        contents: list[dict[str, Any]] = [{}, event["content"]]
        for content in contents:
            refused = await user.set_state(space, CHECKPOINT, content)
            assert (refused.status, refused.body["org.conclave.code"]) == (403, "STATE_FIXED"), refused
        assert (await user.send(space, CHECKPOINT, event["content"])).status == 403
        path = f"/rooms/{quote(space)}/redact/{quote(event['event_id'])}/x{user.person}"
        assert (await user.call("PUT", path, {})).status == 403
    assert await seen_by(scene.bob, space) is not None


async def test_whoever_has_the_hubs_token_cannot_write_letters_with_it(hub: LiveHub, scene: Scene) -> None:
    bot = User(hub, hub.bot, "bot", hub.state.token("as_token"))
    event = await shown_to(scene.bob, scene.rooms["space"])
    letter = {**event["content"], "body": "meet us without Contoso"}
    for room, content in ((scene.rooms["space"], letter), (scene.room, event["content"])):
        refused = await bot.set_state(room, CHECKPOINT, content)
        assert (refused.status, refused.body["org.conclave.code"]) == (403, "STATE_FIXED"), refused
    assert (await bot.send(scene.rooms["space"], CHECKPOINT, event["content"])).status == 403


async def test_two_rounds_without_another_change_post_nothing(hub: LiveHub, scene: Scene) -> None:
    size = await at_rest(hub)
    before = await shown_to(scene.alice, scene.rooms["space"])
    assert [await always_due(hub).go_round() for _ in range(2)] == [0, 0]
    assert (await hub.hub.services.audit.status()).head.size == size
    assert (await shown_to(scene.alice, scene.rooms["space"]))["event_id"] == before["event_id"]
    posted = [one for one in await hub.entries("state.changed") if one["data"]["type"] == CHECKPOINT]
    assert {one["room"] for one in posted} == {scene.rooms["space"]}
    assert all(one["actor"] == {"system": "conclave"} for one in posted)
    assert before["event_id"] in {one["data"]["event_id"] for one in posted}
    assert await hub.entries("drift.found") == []


async def test_what_one_company_reads_tells_nothing_of_another(hub: LiveHub, scene: Scene) -> None:
    other = await hub.stage()

    async def same() -> bool:
        await at_rest(hub)
        one, two = [await shown_to(who.alice, who.rooms["space"]) for who in (scene, other)]
        sizes = [checkpoint_in(hub, event).size for event in (one, two)]
        text = str(two["content"])
        assert two["content"].keys() == {"note", "body"}
        assert not any(name in text for name in (scene.company, scene.team, *scene.rooms.values(), scene.alice.user_id))
        return sizes[0] == sizes[1] and one["content"] == two["content"]

    await until(same)
