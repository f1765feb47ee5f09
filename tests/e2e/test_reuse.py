"""A real client that is made to go on with its Megolm session, on a real Synapse: what ledger and API say of it."""

from pathlib import Path
from typing import Any

import pytest

from bridge.demo.people import Reader
from config.clock import system_clock
from spaces.megolm import GRACE_MS
from tests.e2e.test_committee import in_pitch, settled
from tests.helper.conversation import metric, signed_in
from tests.live import LiveHub, User, until

pytestmark = pytest.mark.long

METRIC = "conclave_sessions_reused_total"


def made_to_keep_its_session(reader: Reader) -> None:
    """A client that does not begin a new session when somebody leaves: nio forgets it by this method alone."""
    reader.client.invalidate_outbound_session = lambda room_id: None


async def out(reader: Reader, room_id: str, user: User) -> None:
    """Return when the client has seen that ``user`` is out: what it sends from then on, it sends knowing that."""

    async def look() -> bool:
        await reader.sync()
        return user.user_id not in reader.client.rooms[room_id].users

    await until(look)


async def declares_a_conflict(live: LiveHub, name: str, user: User) -> None:
    credential = await live.api("POST", "/v1/credentials", {"person": user.person, "device": "phone"})
    body = {"conflict": True, "statement": "my sister works there"}
    await live.api("POST", f"/v1/committees/{name}/declare", body, token=credential["token"])
    await settled(live, name)


async def the_moment_is_over(live: LiveHub, room_id: str, user: User) -> bool:
    """Whether everybody's client must know that the user is out."""
    removed = await live.entries("member.removed", room=room_id)
    left = [item["data"]["ts"] for item in removed if item["data"]["subject"] == {"person": user.person}]
    return bool(left) and system_clock() > left[-1] + GRACE_MS


async def reused(live: LiveHub, name: str) -> list[dict[str, Any]]:
    return [entry for entry in await live.entries("session.reused") if entry["engagement"] == name]


async def test_a_buyers_client_that_keeps_its_session_after_a_colleague_left_is_a_finding(
    live: LiveHub, tmp_path: Path
) -> None:
    committee = await in_pitch(live)
    (chair, buyer), room, name = committee.buyers, committee.rooms["Deliberation"], committee.name
    async with signed_in(live, chair, tmp_path / "chair") as said, signed_in(live, buyer, tmp_path / "buyer") as heard:
        for reader in (said, heard) * 2:
            await reader.sync()
        made_to_keep_its_session(said)
        before = await said.say(room, "while both are in")
        assert before is not None
        assert await heard.read_all({before})
        await declares_a_conflict(live, name, buyer)
        await out(said, room, buyer)
        assert await said.say(room, "of the same moment") is not None
        await until(lambda: the_moment_is_over(live, room, buyer))
        after = await said.say(room, "the same session")

    async def look() -> list[dict[str, Any]]:
        return await reused(live, name)

    (entry,) = await until(look)
    assert (entry["actor"], entry["room"], entry["companies"]) == ({"person": chair.person}, room, ["contoso"])
    assert entry["data"]["left"] == [buyer.person]
    sent = {item["data"]["event_id"]: item["data"] for item in await live.entries("message.sent", room=room)}
    assert entry["data"]["session_id"] == sent[before]["session_id"]
    assert entry["data"]["event_id"] == after
    assert entry["data"]["after_ms"] >= GRACE_MS
    assert [data["session_id"] for data in sent.values()] == [sent[before]["session_id"]] * 3
    detail = await live.api("GET", f"/v1/committees/{name}")
    story = await live.api("GET", f"/v1/committees/{name}/timeline")
    kinds = [item["kind"] for item in story["items"]]
    assert detail["reused_sessions"] == kinds.count("session.reused") == 1
    assert f"{METRIC} 0.0" not in await metric(live, METRIC)


async def test_a_client_that_begins_anew_as_it_should_is_none(live: LiveHub, tmp_path: Path) -> None:
    committee = await in_pitch(live)
    (chair, buyer), room, name = committee.buyers, committee.rooms["Deliberation"], committee.name
    async with signed_in(live, chair, tmp_path / "chair") as said:
        await said.sync()
        assert await said.say(room, "while both are in") is not None
        await declares_a_conflict(live, name, buyer)
        await out(said, room, buyer)
        assert await said.say(room, "alone") is not None

    async def look() -> list[str] | None:
        sent = [item["data"]["session_id"] for item in await live.entries("message.sent", room=room)]
        return sent if len(sent) == 2 else None

    assert len(set(await until(look))) == 2
    assert await reused(live, name) == []


async def test_the_session_of_a_pitch_room_in_the_deliberation_room_names_the_vendor_to_the_buyer_alone(
    live: LiveHub, tmp_path: Path
) -> None:
    """The vendor's clients have its key; their server never gets the message, and the ledger says what would follow."""
    committee = await in_pitch(live)
    chair, name, room = committee.buyers[0], committee.name, committee.rooms["Deliberation"]
    async with signed_in(live, chair, tmp_path / "chair") as said:
        await said.sync()
        assert await said.say(committee.own, "our budget") is not None
        kept = said.client.olm.outbound_group_sessions[committee.own]
        await committee.act("clear")
        await said.sync()
        said.client.olm.outbound_group_sessions[room] = kept
        event_id = await said.say(room, "they are too expensive")
        assert event_id is not None

    async def look() -> list[dict[str, Any]]:
        return await reused(live, name)

    (entry,) = await until(look)
    assert (entry["actor"], entry["companies"]) == ({"person": chair.person}, ["contoso"])
    assert "room" not in entry, "it is in no trail, neither the vendor's nor that of the room"
    data = entry["data"]
    assert (data["place"], data["used_in"], data["event_id"]) == (room, committee.own, event_id)
    assert (data["left"], data["count"]) == (sorted(user.person for user in committee.vendor), 2)
    company = (await live.api("GET", f"/v1/people/{committee.vendor[0].person}"))["company"]
    assert data["left_of"] == [company]
    story = await live.api("GET", f"/v1/committees/{name}/timeline")
    assert [item["vendor"] for item in story["items"] if item["kind"] == "session.reused"] == [company]
