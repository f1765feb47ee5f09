"""Checkpoints in the Spaces: when they are posted, into which, what is recorded of it, and that it comes to rest."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from audit.keys import verify_ed25519
from audit.note import Checkpoint, open_note, split_note
from audit.store import CosignedRow, EntryRow
from bridge.posts import CheckpointPosts, is_echo
from config.clock import HOUR, MINUTE
from config.settings import LedgerSettings
from spaces.gateway import HomeserverRefusedError
from spaces.policy.checkpoints import CHECKPOINT, checkpoint_size
from tests.api.test_committees import CRM, Scene
from tests.fakes.hub import FakeHub, start_fake_hub
from tests.store.test_rotation import Life
from tests.store.test_successor import backup, restore, succeed


def posts_of(hub: FakeHub) -> CheckpointPosts:
    found = hub.hub.services.posts
    assert found is not None
    return found


async def a_round(hub: FakeHub) -> int:
    """One round, and what came of it in the ledger."""
    posted = await posts_of(hub).go_round()
    await hub.settle()
    return posted


def shown(hub: FakeHub, room_id: str) -> dict[str, Any] | None:
    return hub.homeserver.rooms[room_id].state.get((CHECKPOINT, ""))


async def partnership(hub: FakeHub, company: str) -> str:
    """Another partnership; its Space."""
    await hub.api("POST", "/v1/companies", {"id": company, "name": company.title()})
    await hub.api("POST", "/v1/partnerships", {"partner": company, "team": "north"})
    await hub.settle()
    found = await hub.api("GET", f"/v1/partnerships/{company}")
    return next(str(room["room_id"]) for room in found["rooms"] if room["kind"] == "space")


async def test_the_newest_checkpoint_goes_into_every_space_and_into_no_other_room(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    other = await partnership(fake_hub, "fabrikam")
    fake_hub.clock.now += HOUR
    before = fake_hub.homeserver.calls.count("set_state")
    assert await a_round(fake_hub) == 2
    assert fake_hub.homeserver.calls.count("set_state") == before + 2
    content = shown(fake_hub, rooms["space"])
    assert content is not None
    assert shown(fake_hub, other) == content, "the same for all: it says nothing of anybody"
    assert [name for name, room_id in rooms.items() if shown(fake_hub, room_id)] == ["space"]
    key = fake_hub.hub.services.audit.log_key
    checkpoint = Checkpoint.parse(open_note(content["note"].encode(), key, verify_ed25519))
    assert f": {checkpoint.size} entries, root " in content["body"]
    head = (await fake_hub.hub.services.audit.status()).head
    assert checkpoint.size == head.size - 2, "the posts themselves came after"


async def test_a_post_is_recorded_as_every_state_is(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    fake_hub.clock.now += HOUR
    await a_round(fake_hub)
    newest = (await fake_hub.entries())[-1]
    assert (newest["kind"], newest["actor"], newest["room"]) == (
        "state.changed",
        {"system": "conclave"},
        rooms["space"],
    )
    assert (newest["data"]["type"], newest["data"]["state_key"], newest["engagement"]) == (CHECKPOINT, "", "acme")
    assert await fake_hub.entries("drift.found") == []


async def test_posts_alone_are_no_reason_to_post(fake_hub: FakeHub) -> None:
    await fake_hub.stage()
    await partnership(fake_hub, "fabrikam")
    fake_hub.clock.now += HOUR
    assert await a_round(fake_hub) == 2
    size = len(await fake_hub.entries())
    for _ in range(3):
        fake_hub.clock.now += HOUR
        assert await a_round(fake_hub) == 0
    assert len(await fake_hub.entries()) == size
    await fake_hub.add_person("acme")
    assert len(await fake_hub.entries()) > size
    assert await a_round(fake_hub) == 2
    assert await a_round(fake_hub) == 0


def test_what_follows_from_other_entries_is_no_reason_either() -> None:
    def row(kind: str, event_type: str = "") -> EntryRow:
        return EntryRow(
            position=1, kind=kind, at=1, room=None, body=json.dumps({"data": {"type": event_type}}).encode()
        )

    assert [is_echo(row("index.published")), is_echo(row("state.changed", CHECKPOINT))] == [True, True]
    assert [is_echo(row("hub.started")), is_echo(row("state.changed", "m.room.topic"))] == [False, False]


async def test_many_posts_are_no_reason_either(sqlite_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where more of them are in the log than are read at a time."""
    monkeypatch.setattr("bridge.posts.PAGE", 1)
    await test_posts_alone_are_no_reason_to_post(sqlite_hub)


