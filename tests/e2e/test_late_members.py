"""A buyer who joins late, on a real Synapse with real clients: what the server gives, and what a client can open."""

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.test_committee import Committee, in_pitch, joined, settled
from tests.helper.conversation import signed_in
from tests.live import LiveHub, User

pytestmark = pytest.mark.long


async def comes_late(committee: Committee) -> User:
    """One more of the buyer's people, who declares and is in."""
    live = committee.live
    late = await live.add_person("contoso")
    await committee.act("members", {"person": late.user_id})
    credential = await live.api("POST", "/v1/credentials", {"person": late.person, "device": "laptop"})
    path = f"/v1/committees/{committee.name}/declare"
    await live.api("POST", path, {"conflict": False}, token=credential["token"])
    await settled(live, committee.name)
    assert await joined(late) == set(committee.rooms.values())
    return late


async def gets(user: User, room: str, event_id: str) -> bool:
    """Whether the server gives an event; each way of asking says the same."""
    answer = await user.call("GET", f"/rooms/{quote(room)}/event/{quote(event_id)}")
    page = await user.call("GET", f"/rooms/{quote(room)}/messages?dir=b&limit=100")
    listed = event_id in [event["event_id"] for event in page.body["chunk"]]
    assert listed == (answer.status == 200), (answer, page)
    return listed


@pytest.mark.parametrize("rule", ["see-all", "from-joining"])
async def test_what_the_server_gives_is_what_the_committee_was_opened_with(
    live: LiveHub, tmp_path: Path, rule: str
) -> None:
    committee = await in_pitch(live, late_members=rule)
    room = committee.rooms["Deliberation"]
    async with signed_in(live, committee.buyers[0], tmp_path / "chair") as said:
        await said.sync()
        early, pitch = await said.say(room, "our budget"), await said.say(committee.own, "welcome")
        assert early is not None
        assert pitch is not None
        late = await comes_late(committee)
        assert await gets(late, room, early) is (rule == "see-all")
        assert await gets(late, committee.own, pitch) is False, "pitch rooms are never for who was not there"
        for vendor in (*committee.vendor, committee.rival):
            assert (await vendor.call("GET", f"/rooms/{quote(room)}/event/{quote(early)}")).status in (403, 404)


async def test_a_late_client_opens_what_was_said_before_only_with_keys_that_a_member_hands_over(
    live: LiveHub, tmp_path: Path
) -> None:
    """The hub invites, and has no key to share with the invitation (MSC4268): a member has to hand them over."""
    committee = await in_pitch(live, late_members="see-all")
    room = committee.rooms["Deliberation"]
    async with signed_in(live, committee.buyers[0], tmp_path / "chair") as said:
        await said.sync()
        early = await said.say(room, "our budget")
        assert early is not None
        late = await comes_late(committee)
        async with signed_in(live, late, tmp_path / "late") as heard:
            for reader in (said, heard) * 2:
                await reader.sync()
            since = await said.say(room, "welcome")
            assert since is not None
            assert await heard.read_all({since}), "what is said from now on opens by itself"
            page = await heard.client.room_messages(room, start=heard.client.next_batch, limit=100)
            event = next(item for item in page.chunk if item.event_id == early)
            assert type(event).__name__ == "MegolmEvent", "nobody's client sent its key by itself"
            keys = tmp_path / "keys.txt"
            await said.client.export_keys(str(keys), "a passphrase between the two")
            await heard.client.import_keys(str(keys), "a passphrase between the two")
            assert heard.client.decrypt_event(event).body == "our budget"
