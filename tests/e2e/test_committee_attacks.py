"""A vendor that was put out of a committee, with its keys, its tokens and every address of the homeserver.

At the homeserver itself and through the shipped proxy: it reads nothing from after it left, and learns of no other
vendor. What a buyer gets at the same addresses shows that there was something to read.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
from nio import ToDeviceMessage
from nio.crypto import InboundGroupSession

from bridge.demo.people import Reader
from tests.e2e.test_committee import Committee, company_of, in_pitch
from tests.helper.conversation import signed_in
from tests.live import Answer, LiveHub, User
from tests.silence.proxy import proxied

V3, V1, UNSTABLE = "/_matrix/client/v3", "/_matrix/client/v1", "/_matrix/client/unstable"
CLOSED = {400, 403, 404}
LAZY = quote(json.dumps({"room": {"state": {"lazy_load_members": True}, "include_leave": True}}))
LAZY_MESSAGES = quote(json.dumps({"lazy_load_members": True, "include_redundant_members": True}))
_LOOKS = count(1)


@dataclass(slots=True)
class Told:
    """A committee after its decision, and what was said in it since the vendor left."""

    committee: Committee
    readers: dict[str, Reader]
    """Real clients of the ``chair``, the ``buyer``, and the ``vendor``, who has had every key that was ever sent."""
    rooms: dict[str, str]
    """``own`` is the vendor's; then ``pitch`` and ``debriefing`` of its rival, ``deliberation`` and ``space``."""
    before: str
    after: dict[str, str]
    """An event by room, from after the vendor left."""
    since: str
    late: User
    secrets: list[str]

    @property
    def vendor(self) -> User:
        return self.committee.vendor[0]

    @property
    def chair(self) -> User:
        return self.committee.buyers[0]

    def learns(self, answer: Answer, *asked: str) -> list[str]:
        """Which secrets stand in an answer, beside those that the caller named themselves."""
        text = json.dumps(answer.body, ensure_ascii=False)
        return [secret for secret in self.secrets if secret in text and secret not in asked]


