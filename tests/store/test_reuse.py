"""Reused Megolm sessions, as the feed finds them, on both databases: what is a finding, what is none, who learns it."""

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.reuse import KEPT_MS
from config.clock import HOUR, MINUTE
from spaces.megolm import GRACE_MS
from spaces.tables import departure, megolm_session
from tests.fakes.hub import FakeHub


@dataclass(slots=True)
class Talk:
    """A partnership's rooms with a host and two partners in them, who say things with the session that is named."""

    hub: FakeHub
    rooms: dict[str, str]
    host: str
    alice: str
    bob: str

    @property
    def room(self) -> str:
        return self.rooms["Deals"]

    def say(self, session: str, sender: str = "", *, room: str = "", ts: int | None = None) -> str:
        content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "c", "session_id": session, "device_id": "LAPTOP"}
        at = (room or self.room, sender or self.host, "m.room.encrypted", content)
        remote = sender.endswith(".example")
        event_id = self.hub.homeserver.backdoor(*at) if remote else self.hub.homeserver.send(*at)
        if ts is not None:
            self.hub.homeserver.outbox[-1]["origin_server_ts"] = ts
        return event_id

    def leave(self, user: str = "", *, room: str = "") -> str:
        return self.hub.homeserver.leave(room or self.room, user or self.bob)

    def later(self, by: int = GRACE_MS) -> None:
        self.hub.clock.now += by

    async def back(self, user: str) -> None:
        """In again, as the reconciler would put it right."""
        await self.hub.settle()
        assert user in self.hub.homeserver.members(self.room)

    async def take(self) -> None:
        """What happened goes to the feed; the reconciler does nothing meanwhile."""
        await self.hub.homeserver.deliver(self.hub.hub.services.feed.accept)

    async def found(self) -> list[dict[str, Any]]:
        await self.take()
        return await self.hub.entries("session.reused")

    async def person(self, user: str) -> str:
        return str((await self.hub.api("GET", f"/v1/people/{user}"))["id"])


@pytest.fixture
async def talk(fake_hub: FakeHub) -> Talk:
    rooms = await fake_hub.stage()
    host, alice, bob = sorted(fake_hub.homeserver.members(rooms["Deals"]) - {fake_hub.homeserver.bot})
    return Talk(fake_hub, rooms, host, alice, bob)


async def test_what_is_recorded_of_a_session_from_before_somebody_left(talk: Talk) -> None:
    talk.say("s1")
    talk.leave()
    talk.later(GRACE_MS + MINUTE)
    event_id = talk.say("s1")
    (entry,) = await talk.found()
    assert entry["actor"] == {"person": await talk.person(talk.host)}
    assert (entry["room"], entry["engagement"], entry["companies"]) == (talk.room, "acme", ["acme", "contoso"])
    assert entry["data"] == {
        "event_id": event_id,
        "ts": talk.hub.clock.now,
        "session_id": "s1",
        "device_id": "LAPTOP",
        "left": [await talk.person(talk.bob)],
        "left_of": ["acme"],
        "count": 1,
        "after_ms": GRACE_MS + MINUTE,
    }
    last = (await talk.hub.entries())[-2:]
    assert [item["kind"] for item in last] == ["message.sent", "session.reused"]


async def test_it_is_the_same_in_whatever_transactions_it_came(talk: Talk) -> None:
    for act in (lambda: talk.say("s1"), talk.leave, talk.later, lambda: talk.say("s1")):
        act()
        await talk.take()
    assert len(await talk.found()) == 1


async def test_each_message_is_a_finding_of_its_own_and_a_new_session_ends_it(talk: Talk) -> None:
    talk.say("s1")
    talk.leave()
    talk.later()
    first, second = talk.say("s1"), talk.say("s1")
    talk.say("s2")
    talk.say("s2")
    assert [entry["data"]["event_id"] for entry in await talk.found()] == [first, second]


async def test_a_session_that_began_after_the_departure_is_as_it_should_be(talk: Talk) -> None:
    talk.say("s0")
    talk.leave()
    talk.say("s1")
    talk.later(HOUR)
    talk.say("s1")
    assert await talk.found() == []


async def test_a_message_of_the_same_moment_is_no_finding_the_next_one_is(talk: Talk) -> None:
    talk.say("s1")
    talk.leave()
    talk.later(GRACE_MS - 1)
    talk.say("s1")
    assert await talk.found() == []
    talk.later(1)
    late = talk.say("s1")
    assert [entry["data"]["event_id"] for entry in await talk.found()] == [late]


