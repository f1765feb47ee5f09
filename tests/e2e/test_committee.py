"""A committee on a real Synapse, with clients that keep everything: who was put out tries every way back in."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from bridge.demo.people import Reader
from tests.helper.conversation import signed_in
from tests.live import LiveHub, User, until


@dataclass(frozen=True, slots=True)
class Committee:
    """Two buyers, a vendor with two people and a rival, and their rooms by name."""

    live: LiveHub
    name: str
    buyers: list[User]
    vendor: list[User]
    rival: User
    rooms: dict[str, str]

    @property
    def own(self) -> str:
        """The vendor's pitch room."""
        return self.rooms[f"vendor {self.vendor[0].user_id}"]

    @property
    def others(self) -> set[str]:
        """Every room of the committee in which the vendor never was."""
        return set(self.rooms.values()) - {self.own}

    async def act(self, what: str, body: Any = None) -> dict[str, Any]:
        await self.live.api("POST", f"/v1/committees/{self.name}/{what}", body or {})
        return await settled(self.live, self.name)


async def settled(live: LiveHub, name: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await live.api("GET", f"/v1/committees/{name}")
        return found if found["settled"] else None

    found: dict[str, Any] = await until(look)
    return found


async def in_pitch(live: LiveHub, **more: Any) -> Committee:
    """A committee whose vendors are in; it is opened with ``more``."""
    name, companies = live.fresh("tender"), [await live.add_company(), await live.add_company()]
    buyers = [await live.add_person("contoso"), await live.add_person("contoso")]
    vendor = [await live.add_person(companies[0]), await live.add_person(companies[0])]
    rival = await live.add_person(companies[1])
    people = [buyer.user_id for buyer in buyers]
    body = {"id": name, "title": f"Tender {name}", "chair": people[0], "members": people, **more}
    await live.api("POST", "/v1/committees", body)
    for company in companies:
        await live.api("POST", f"/v1/committees/{name}/vendors", {"vendor": company})
    for buyer in buyers:
        credential = await live.api("POST", "/v1/credentials", {"person": buyer.person, "device": "laptop"})
        path = f"/v1/committees/{name}/declare"
        await live.api("POST", path, {"conflict": False}, token=credential["token"])
    await live.api("POST", f"/v1/committees/{name}/start")
    found = await settled(live, name)
    keys = {room["key"]: room["room_id"] for room in found["rooms"]}
    rooms = {room["name"]: room["room_id"] for room in found["rooms"][:2]}
    guests = {companies[0]: vendor[0].user_id, companies[1]: rival.user_id}
    rooms |= {f"vendor {guests[item['vendor']]}": keys[item["pitch"]] for item in found["vendors"]}
    return Committee(live, name, buyers, vendor, rival, rooms)


@pytest.fixture
async def committee(live: LiveHub) -> Committee:
    return await in_pitch(live)


async def joined(user: User) -> set[str]:
    chat = await user.hub.chat_of(user)
    return set((await user.call("GET", "/joined_rooms")).body["joined_rooms"]) - {chat}


async def test_everybody_sees_the_rooms_that_are_theirs(committee: Committee) -> None:
    for buyer in committee.buyers:
        assert await joined(buyer) == set(committee.rooms.values())
    for user in committee.vendor:
        assert await joined(user) == {committee.own}
    assert await joined(committee.rival) == {committee.rooms[f"vendor {committee.rival.user_id}"]}
    await committee.act("clear")
    for buyer in committee.buyers:
        assert await joined(buyer) == set(committee.rooms.values())
    for user in (*committee.vendor, committee.rival):
        assert await joined(user) == set()
    refused = await committee.buyers[0].send_encrypted(committee.own)
    assert (refused.status, refused.code) == (403, "ROOM_FROZEN")


@dataclass(slots=True)
class Cleared:
    """A cleared committee; the vendor's real client has what was said before, and ``after`` was said since."""

    committee: Committee
    readers: list[Reader]
    before: str
    after: str
    token: str


@pytest.fixture(scope="module")
async def cleared(live: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cleared]:
    """Made once: nothing that a vendor tries may change anything, and who joins late changes nothing for it."""
    committee, place = await in_pitch(live), tmp_path_factory.mktemp("cleared")
    (chair, buyer), vendor = committee.buyers, committee.vendor[0]
    async with (
        signed_in(live, chair, place / "chair") as said,
        signed_in(live, buyer, place / "buyer") as heard,
        signed_in(live, vendor, place / "vendor") as guest,
    ):
        readers = [said, heard, guest]
        for reader in readers * 2:
            await reader.sync()
        before = await said.say(committee.own, "our budget is a secret of this room")
        assert before is not None
        assert await guest.read_all({before})
        since = guest.client.next_batch
        await committee.act("clear")
        for reader in readers[:2]:
            await reader.sync()
        after = await said.say(committee.rooms["Deliberation"], "fabrikam is cheaper")
        assert after is not None
        assert await heard.read_all({after})
        yield Cleared(committee, readers, before, after, since)


READS: dict[str, Callable[[Cleared, str], str]] = {
    "messages": lambda _, room: f"/rooms/{room}/messages?dir=b&limit=100",
    "messages from the token of its last sync": lambda at, room: f"/rooms/{room}/messages?dir=f&from={at.token}",
    "context": lambda at, room: f"/rooms/{room}/context/{quote(at.after)}",
    "event": lambda at, room: f"/rooms/{room}/event/{quote(at.after)}",
    "members": lambda _, room: f"/rooms/{room}/members",
    "joined members": lambda _, room: f"/rooms/{room}/joined_members",
    "state": lambda _, room: f"/rooms/{room}/state",
    "a name": lambda _, room: f"/rooms/{room}/state/m.room.name/",
    "relations": lambda at, room: f"/rooms/{room}/relations/{quote(at.after)}?_=",
    "threads": lambda _, room: f"/rooms/{room}/threads",
    "hierarchy": lambda _, room: f"/rooms/{room}/hierarchy",
    "summary": lambda _, room: f"/room_summary/{room}",
    "timestamps": lambda _, room: f"/rooms/{room}/timestamp_to_event?ts=1&dir=f",
}
V1 = {"relations", "threads", "hierarchy", "summary", "timestamps"}


async def test_a_vendor_that_was_put_out_reads_nothing_from_after(cleared: Cleared) -> None:
    committee, vendor = cleared.committee, cleared.committee.vendor[0]
    secrets = {cleared.after, committee.rival.user_id, *(buyer.user_id for buyer in committee.buyers)}
    for room in committee.others:
        for name, path in READS.items():
            base = "/_matrix/client/v1" if name in V1 else "/_matrix/client/v3"
            answer = await vendor.call("GET", path(cleared, quote(room)), base=base)
            assert answer.status in (400, 403, 404), (name, answer)
            assert not any(secret in str(answer.body) for secret in secrets), (name, answer)
    for name, path in READS.items():
        base = "/_matrix/client/v1" if name in V1 else "/_matrix/client/v3"
        answer = await vendor.call("GET", path(cleared, quote(committee.own)), base=base)
        told = str(answer.body)
        assert cleared.after not in told, name
        assert committee.rival.user_id not in told, name
        assert "m.room.encrypted" not in told or cleared.before in told, name


async def test_every_way_back_in_is_shut(cleared: Cleared) -> None:
    committee, (vendor, colleague) = cleared.committee, cleared.committee.vendor
    late = await committee.live.add_person(await company_of(vendor))
    for room in committee.rooms.values():
        for user in (vendor, colleague, late, committee.rival):
            for path in (f"/join/{quote(room)}", f"/rooms/{quote(room)}/join", f"/knock/{quote(room)}"):
                answer = await user.call("POST", path, {})
                assert answer.status in (403, 404), (path, answer)
        invited = await committee.buyers[0].call("POST", f"/rooms/{quote(room)}/invite", {"user_id": vendor.user_id})
        assert invited.status == 403, invited
        assert (await vendor.send_encrypted(room)).status == 403
    again = await committee.live.login(vendor.user_id)
    other = User(committee.live, vendor.user_id, f"{vendor.person}-tablet", again.body["access_token"])
    assert await joined(other) == set()
    refused = await vendor.call("POST", f"/join/{quote(committee.own)}", {})
    assert refused.code == "NOT_IN_PHASE", refused


async def test_searching_and_syncing_tell_nothing_new(cleared: Cleared) -> None:
    committee, vendor = cleared.committee, cleared.committee.vendor[0]
    criteria = {"search_categories": {"room_events": {"search_term": "fabrikam"}}}
    found = await vendor.call("POST", "/search", criteria)
    assert found.status != 200 or found.body["search_categories"]["room_events"]["count"] == 0
    answer = await vendor.call("GET", f"/sync?timeout=0&since={cleared.token}&full_state=true")
    left = answer.body["rooms"]["leave"]
    assert set(left) == {committee.own}
    told = str(answer.body)
    assert cleared.after not in told
    assert not any(room in told for room in committee.others)
    for other in (committee.rival, *committee.buyers):
        people = await vendor.call("POST", "/user_directory/search", {"search_term": other.user_id[1:9]})
        assert people.body["results"] == []


async def test_a_client_that_keeps_every_key_opens_nothing_from_after(cleared: Cleared) -> None:
    """It has all keys that it ever got; the key of what was said afterwards is not among them."""
    vendor = cleared.readers[2]
    await vendor.client.sync(timeout=0)
    rooms = set(vendor.client.olm.inbound_group_store._entries)  # there is no public way to list them
    assert cleared.committee.own in rooms
    assert not rooms & cleared.committee.others
    assert cleared.after not in vendor.read
    assert cleared.before in vendor.read, "what it has seen, it keeps"


async def test_a_buyer_who_joins_late_sees_from_joining_on(cleared: Cleared) -> None:
    committee, live = cleared.committee, cleared.committee.live
    late = await live.add_person("contoso")
    await committee.act("members", {"person": late.user_id})
    assert await joined(late) == set(), "not before they declared"
    credential = await live.api("POST", "/v1/credentials", {"person": late.person, "device": "laptop"})
    path = f"/v1/committees/{committee.name}/declare"
    await live.api("POST", path, {"conflict": False}, token=credential["token"])
    await settled(live, committee.name)
    space, deliberation, *_ = committee.rooms.values()
    assert await joined(late) == {space, deliberation}, "in the frozen rooms there is nothing for them"
    for room, event_id in ((committee.own, cleared.before), (deliberation, cleared.after)):
        answer = await late.call("GET", f"/rooms/{quote(room)}/event/{quote(event_id)}")
        assert answer.status in (403, 404), answer
        told = str((await late.call("GET", f"/rooms/{quote(room)}/messages?dir=b&limit=100")).body)
        assert event_id not in told
    said = await cleared.readers[0].say(committee.rooms["Deliberation"], "welcome")
    assert said is not None
    answer = await late.call("GET", f"/rooms/{quote(committee.rooms['Deliberation'])}/event/{quote(said)}")
    assert answer.status == 200


async def company_of(user: User) -> str:
    found = await user.hub.api("GET", f"/v1/people/{user.person}")
    return str(found["company"])