@pytest.fixture(scope="module")
async def told(live: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    committee, place = await in_pitch(live), tmp_path_factory.mktemp("told")
    async with AsyncExitStack() as stack:
        people = {"chair": committee.buyers[0], "buyer": committee.buyers[1], "vendor": committee.vendor[0]}
        readers = {
            name: await stack.enter_async_context(signed_in(live, user, place / name)) for name, user in people.items()
        }
        for reader in (*readers.values(), *readers.values()):
            await reader.sync()
        before = await readers["chair"].say(committee.own, "our budget")
        assert before is not None
        assert await readers["vendor"].read_all({before})
        assert await readers["vendor"].say(committee.own, "our offer")
        yield await _go_on(committee, readers, before)


async def _go_on(committee: Committee, readers: dict[str, Reader], before: str) -> Told:
    """Clear the room, talk in every room that can be talked in, decide, debrief the rival, take in another buyer."""
    live, chair, rival = committee.live, committee.buyers[0], committee.rival
    since = readers["vendor"].client.next_batch
    await committee.act("clear")
    late, other = await live.add_person("contoso"), await company_of(rival)
    await committee.act("members", {"person": late.user_id})
    token = (await live.api("POST", "/v1/credentials", {"person": late.person, "device": "desk"}))["token"]
    await live.api("POST", f"/v1/committees/{committee.name}/declare", {"conflict": False}, token=token)
    await committee.act("decide", {"winner": other})
    found = await committee.act("debrief", {"vendor": other})
    ids = {room["key"]: room["room_id"] for room in found["rooms"]}
    vendors = {vendor["vendor"]: vendor for vendor in found["vendors"]}
    space, deliberation, *_ = [room["room_id"] for room in found["rooms"]]
    rooms = {
        "own": committee.own,
        "pitch": ids[vendors[other]["pitch"]],
        "debriefing": ids[vendors[other]["debrief"]],
        "deliberation": deliberation,
        "space": space,
    }
    for reader in (readers["chair"], readers["buyer"]):
        await reader.sync()
    after = {"deliberation": str(await readers["chair"].say(deliberation, "the rival is cheaper"))}
    after["debriefing"] = (await rival.send_encrypted(rooms["debriefing"])).body["event_id"]
    for name in ("own", "pitch", "space"):
        answer = await chair.call("GET", f"/rooms/{quote(rooms[name])}/messages?dir=b&limit=1")
        after[name] = answer.body["chunk"][0]["event_id"]
    await _gossip(chair, deliberation, after["deliberation"])
    secrets = [*after.values(), *(room for name, room in rooms.items() if name != "own")]
    secrets += [rival.user_id, other, other.title(), late.user_id, rival.person, late.person]
    return Told(committee, readers, rooms, before, after, since, late, secrets)


async def _gossip(chair: User, room: str, event: str) -> None:
    """A thread, a reaction, a receipt, typing: what hangs on a message."""
    await chair.send(
        room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": "yes"}}
    )
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AAAA", "session_id": "s"}
    await chair.send(room, "m.room.encrypted", {**content, "m.relates_to": {"rel_type": "m.thread", "event_id": event}})
    await chair.call("POST", f"/rooms/{quote(room)}/receipt/m.read/{quote(event)}", {})


@pytest.fixture(scope="module")
async def proxy(live: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with proxied(live, tmp_path_factory.mktemp("caddy")) as url:
        yield url


@pytest.fixture(params=["homeserver", "proxy"])
def base(request: pytest.FixtureRequest, live: LiveHub, proxy: str) -> str:
    """Where the attacker calls."""
    return proxy if request.param == "proxy" else live.homeserver_url


async def call(user: User, base: str, method: str, path: str, body: Any = None) -> Answer:
    return await user.hub.request(method, base + path, body, token=user.token)


# --- what is asked of a room

READS: dict[str, Callable[[str, str], str]] = {
    "messages backwards": lambda room, _: f"{V3}/rooms/{room}/messages?dir=b&limit=100",
    "messages, members lazily": lambda room, _: f"{V3}/rooms/{room}/messages?dir=b&limit=99&filter={LAZY_MESSAGES}",
    "context": lambda room, event: f"{V3}/rooms/{room}/context/{event}",
    "event": lambda room, event: f"{V3}/rooms/{room}/event/{event}",
    "event by itself": lambda room, event: f"{V3}/events/{event}",
    "state": lambda room, _: f"{V3}/rooms/{room}/state",
    "name": lambda room, _: f"{V3}/rooms/{room}/state/m.room.name",
    "topic": lambda room, _: f"{V3}/rooms/{room}/state/m.room.topic",
    "members": lambda room, _: f"{V3}/rooms/{room}/members",
    "members who joined": lambda room, _: f"{V3}/rooms/{room}/members?membership=join",
    "joined members": lambda room, _: f"{V3}/rooms/{room}/joined_members",
    "aliases": lambda room, _: f"{V3}/rooms/{room}/aliases",
    "relations": lambda room, event: f"{V1}/rooms/{room}/relations/{event}",
    "reactions": lambda room, event: f"{V1}/rooms/{room}/relations/{event}/m.annotation/m.reaction",
    "relations, recursively": lambda room, event: f"{V1}/rooms/{room}/relations/{event}?recurse=true&dir=f",
    "threads": lambda room, _: f"{V1}/rooms/{room}/threads?include=all",
    "the first event": lambda room, _: f"{V1}/rooms/{room}/timestamp_to_event?ts=0&dir=f",
    "the last event": lambda room, _: f"{V1}/rooms/{room}/timestamp_to_event?ts=9999999999999&dir=b",
    "hierarchy": lambda room, _: f"{V1}/rooms/{room}/hierarchy?max_depth=3",
    "summary": lambda room, _: f"{V1}/room_summary/{room}",
    "summary, as it was": lambda room, _: f"{UNSTABLE}/im.nheko.summary/rooms/{room}/summary",
    "first sync of one room": lambda room, _: f"{V3}/rooms/{room}/initialSync",
}
NOBODYS = {"aliases"}
"""Of these a buyer gets nothing either."""


def reads(room: str, event: str) -> Iterator[tuple[str, str]]:
    for what, path in READS.items():
        yield what, path(quote(room, safe=""), quote(event, safe=""))


async def test_no_address_tells_of_a_room_that_the_vendor_never_was_in(told: Told, base: str) -> None:
    for name, room in told.rooms.items():
        if name == "own":
            continue
        for what, path in reads(room, told.after[name]):
            for attacker in (told.vendor, told.committee.vendor[1]):
                answer = await call(attacker, base, "GET", path)
                assert answer.status in CLOSED, (name, what, answer)
                assert not told.learns(answer, room, told.after[name]), (name, what, answer)


async def test_a_buyer_gets_it_at_these_addresses(told: Told, base: str) -> None:
    """So that the silence above is not that of a wrong address."""
    for what, path in reads(told.rooms["deliberation"], told.after["deliberation"]):
        answer = await call(told.chair, base, "GET", path)
        assert answer.status == 200, (what, answer)
    for what, path in reads(told.rooms["deliberation"], told.after["deliberation"]):
        answer = await call(told.committee.rival, base, "GET", path)
        assert answer.status in CLOSED, (what, answer)


async def test_the_vendors_own_room_ends_for_it_when_it_left(told: Told, base: str) -> None:
    """It may look back, as far as it was there: at nothing from after, and not at who came since."""
    for event in (told.before, told.after["own"]):
        for what, path in reads(told.rooms["own"], event):
            answer = await call(told.vendor, base, "GET", path)
            asked = (event,) if answer.status in CLOSED else ()
            assert not told.learns(answer, *asked), (what, answer)
    answer = await call(told.vendor, base, "GET", f"{V3}/rooms/{quote(told.rooms['own'])}/messages?dir=b&limit=100")
    assert told.before in str(answer.body)
    assert answer.body["chunk"][0]["content"]["membership"] == "leave"


WRITES: dict[str, tuple[str, Callable[[Told, str, str], str], dict[str, Any]]] = {
    "taking back an own message": ("PUT", lambda told, room, event: f"rooms/{room}/redact/{event}/r", {}),
    "a receipt": ("POST", lambda told, room, event: f"rooms/{room}/receipt/m.read/{event}", {}),
    "typing": (
        "PUT",
        lambda told, room, event: f"rooms/{room}/typing/{quote(told.vendor.user_id)}",
        {"typing": True, "timeout": 9_000},
    ),
    "an upgrade": ("POST", lambda told, room, event: f"rooms/{room}/upgrade", {"new_version": "11"}),
    "an alias": ("PUT", lambda told, room, event: f"directory/room/{quote('#x:conclave.test')}", {}),
    "a knock": ("POST", lambda told, room, event: f"knock/{room}", {"reason": "please"}),
    "coming back": ("POST", lambda told, room, event: f"rooms/{room}/join", {}),
    "bringing in a colleague": (
        "POST",
        lambda told, room, event: f"rooms/{room}/invite",
        {"user_id": "@x.partner1:conclave.test"},
    ),
    "power": ("PUT", lambda told, room, event: f"rooms/{room}/state/m.room.power_levels", {"users_default": 100}),
    "history": (
        "PUT",
        lambda told, room, event: f"rooms/{room}/state/m.room.history_visibility",
        {"history_visibility": "world_readable"},
    ),
}


async def test_nothing_is_written_into_any_room(told: Told, base: str) -> None:
    own = (await told.vendor.call("GET", f"/rooms/{quote(told.rooms['own'])}/messages?dir=b&limit=100")).body["chunk"]
    mine = next(
        event for event in own if event["type"] == "m.room.encrypted" and event["sender"] == told.vendor.user_id
    )
    edit = {"m.relates_to": {"rel_type": "m.replace", "event_id": mine["event_id"]}}
    media = {"msgtype": "m.file", "body": "offer.pdf", "url": "mxc://conclave.test/abc"}
    for name, room in told.rooms.items():
        event = mine["event_id"] if name == "own" else told.after[name]
        for what, (method, path, body) in WRITES.items():
            where = path(told, quote(room, safe=""), quote(event, safe=""))
            body = {**body, "room_id": room} if what == "an alias" else body
            answer = await call(told.vendor, base, method, f"{V3}/{where}", body)
            assert answer.status in CLOSED, (name, what, answer)
            assert not told.learns(answer, room, event), (name, what, answer)
        for kind, content in (
            ("m.room.encrypted", {**mine["content"], **edit}),
            ("m.room.message", media),
            ("m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": "x"}}),
            ("m.room.redaction", {"redacts": event}),
        ):
            answer = await told.vendor.send(room, kind, content)
            assert answer.status == 403, (name, kind, answer)
    still = await told.chair.call("GET", f"/rooms/{quote(told.rooms['own'])}/event/{quote(mine['event_id'])}")
    assert still.body["content"] == mine["content"]


