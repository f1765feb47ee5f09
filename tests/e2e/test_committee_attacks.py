"""A vendor that was put out of a committee, with its token and every address of the homeserver.

At the homeserver itself and through the shipped proxy: it reads nothing from after it left, and learns of no other
vendor. What a buyer gets at the same addresses shows that there was something to read.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.told import CLOSED, LOOKS, UNSTABLE, V1, V3, Told, call

pytestmark = pytest.mark.long

LAZY = quote(json.dumps({"room": {"state": {"lazy_load_members": True}, "include_leave": True}}))
LAZY_MESSAGES = quote(json.dumps({"lazy_load_members": True, "include_redundant_members": True}))

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
            content = {**body, "room_id": room} if what == "an alias" else body
            answer = await call(told.vendor, base, method, f"{V3}/{where}", content)
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
        receipt = await call(told.vendor, base, "POST", f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(event)}", {})
        assert receipt.status == (200 if name == "own" else 403), "open, as docs/committees.md says"
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
        answer = await call(told.vendor, base, "GET", f"{V3}/sync?{query}&_={next(LOOKS)}")
        assert answer.status == 200
        assert not told.learns(answer), (query, told.learns(answer))
        assert not set(answer.body.get("rooms", {}).get("join", {})) & set(told.rooms.values())
        left = answer.body.get("rooms", {}).get("leave", {})
        assert set(left) & set(told.rooms.values()) <= {told.rooms["own"]}
        assert not [room for room in left.values() if room.get("ephemeral", {}).get("events")], "typing and receipts"
    lists = {"all": {"ranges": [[0, 99]], "timeline_limit": 50, "required_state": [["*", "*"]]}}
    wanted: dict[str, Any] = {
        room: {"timeline_limit": 50, "required_state": [["*", "*"]]} for room in told.rooms.values()
    }
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
    wanted: dict[str, Any] = {"device_keys": {user.user_id: [] for user in people}}
    answer = await call(told.vendor, base, "POST", f"{V3}/keys/query", wanted)
    for part in ("device_keys", "master_keys", "self_signing_keys", "user_signing_keys"):
        assert not [keys for keys in answer.body.get(part, {}).values() if keys], (part, answer)
    now = (await call(told.vendor, base, "GET", f"{V3}/sync?timeout={next(LOOKS)}")).body["next_batch"]
    changed = await call(told.vendor, base, "GET", f"{V3}/keys/changes?from={told.since}&to={now}")
    news = {*changed.body["changed"], *changed.body["left"]}
    assert not news & {told.committee.rival.user_id, told.late.user_id}