async def test_it_is_posted_once_a_period_and_the_first_time_after_one(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    assert await a_round(fake_hub) == 0, "the Space is new"
    fake_hub.clock.now += HOUR - 1
    assert await a_round(fake_hub) == 0
    fake_hub.clock.now += 1
    assert await a_round(fake_hub) == 1
    first = shown(fake_hub, rooms["space"])
    await fake_hub.add_person("acme")
    await fake_hub.entries()
    fake_hub.clock.now += HOUR - 1
    assert await a_round(fake_hub) == 0
    fake_hub.clock.now += 1
    assert await a_round(fake_hub) == 1
    assert shown(fake_hub, rooms["space"]) != first


async def test_a_feed_that_does_not_tell_of_a_post_has_none_made_again_at_once(sqlite_hub: FakeHub) -> None:
    await sqlite_hub.stage()
    sqlite_hub.clock.now += HOUR
    assert await posts_of(sqlite_hub).go_round() == 1
    for wanted in (0, 1):
        await sqlite_hub.add_person("contoso")
        await sqlite_hub.entries()
        sqlite_hub.clock.now += HOUR - 1 if wanted == 0 else 1
        assert await posts_of(sqlite_hub).go_round() == wanted


async def test_a_closed_engagement_gets_none(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    await fake_hub.api("POST", "/v1/partnerships/acme/close", {"reason": "done"})
    await fake_hub.settle()
    fake_hub.clock.now += HOUR
    before = fake_hub.homeserver.calls.count("set_state")
    assert await posts_of(fake_hub).go_round() == 0
    assert fake_hub.homeserver.calls.count("set_state") == before, "it is not even tried"
    assert shown(fake_hub, rooms["space"]) is None


async def test_a_committees_space_gets_it_and_no_room_of_a_vendor(fake_hub: FakeHub) -> None:
    """The buyers' clients keep copies; a vendor is in no Space, and its room says nothing of the log."""
    scene = await Scene(fake_hub).make()
    await scene.ready()
    await scene.act("start")
    await scene.inside()
    fake_hub.clock.now += HOUR
    assert await a_round(fake_hub) == 1
    rooms = {room["name"]: room["room_id"] for room in (await fake_hub.api("GET", CRM))["rooms"]}
    content = shown(fake_hub, rooms.pop("CRM 2027"))
    assert content is not None
    assert checkpoint_size(content) is not None
    assert [shown(fake_hub, room) for room in rooms.values()] == [None] * 3
    assert await fake_hub.entries("drift.found") == []
    await scene.act("clear")
    await scene.inside()
    fake_hub.clock.now += HOUR
    assert await a_round(fake_hub) == 1, "in every phase"
    await fake_hub.api("POST", f"{CRM}/close", {"reason": "over"})
    await scene.inside()
    fake_hub.clock.now += HOUR
    assert await a_round(fake_hub) == 0, "a closed one gets none"


async def test_a_homeserver_that_is_down_gets_it_at_the_next_round(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    fake_hub.clock.now += HOUR
    fake_hub.homeserver.down = True
    await posts_of(fake_hub).try_round()
    fake_hub.homeserver.down = False
    assert shown(fake_hub, rooms["space"]) is None
    await posts_of(fake_hub).try_round()
    assert shown(fake_hub, rooms["space"]) is not None


async def test_a_space_that_refuses_keeps_no_other_from_its_own(
    sqlite_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = sqlite_hub
    gone, other = (await hub.stage())["space"], await partnership(hub, "fabrikam")
    hub.clock.now += HOUR
    set_state, asked = hub.homeserver.set_state, list[str]()

    async def refuse(room_id: str, *rest: Any) -> None:
        asked.append(room_id)
        if room_id == gone:
            raise HomeserverRefusedError("unknown room", errcode="M_NOT_FOUND")
        await set_state(room_id, *rest)

    monkeypatch.setattr(hub.homeserver, "set_state", refuse)
    assert await a_round(hub) == 1
    assert shown(hub, other) is not None
    hub.clock.now += MINUTE
    assert await a_round(hub) == 0
    assert asked.count(gone) == 1, "it rests for a period"
    hub.clock.now += HOUR
    await a_round(hub)
    assert asked.count(gone) == 2
    monkeypatch.undo()
    hub.clock.now += HOUR
    assert await a_round(hub) == 1
    assert shown(hub, gone) is not None


async def test_what_was_posted_is_known_again_after_a_restart(tmp_path: Path, database_url: str) -> None:
    async with start_fake_hub(tmp_path, database_url) as hub:
        await hub.stage()
        hub.clock.now += HOUR
        assert await a_round(hub) == 1
    async with start_fake_hub(tmp_path, database_url, homeserver=hub.homeserver, clock=hub.clock) as again:
        again.clock.now += HOUR
        assert await a_round(again) == 0


@asynccontextmanager
async def set_to(place: Path, base: Path, **ledger: Any) -> AsyncIterator[FakeHub]:
    (place / "hub.sqlite3").write_bytes(base.read_bytes())
    url = f"sqlite+aiosqlite:///{place}/hub.sqlite3"
    async with start_fake_hub(place, url, ledger=LedgerSettings(**ledger)) as hub:
        yield hub


async def test_with_0_minutes_there_are_none(tmp_path: Path, sqlite_base: Path) -> None:
    async with set_to(tmp_path, sqlite_base, post_minutes=0) as hub:
        assert hub.hub.services.posts is None


@pytest.mark.parametrize("wanted", [False, True])
async def test_witnesses_are_named_only_where_the_settings_say_so(
    tmp_path: Path, sqlite_base: Path, wanted: bool
) -> None:
    async with set_to(tmp_path, sqlite_base, post_cosignatures=wanted) as hub:
        rooms, audit = await hub.stage(), hub.hub.services.audit
        head = (await audit.status()).head
        assert head.checkpoint is not None
        cosigned = head.checkpoint + "— witness.northwind.example AAAAAAAAAAAA\n".encode()
        await audit.keep_cosigned(CosignedRow(size=head.signed_size, at=hub.clock.now, checkpoint=cosigned))
        hub.clock.now += HOUR
        assert await a_round(hub) == 1
        content = shown(hub, rooms["space"])
        assert content is not None
        assert len(split_note(content["note"].encode())[1]) == 1 + wanted
        assert ("northwind" in json.dumps(content)) is wanted


@pytest.mark.parametrize(("count", "size"), [(17, 76), (11, 2_432)])
async def test_where_the_witnesses_lines_do_not_fit_the_log_signs_alone(
    tmp_path: Path, sqlite_base: Path, count: int, size: int
) -> None:
    """Seventeen witnesses with Ed25519 keys are too many, and eleven with ML-DSA-44 keys too long."""
    async with set_to(tmp_path, sqlite_base, post_cosignatures=True) as hub:
        rooms, audit = await hub.stage(), hub.hub.services.audit
        head = (await audit.status()).head
        lines = [f"— w{number}.example {base64.b64encode(bytes(size)).decode()}\n" for number in range(count)]
        cosigned = (head.checkpoint or b"") + "".join(lines).encode()
        await audit.keep_cosigned(CosignedRow(size=head.signed_size, at=hub.clock.now, checkpoint=cosigned))
        hub.clock.now += HOUR
        assert await a_round(hub) == 1
        content = shown(hub, rooms["space"])
        assert content is not None
        assert content["note"].encode() == head.checkpoint


async def test_no_checkpoint_whatever_ends_the_hub(sqlite_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = await sqlite_hub.stage()
    sqlite_hub.clock.now += HOUR

    def none(_note: str) -> dict[str, Any]:
        raise ValueError("the note is no checkpoint")

    with monkeypatch.context() as patch:
        patch.setattr("bridge.posts.checkpoint_content", none)
        await posts_of(sqlite_hub).try_round()
    assert shown(sqlite_hub, rooms["space"]) is None
    await posts_of(sqlite_hub).try_round()
    assert shown(sqlite_hub, rooms["space"]) is not None


async def test_the_log_that_follows_a_closed_one_is_posted_at_once(tmp_path: Path, database_url: str) -> None:
    """However many entries the checkpoint of the closed one, which every Space has, is of."""
    life = Life(tmp_path, database_url)
    async with life.hub() as hub:
        rooms = await hub.stage()
        for _ in range(9):
            await hub.add_person("contoso", prefix="early")
        hub.clock.now += HOUR
        await hub.entries()
        assert await a_round(hub) == 1
    kept = await backup(life.url)
    async with life.hub() as hub:
        await hub.add_person("contoso", prefix="lost")
        await hub.entries()
    await restore(life.url, kept)
    await succeed(life, life.take_root())
    async with life.hub() as hub:
        await hub.entries()
        hub.clock.now += HOUR
        assert await a_round(hub) == 1
        content = shown(hub, rooms["space"])
        assert content is not None
        size = checkpoint_size(content, "conclave.test/2")
        assert size is not None
        assert size < kept["ledger_head"][0]["signed_size"]
        hub.clock.now += HOUR
        assert await a_round(hub) == 0