# --- what is asked of the homeserver as a whole

SEARCH = {"search_categories": {"room_events": {"search_term": "cheaper", "keys": ["content.body"]}}}


async def test_every_kind_of_sync_is_of_the_own_room_alone(told: Told, base: str) -> None:
    for query in (
        f"since={told.since}&timeout=0",
        f"since={told.since}&timeout=0&full_state=true",
        f"filter={LAZY}&timeout=0",
        f"since={told.since}&filter={LAZY}&timeout=0&full_state=true",
        "timeout=0&set_presence=online",
    ):
        answer = await call(told.vendor, base, "GET", f"{V3}/sync?{query}&_={next(_LOOKS)}")
        assert answer.status == 200
        assert not told.learns(answer), (query, told.learns(answer))
        assert not set(answer.body.get("rooms", {}).get("join", {})) & set(told.rooms.values())
        left = answer.body.get("rooms", {}).get("leave", {})
        assert set(left) & set(told.rooms.values()) <= {told.rooms["own"]}
        assert not [room for room in left.values() if room.get("ephemeral", {}).get("events")], "typing and receipts"
    lists = {"all": {"ranges": [[0, 99]], "timeline_limit": 50, "required_state": [["*", "*"]]}}
    wanted = {room: {"timeline_limit": 50, "required_state": [["*", "*"]]} for room in told.rooms.values()}
    extensions = {name: {"enabled": True} for name in ("receipts", "typing", "account_data", "to_device", "e2ee")}
    body = {"lists": lists, "room_subscriptions": wanted, "extensions": extensions}
    answer = await call(told.vendor, base, "POST", f"{UNSTABLE}/org.matrix.simplified_msc3575/sync?timeout=0", body)
    assert answer.status == 200, answer
    assert not told.learns(answer)
    heard = await call(told.chair, base, "POST", f"{UNSTABLE}/org.matrix.simplified_msc3575/sync?timeout=0", body)
    assert told.after["deliberation"] in str(heard.body), "a buyer gets it there"


