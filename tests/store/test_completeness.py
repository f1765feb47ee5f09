"""The ledger beside the homeserver's own timeline: each difference by its event id."""

from pathlib import Path
from urllib.parse import quote

from audit.store import EntryRow
from bridge.completeness import Completeness, compare
from tests.fakes.hub import FakeHub
from tests.store.test_rotation import Life
from tests.store.test_successor import backup, restore, succeed

PERSON = "@person1.contoso:conclave.test"
SEALED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "c", "session_id": "s"}


async def compared(hub: FakeHub, room: str) -> Completeness:
    return await compare(room, hub.homeserver, hub.hub.services.audit)


async def staged(hub: FakeHub) -> str:
    room = (await hub.stage())["Deals"]
    for _ in range(30):
        hub.homeserver.send(room, PERSON, "m.room.encrypted", SEALED)
    await hub.settle()
    return room


async def test_every_room_agrees(fake_hub: FakeHub) -> None:
    await staged(fake_hub)
    for room_id, room in fake_hub.homeserver.rooms.items():
        found = await compared(fake_hub, room_id)
        assert found == Completeness(events=len(room.events))
        assert found.holds


async def test_what_was_not_delivered_is_named(fake_hub: FakeHub) -> None:
    room = await staged(fake_hub)
    fake_hub.homeserver.send(room, PERSON, "m.room.encrypted", SEALED)
    fake_hub.homeserver.outbox = []
    newest = fake_hub.homeserver.rooms[room].events[-1]["event_id"]
    found = await compared(fake_hub, room)
    assert (found.unrecorded, found.unknown, found.holds) == ((newest,), (), False)


async def test_what_the_homeserver_lost_is_named(fake_hub: FakeHub) -> None:
    room = await staged(fake_hub)
    gone = fake_hub.homeserver.rooms[room].events.pop(-3)["event_id"]
    found = await compared(fake_hub, room)
    assert (found.unrecorded, found.unknown, found.holds) == ((), (gone,), False)


async def test_what_stands_in_the_ledger_twice_is_named(fake_hub: FakeHub) -> None:
    room = await staged(fake_hub)
    audit = fake_hub.hub.services.audit

    class Twice:
        """The ledger with its newest entry of the room repeated."""

        async def page(self, *, start: int, limit: int, kind: str | None, room: str | None) -> list[EntryRow]:
            rows = await audit.page(start=start, limit=limit, kind=kind, room=room)
            return [*rows, *(row._replace(position=row.position + 1) for row in rows[-1:])]

    found = await compare(room, fake_hub.homeserver, Twice())
    assert found.repeated == (fake_hub.homeserver.rooms[room].events[-1]["event_id"],)
    assert not found.holds


async def test_an_entry_that_only_speaks_of_an_event_is_no_record_of_it(fake_hub: FakeHub) -> None:
    room = await staged(fake_hub)
    fake_hub.clock.now += 60_000
    fake_hub.homeserver.backdoor(room, PERSON, "m.room.name", {"name": "Taken"}, "")
    await fake_hub.settle()
    assert await fake_hub.entries("drift.found")
    assert (await compared(fake_hub, room)).holds


async def test_whoever_reads_the_ledger_may_ask(fake_hub: FakeHub) -> None:
    room = await staged(fake_hub)
    found = await fake_hub.api("GET", f"/v1/ledger/rooms/{room}")
    assert (found["agrees"], found["events"]) == (True, len(fake_hub.homeserver.rooms[room].events))
    answer = await fake_hub.request("GET", "/v1/ledger/rooms/rm_none")
    assert (answer.status, answer.body["code"]) == (404, "not_found")


async def test_an_event_is_found_by_its_id(fake_hub: FakeHub) -> None:
    room = await staged(fake_hub)
    for event in fake_hub.homeserver.rooms[room].events[::7]:
        found = await fake_hub.api("GET", f"/v1/ledger/events/{quote(event['event_id'], safe='')}")
        entry = (await fake_hub.api("GET", f"/v1/ledger/entries/{found['position']}"))["entry"]
        assert (entry["room"], entry["data"]["event_id"]) == (room, event["event_id"])
    answer = await fake_hub.request("GET", "/v1/ledger/events/$none")
    assert (answer.status, answer.body["code"]) == (404, "not_found")


async def test_an_event_of_a_closed_log_is_said_to_be_there(tmp_path: Path, database_url: str) -> None:
    life = Life(tmp_path, database_url)
    async with life.hub() as hub:
        room = await staged(hub)
        event = quote(hub.homeserver.rooms[room].events[-1]["event_id"], safe="")
        before = await hub.api("GET", f"/v1/ledger/events/{event}")
    kept = await backup(life.url)
    async with life.hub() as hub:
        await hub.add_person("contoso", prefix="lost")
        await hub.entries()
    await restore(life.url, kept)
    await succeed(life, life.take_root())
    async with life.hub() as hub:
        await hub.entries()
        answer = await hub.request("GET", f"/v1/ledger/events/{event}")
        assert (answer.status, answer.body["hint"]) == (404, "conclave signer former")
        assert answer.body["detail"].endswith(f"it is entry {before['position']} of the closed log conclave.test")
        answer = await hub.request("GET", "/v1/ledger/events/$none")
        assert answer.body["hint"] == "conclave audit reconcile"


async def test_the_entries_of_a_room_by_its_key_or_its_id(fake_hub: FakeHub) -> None:
    room = await staged(fake_hub)
    rooms = (await fake_hub.api("GET", "/v1/rooms"))["items"]
    key = next(item["key"] for item in rooms if item["room_id"] == room)

    async def of(reference: str) -> list[int]:
        found = await fake_hub.api("GET", f"/v1/ledger/entries?limit=500&room={quote(reference, safe='')}")
        return [item["position"] for item in found["items"]]

    assert len(await of(room)) > 30
    assert await of(key) == await of(room)
    assert await of("!of-nobody") == []
    answer = await fake_hub.request("GET", "/v1/ledger/entries?room=rm_none")
    assert (answer.status, answer.body["field"], answer.body["detail"]) == (422, "room", "no room 'rm_none'")
