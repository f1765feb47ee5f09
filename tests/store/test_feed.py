"""The feed, on both databases: every event of the homeserver once, in order, whatever is delivered how often."""

import asyncio
import io
import json
from typing import Any

import pytest

from bridge.feed import SETTLE_S
from config.clock import DAY
from config.errors import InvalidInputError
from spaces.gateway import HomeserverUnavailableError
from spaces.observed import ObservedStore
from tests.fakes.hub import FakeHub

PERSON = "@person2.acme:conclave.test"


def sealed(number: int) -> dict[str, Any]:
    return {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": f"c{number}", "session_id": "s"}


async def recorded(hub: FakeHub, room_id: str) -> list[str]:
    """The ids of the room's events in the ledger, in its order."""
    entries = [entry for entry in await hub.entries() if entry.get("room") == room_id]
    assert [entry["room_seq"] for entry in entries] == list(range(1, len(entries) + 1))
    return [entry["data"]["event_id"] for entry in entries if entry["source"] == "homeserver"]


def happened(hub: FakeHub, room_id: str) -> list[str]:
    return [event["event_id"] for event in hub.homeserver.rooms[room_id].events]


async def test_the_ledger_has_every_event_of_every_room_once_and_in_order(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    for number in range(5):
        fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(number))
    await fake_hub.settle()
    for room_id in rooms.values():
        assert await recorded(fake_hub, room_id) == happened(fake_hub, room_id)


async def test_entries_of_a_room_name_its_engagement_and_companies(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    entries = [entry for entry in await fake_hub.entries() if entry.get("room") == rooms["Deals"]]
    assert {entry["engagement"] for entry in entries} == {"acme"}
    assert {tuple(entry["companies"]) for entry in entries} == {("acme", "contoso")}


async def test_a_transaction_delivered_three_times_is_taken_once(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(1))
    events, fake_hub.homeserver.outbox = fake_hub.homeserver.outbox, []
    for _ in range(3):
        await fake_hub.hub.services.feed.accept("77", events)
    assert await recorded(fake_hub, rooms["Deals"]) == happened(fake_hub, rooms["Deals"])


async def test_a_homeserver_that_counts_anew_after_a_restart_loses_nothing(fake_hub: FakeHub) -> None:
    """Synapse on SQLite does: its next transaction has an id that was here before, and something else in it."""
    rooms = await fake_hub.stage()
    for number in range(3):
        fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(number))
        events, fake_hub.homeserver.outbox = fake_hub.homeserver.outbox, []
        await fake_hub.hub.services.feed.accept("1", events)
        assert await recorded(fake_hub, rooms["Deals"]) == happened(fake_hub, rooms["Deals"])
    assert await fake_hub.entries("feed.recovered") == []


async def test_a_malformed_event_that_is_sent_again_is_one_entry(fake_hub: FakeHub) -> None:
    for _ in range(2):
        await fake_hub.hub.services.feed.accept("1", [None, {"x": 1}])
    assert len(await fake_hub.entries("event.malformed")) == 2


async def test_an_event_in_two_transactions_is_taken_once(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(1))
    events, fake_hub.homeserver.outbox = fake_hub.homeserver.outbox, []
    await fake_hub.hub.services.feed.accept("77", events)
    fake_hub.clock.now += 30 * DAY  # the note of the transaction is gone by then, the event's is not
    await fake_hub.hub.services.feed.accept("78", [])
    await fake_hub.hub.services.feed.accept("77", events + events)
    assert await recorded(fake_hub, rooms["Deals"]) == happened(fake_hub, rooms["Deals"])


async def test_what_was_never_delivered_is_fetched_before_what_came_after(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    room_id = rooms["Deals"]
    for number in range(250):
        fake_hub.homeserver.send(room_id, PERSON, "m.room.encrypted", sealed(number))
    fake_hub.homeserver.outbox = fake_hub.homeserver.outbox[-1:]
    await fake_hub.settle()
    assert await recorded(fake_hub, room_id) == happened(fake_hub, room_id)
    found = await fake_hub.entries("feed.recovered")
    assert [entry["data"] for entry in found] == [{"events": 250, "unavailable": 0}]


async def test_a_lost_end_of_a_room_is_found_by_the_sweep(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.feed.SETTLE_S", 0)
    rooms = await fake_hub.stage()
    for number in range(3):
        fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(number))
    fake_hub.homeserver.outbox = []
    assert await fake_hub.hub.services.feed.sweep() == 3
    assert await fake_hub.hub.services.feed.sweep() == 0
    assert await recorded(fake_hub, rooms["Deals"]) == happened(fake_hub, rooms["Deals"])


async def test_a_sweep_waits_once_for_what_is_under_way_in_all_rooms(
    fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    really_wait = asyncio.sleep

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await really_wait(0)

    rooms = [room_id for name, room_id in (await fake_hub.stage()).items() if name in ("Deals", "Support")]
    assert len(rooms) == 2
    for room_id in rooms:
        fake_hub.homeserver.send(room_id, PERSON, "m.room.encrypted", sealed(1))
    fake_hub.homeserver.outbox = []
    monkeypatch.setattr("bridge.feed.asyncio.sleep", wait)
    assert await fake_hub.hub.services.feed.sweep() == len(rooms)
    assert waited.count(SETTLE_S) == 1


async def test_a_gap_that_cannot_be_filled_is_said_and_does_not_stop_the_feed(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(1))
    fake_hub.homeserver.outbox[0]["unsigned"]["org.conclave.prev"].append("$gone")
    await fake_hub.settle()
    assert await recorded(fake_hub, rooms["Deals"]) == happened(fake_hub, rooms["Deals"])
    found = await fake_hub.entries("feed.recovered")
    assert [entry["data"]["unavailable"] for entry in found] == [1]


async def test_while_a_gap_cannot_be_looked_at_nothing_is_taken(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    for number in range(2):
        fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(number))
    late, fake_hub.homeserver.outbox = fake_hub.homeserver.outbox[1:], []
    fake_hub.homeserver.down = True
    with pytest.raises(HomeserverUnavailableError):
        await fake_hub.hub.services.feed.accept("99", late)
    fake_hub.homeserver.down = False
    await fake_hub.hub.services.feed.accept("99", late)
    assert await recorded(fake_hub, rooms["Deals"]) == happened(fake_hub, rooms["Deals"])


async def test_what_is_no_event_is_an_entry_and_does_not_stop_the_feed(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(1))
    events, fake_hub.homeserver.outbox = fake_hub.homeserver.outbox, []
    broken: list[Any] = [None, 7, "x", {}, {"event_id": 1}, {**events[0], "event_id": "$\ud800"}]
    await fake_hub.hub.services.feed.accept("5", [*broken, *events])
    assert len(await fake_hub.entries("event.malformed")) == len(broken)
    assert await recorded(fake_hub, rooms["Deals"]) == happened(fake_hub, rooms["Deals"])


async def test_nobody_stays_unseen_by_sending_what_cannot_be_read(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(1))
    fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(2))
    (first, second), fake_hub.homeserver.outbox = fake_hub.homeserver.outbox, []
    await fake_hub.hub.services.feed.accept("5", [{**first, "state_key": "x\0y"}, second])
    (entry,) = await fake_hub.entries("event.malformed")
    assert (entry["room"], entry["engagement"]) == (rooms["Deals"], "acme")
    assert entry["actor"].keys() == {"person"}
    assert entry["data"]["event_id"] == first["event_id"]
    assert not await fake_hub.entries("feed.recovered"), "it was delivered"


async def test_members_that_are_not_known_are_passed_over(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    fake_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", sealed(1))
    fake_hub.homeserver.outbox[0]["com.example.new"] = {"deep": [1.5, None]}
    await fake_hub.settle()
    assert await recorded(fake_hub, rooms["Deals"]) == happened(fake_hub, rooms["Deals"])


async def test_too_many_events_are_refused(fake_hub: FakeHub) -> None:
    with pytest.raises(InvalidInputError, match="a transaction has at most 1000 events, not 1001"):
        await fake_hub.hub.services.feed.accept("1", [{}] * 1001)


async def test_the_mirror_follows_memberships_and_state(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    async with fake_hub.hub.services.db.read() as connection:
        seen = await ObservedStore(connection).room(rooms["Deals"])
    actual = fake_hub.homeserver.rooms[rooms["Deals"]].state
    assert seen.state == {key: content for key, content in actual.items() if key[0] != "m.room.member"}
    assert seen.members == {
        user: content["membership"] for (kind, user), content in actual.items() if kind == "m.room.member"
    }


async def test_refusals_of_the_guard_are_entries_once(fake_hub: FakeHub) -> None:
    rooms = await fake_hub.stage()
    refusal = {"actor": PERSON, "room": rooms["Deals"], "code": "PLAINTEXT", "act": "m.room.message", "minute": 0}
    for _ in range(3):
        await fake_hub.hub.services.feed.accept_refusals("b1", [{**refusal, "count": 4}])
    await fake_hub.hub.services.feed.accept_refusals("b2", [{**refusal, "code": "GUARD_FAILED", "count": 1}])
    (entry,) = await fake_hub.entries("guard.refused")
    assert entry["data"] == {"code": "PLAINTEXT", "act": "m.room.message", "count": 4, "minute": 0}
    assert (entry["room"], entry["engagement"]) == (rooms["Deals"], "acme")
    assert list(entry["actor"]) == ["person"]
    assert len(await fake_hub.entries("guard.crashed")) == 1


async def test_a_broken_batch_of_refusals_is_refused_whole(fake_hub: FakeHub) -> None:
    good = {"actor": PERSON, "room": "", "code": "PLAINTEXT", "act": "x", "minute": 0, "count": 1}
    with pytest.raises(InvalidInputError, match="a refusal has actor, room, code, act, minute and count"):
        await fake_hub.hub.services.feed.accept_refusals("b1", [good, {"actor": PERSON}])
    assert await fake_hub.entries("guard.refused") == []


HS = "hs_token"


@pytest.mark.parametrize(
    ("token", "data", "status", "errcode"),
    [
        ("", b"{}", 401, "M_UNAUTHORIZED"),
        ("wrong", b"{}", 403, "M_FORBIDDEN"),
        (HS, b"not json", 400, "M_NOT_JSON"),
        (HS, b"[" * 100_000, 400, "M_NOT_JSON"),
        (HS, b"[]", 400, "M_BAD_JSON"),
        (HS, b'{"events": 7}', 400, "M_BAD_JSON"),
        (HS, b'{"events": []}', 200, None),
        (HS, b"", 200, None),
    ],
)
async def test_what_the_transaction_address_takes(
    fake_hub: FakeHub, token: str, data: bytes, status: int, errcode: str | None
) -> None:
    bearer = fake_hub.state.token(HS) if token == HS else token
    answer = await fake_hub.request("PUT", "/_matrix/app/v1/transactions/1", token=bearer, data=data)
    assert (answer.status, answer.body.get("errcode")) == (status, errcode)


async def test_fifty_megabytes_are_refused_and_not_kept(fake_hub: FakeHub) -> None:
    data = io.BytesIO(json.dumps({"events": ["x" * 50_000_000]}).encode())
    answer = await fake_hub.request("PUT", "/_matrix/app/v1/transactions/1", token=fake_hub.state.token(HS), data=data)
    assert (answer.status, answer.body["errcode"]) == (413, "M_TOO_LARGE")


async def test_the_guards_token_is_not_the_homeservers(fake_hub: FakeHub) -> None:
    answer = await fake_hub.request(
        "PUT", "/_conclave/guard/v1/refusals/1", {"refusals": []}, token=fake_hub.state.token(HS)
    )
    assert answer.status == 403
    answer = await fake_hub.request(
        "PUT", "/_conclave/guard/v1/refusals/1", {"refusals": []}, token=fake_hub.state.token("guard_token")
    )
    assert answer.status == 200


async def test_users_and_aliases_are_unknown_to_us(fake_hub: FakeHub) -> None:
    for path in ("users/@conclave-x:conclave.test", "rooms/%23x:conclave.test", "thirdparty/user/x"):
        answer = await fake_hub.request("GET", f"/_matrix/app/v1/{path}", token=fake_hub.state.token(HS))
        assert (answer.status, answer.body["errcode"]) == (404, "M_NOT_FOUND")


async def test_a_sweep_that_was_cut_short_is_made_again(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.feed.SETTLE_S", 0)
    room = (await fake_hub.stage())["Deals"]
    fake_hub.homeserver.send(room, PERSON, "m.room.encrypted", sealed(1))
    fake_hub.homeserver.outbox = []
    fake_hub.homeserver.instance = "fake-2"
    with monkeypatch.context() as patched:

        async def busy(*_: object) -> None:
            raise HomeserverUnavailableError("the homeserver does not answer: 503")

        patched.setattr(fake_hub.homeserver, "timeline", busy)
        with pytest.raises(HomeserverUnavailableError):
            await fake_hub.hub.link.look()
    assert await recorded(fake_hub, room) != happened(fake_hub, room)
    await fake_hub.hub.link.look()
    assert await recorded(fake_hub, room) == happened(fake_hub, room)