async def test_searching_and_lists_find_nothing(told: Told, base: str) -> None:
    for path in ("search?_=1", "publicRooms"):
        answer = await call(told.vendor, base, "POST", f"{V3}/{path}", SEARCH if "search" in path else {})
        assert answer.status in CLOSED or answer.body.get("chunk") == [], answer
    assert (await call(told.vendor, base, "GET", f"{V3}/publicRooms")).body["chunk"] == []
    for path in ("notifications?limit=100", "joined_rooms", "pushrules/", "devices", "pushers", "initialSync"):
        answer = await call(told.vendor, base, "GET", f"{V3}/{path}")
        assert answer.status == 200, (path, answer)
        assert not told.learns(answer), (path, answer)


async def test_nobody_else_is_found_by_name_or_guess(told: Told, base: str) -> None:
    strangers = {"rival": told.committee.rival, "late": told.late, "chair": told.chair}
    for name, user in strangers.items():
        who = quote(user.user_id)
        localpart = user.user_id[1:].partition(":")[0]
        for term in (localpart, user.person, localpart.partition(".")[0], localpart.partition(".")[2]):
            found = await call(told.vendor, base, "POST", f"{V3}/user_directory/search", {"search_term": term})
            others = {item["user_id"] for item in found.body["results"]} - {told.committee.vendor[1].user_id}
            assert others <= {told.vendor.user_id}, (name, term, found)
        for path in (f"profile/{who}", f"profile/{who}/displayname", f"profile/{who}/avatar_url"):
            answer = await call(told.vendor, base, "GET", f"{V3}/{path}")
            assert answer.status in CLOSED, (name, path, answer)
        presence = await call(told.vendor, base, "GET", f"{V3}/presence/{who}/status")
        assert presence.status in CLOSED or presence.body == {"presence": "offline"}, (name, presence)
        shared = await call(
            told.vendor, base, "GET", f"{UNSTABLE}/uk.half-shot.msc2666/user/mutual_rooms?user_id={who}"
        )
        assert shared.status in CLOSED or shared.body["joined"] == [], (name, shared)