async def test_the_same_event_twice_is_one_finding(talk: Talk) -> None:
    talk.say("s1")
    talk.leave()
    talk.later()
    talk.say("s1")
    events = list(talk.hub.homeserver.outbox)
    feed = talk.hub.hub.services.feed
    for number in range(3):
        await feed.accept(f"again{number}", events)
    await feed.accept("twice", events + events)
    assert len(await talk.found()) == 1


async def test_an_event_from_before_that_comes_late_is_no_finding(talk: Talk) -> None:
    """Recovered, or held up: it was sent while everybody was in, so whoever left may read it."""
    talk.say("s1")
    await talk.take()
    sent = talk.hub.clock.now
    talk.later(HOUR)
    talk.leave()
    talk.later(HOUR)
    talk.say("s1", ts=sent)
    assert await talk.found() == []


async def test_what_was_missed_is_judged_in_the_order_in_which_it_happened(talk: Talk) -> None:
    """The hub was away: session, departure and message were never delivered, only what came after."""
    talk.say("s1")
    talk.leave()
    talk.later()
    reused = talk.say("s1")
    talk.say("s2", talk.alice)
    talk.hub.homeserver.outbox = talk.hub.homeserver.outbox[-1:]
    assert [entry["data"]["event_id"] for entry in await talk.found()] == [reused]


async def test_another_homeservers_clock_does_not_hide_it(talk: Talk) -> None:
    """Its own people's messages are judged by when they came; ours by our homeserver's clock."""
    await talk.take()
    mallory = "@mallory:elsewhere.example"
    backdoor = talk.hub.homeserver.backdoor
    backdoor(talk.room, mallory, "m.room.member", {"membership": "join"}, mallory)
    talk.say("s1", mallory)
    talk.leave()
    left = talk.hub.clock.now
    talk.later()
    talk.say("s1", mallory, ts=left - HOUR)
    found = await talk.found()
    assert [entry["actor"] for entry in found] == [{"user": mallory}]
    assert (found[0]["data"]["ts"], found[0]["data"]["after_ms"]) == (left - HOUR, 0)


async def test_a_departure_that_claims_to_be_of_later_counts_from_when_it_came(talk: Talk) -> None:
    talk.say("s1")
    talk.leave()
    talk.hub.homeserver.outbox[-1]["origin_server_ts"] = talk.hub.clock.now + 365 * 24 * HOUR
    await talk.take()
    talk.later()
    talk.say("s1")
    assert len(await talk.found()) == 1


async def test_who_is_back_may_read_it(talk: Talk) -> None:
    talk.say("s1")
    talk.leave()
    await talk.back(talk.bob)
    talk.later(HOUR)
    talk.say("s1")
    assert await talk.found() == []
    left = talk.hub.clock.now
    talk.leave()
    talk.later()
    talk.say("s1")
    (entry,) = await talk.found()
    assert entry["data"]["after_ms"] == talk.hub.clock.now - left == GRACE_MS


async def test_who_is_back_within_one_transaction_may_read_it(talk: Talk) -> None:
    talk.say("s1")
    talk.leave()
    talk.hub.homeserver.backdoor(talk.room, talk.bob, "m.room.member", {"membership": "join"}, talk.bob)
    talk.later()
    talk.say("s1")
    assert await talk.found() == []


async def test_who_is_back_afterwards_was_out_when_it_was_said(talk: Talk) -> None:
    """Both in one transaction: what counts is who was in when the message came."""
    talk.say("s1")
    talk.leave()
    await talk.take()
    talk.later()
    talk.say("s1")
    talk.hub.homeserver.backdoor(talk.room, talk.bob, "m.room.member", {"membership": "join"}, talk.bob)
    assert len(await talk.found()) == 1


async def test_an_invitation_that_was_declined_is_no_departure(talk: Talk) -> None:
    late = await talk.hub.add_person("acme")
    talk.say("s1")
    for membership in ("invite", "leave"):
        talk.hub.homeserver.backdoor(
            talk.room, talk.hub.homeserver.bot, "m.room.member", {"membership": membership}, late
        )
    talk.later()
    talk.say("s1")
    assert await talk.found() == []