async def test_no_keys_of_anybody_are_given(told: Told, base: str) -> None:
    people = [told.committee.rival, told.late, *told.committee.buyers]
    wanted = {"device_keys": {user.user_id: [] for user in people}}
    answer = await call(told.vendor, base, "POST", f"{V3}/keys/query", wanted)
    for part in ("device_keys", "master_keys", "self_signing_keys", "user_signing_keys"):
        assert not [keys for keys in answer.body.get(part, {}).values() if keys], (part, answer)
    now = (await call(told.vendor, base, "GET", f"{V3}/sync?timeout={next(_LOOKS)}")).body["next_batch"]
    changed = await call(told.vendor, base, "GET", f"{V3}/keys/changes?from={told.since}&to={now}")
    news = {*changed.body["changed"], *changed.body["left"]}
    assert not news & {told.committee.rival.user_id, told.late.user_id}


# --- keys

REQUEST = "m.room_key_request"


def session_of(reader: Reader, room: str) -> InboundGroupSession:
    """A session whose key a client has, as an attacker may know its id."""
    return next(session for session in reader.client.olm.inbound_group_store if session.room_id == room)


async def ask_for_keys(vendor: Reader, session: InboundGroupSession, room: str, *people: str) -> None:
    """``m.room_key_request``, as a client sends it that lacks a key, to all devices of ``people``."""
    body = {
        "algorithm": "m.megolm.v1.aes-sha2",
        "room_id": room,
        "sender_key": session.sender_key,
        "session_id": session.id,
    }
    for number, user in enumerate(people):
        content = {
            "action": "request",
            "body": body,
            "request_id": f"{session.id}{number}{next(_LOOKS)}",
            "requesting_device_id": vendor.client.device_id,
        }
        await vendor.client.to_device(ToDeviceMessage(REQUEST, user, "*", content))


async def test_nobodys_client_gives_a_key_on_request(told: Told) -> None:
    """To the buyers' clients and to the helper; at the homeserver itself, so that the request arrives."""
    vendor, buyers = told.readers["vendor"], [told.readers["chair"], told.readers["buyer"]]
    helper = told.committee.live.bot.replace("@conclave:", "@conclave-helper:")
    room = told.rooms["deliberation"]
    session = session_of(told.readers["buyer"], room)
    asked: list[object] = []
    buyers[0].client.add_to_device_callback(lambda event: asked.append(event), None)  # type: ignore[arg-type]
    await ask_for_keys(vendor, session, room, *(reader.user_id for reader in buyers), helper)
    for reader in (*buyers, vendor):
        await reader.client.sync(timeout=0)
        await reader.client.send_to_device_messages()
    await vendor.client.sync(timeout=next(_LOOKS))
    assert not [
        name
        for name in vendor.client.olm.inbound_group_store._entries
        if name != told.rooms["own"] and name in told.rooms.values()
    ]