async def test_a_departure_elsewhere_does_not_count(talk: Talk) -> None:
    talk.say("s1")
    talk.leave(room=talk.rooms["Support"])
    talk.later()
    talk.say("s1")
    assert await talk.found() == []


async def test_several_who_left_are_named_and_counted(talk: Talk) -> None:
    talk.say("s1")
    talk.leave(talk.bob)
    talk.later()
    talk.leave(talk.alice)
    talk.say("s1")
    talk.later()
    talk.say("s1")
    found = await talk.found()
    people = [await talk.person(talk.alice), await talk.person(talk.bob)]
    assert [entry["data"]["left"] for entry in found] == [people[1:], sorted(people)]
    assert [entry["data"]["count"] for entry in found] == [1, 2]


async def test_a_session_in_two_rooms_of_an_engagement_is_a_finding_at_once(talk: Talk) -> None:
    """Nobody left, and a client that encrypts for two rooms with one key is wrong all the same."""
    talk.leave(room=talk.rooms["Support"])
    talk.say("s1", room=talk.room)
    event_id = talk.say("s1", room=talk.rooms["Support"])
    (entry,) = await talk.found()
    assert "room" not in entry, "in the trail of no room: what it names may be of another"
    data = entry["data"]
    assert (data["place"], data["used_in"], data["event_id"]) == (talk.rooms["Support"], talk.room, event_id)
    assert data["left"] == [await talk.person(talk.bob)], "who has the key and is not in the room"


async def test_a_session_in_two_rooms_of_the_same_people_is_nobodys_loss(talk: Talk) -> None:
    talk.say("s1", room=talk.room)
    talk.say("s1", room=talk.rooms["Support"])
    assert await talk.found() == []


async def test_who_left_the_other_room_since_has_the_key_too(talk: Talk) -> None:
    talk.say("s1", room=talk.room)
    for room in (talk.room, talk.rooms["Support"]):
        talk.leave(room=room)
    talk.say("s1", room=talk.rooms["Support"])
    (entry,) = await talk.found()
    assert (entry["data"]["left"], entry["data"]["used_in"]) == ([await talk.person(talk.bob)], talk.room)


async def test_a_session_of_another_engagement_is_not_looked_at(talk: Talk) -> None:
    """Ids are written by clients: somebody elsewhere must not be able to make a finding here."""
    await talk.hub.api("POST", "/v1/companies", {"id": "fabrikam", "name": "Fabrikam"})
    await talk.hub.add_person("fabrikam")
    await talk.hub.api("POST", "/v1/partnerships", {"partner": "fabrikam", "team": "north"})
    await talk.hub.settle()
    other = (await talk.hub.api("GET", "/v1/partnerships/fabrikam"))["rooms"][-1]["room_id"]
    talk.say("s1", room=other)
    talk.leave()
    talk.later()
    talk.say("s1")
    assert await talk.found() == []


async def test_old_sessions_are_forgotten_and_numbers_never_come_again(talk: Talk) -> None:
    talk.say("s1")
    talk.leave(talk.bob)
    await talk.take()
    talk.later(KEPT_MS + MINUTE)
    talk.leave(talk.alice)
    await talk.take()
    talk.say("s2")
    talk.later(MINUTE)
    talk.say("s2")
    await talk.take()
    async with talk.hub.hub.services.db.read() as connection:
        assert list(await connection.scalars(select(megolm_session.c.session_id))) == ["s2"]
        assert list(await connection.scalars(select(departure.c.number))) == [2]
    assert await talk.found() == []
    talk.later(KEPT_MS + MINUTE)
    await talk.hub.hub.services.feed.accept("later", [])
    async with talk.hub.hub.services.db.read() as connection:
        assert await connection.scalar(select(func.max(departure.c.number))) == 2, "the last one stays"


async def test_a_room_without_a_charter_is_not_looked_at(talk: Talk) -> None:
    talk.hub.homeserver.make_unmanaged("!old", [talk.host, talk.bob])
    send = talk.hub.homeserver.backdoor
    send("!old", talk.host, "m.room.encrypted", {"session_id": "s1"})
    send("!old", talk.bob, "m.room.member", {"membership": "leave"}, talk.bob)
    talk.later()
    send("!old", talk.host, "m.room.encrypted", {"session_id": "s1"})
    assert await talk.found() == []
