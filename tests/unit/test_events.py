"""From an event to a ledger entry: what is recorded of each, that the log can hold it, and what never gets there."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from audit.canonical import MAX_INTEGER, canonical_json
from audit.entry import draft_body
from bridge.events import (
    MAX_TEXT,
    PREVIOUS,
    Context,
    MalformedEventError,
    RoomContext,
    actor_of,
    draft_of,
    parse_event,
)
from spaces.policy.blueprint import ROOM_KEY
from tests.policy import ALICE, BOB, BOT, JSON, SEALED, STRANGER

ROOM = RoomContext(engagement="northwind", companies=("contoso", "northwind"))
CONTEXT = Context(bot=BOT, people={ALICE: "prs_a", BOB: "prs_b"}, room=ROOM)
COMMON = {"event_id": "$e", "ts": 5}


def event(event_type: str, content: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "event_id": "$e",
        "room_id": "!r",
        "type": event_type,
        "sender": BOB,
        "origin_server_ts": 5,
        "content": {} if content is None else content,
        **more,
    }


def recorded(data: dict[str, Any], context: Context = CONTEXT) -> bytes:
    """What of ``data`` gets into the log."""
    return canonical_json(draft_body(draft_of(parse_event(data), context), []))


def described(data: dict[str, Any], context: Context = CONTEXT) -> tuple[str, dict[str, Any]]:
    """The entry's kind, and what its data says beside id, type and time."""
    draft = draft_of(parse_event(data), context)
    assert {name: draft.data[name] for name in COMMON} == COMMON
    assert draft.data["type"] == data["type"]
    return draft.kind, {name: value for name, value in draft.data.items() if name not in {*COMMON, "type"}}


def digest(content: Any) -> str:
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# --- reading


def test_everything_that_is_needed_of_an_event_is_read() -> None:
    found = parse_event(event("m.x", {"a": 1}, state_key="k", unsigned={PREVIOUS: ["$p", "$q"], "age": 5}, more=1))
    assert (found.event_id, found.room_id, found.type, found.sender, found.ts) == ("$e", "!r", "m.x", BOB, 5)
    assert (found.content, found.state_key, found.previous, found.redacts) == ({"a": 1}, "k", ("$p", "$q"), None)


@pytest.mark.parametrize("data", [None, [], "event", 5, True])
def test_what_is_no_object_is_no_event(data: Any) -> None:
    with pytest.raises(MalformedEventError, match="not an object"):
        parse_event(data)


TEXTS = ["event_id", "room_id", "type", "sender"]
NO_TEXT: list[Any] = [None, 5, True, [], {}, "", "x" * (MAX_TEXT + 1), "\ud800", "a\0b"]


@pytest.mark.parametrize("value", NO_TEXT)
@pytest.mark.parametrize("name", TEXTS)
def test_a_name_is_text_that_the_log_can_hold(name: str, value: Any) -> None:
    with pytest.raises(MalformedEventError, match=f"{name} is not text of at most 255 characters"):
        parse_event(event("m.x", **{name: value}))


@pytest.mark.parametrize("name", [*TEXTS, "origin_server_ts", "content"])
def test_an_event_is_complete(name: str) -> None:
    data = event("m.x")
    del data[name]
    with pytest.raises(MalformedEventError):
        parse_event(data)


@pytest.mark.parametrize("ts", [None, "5", True, 5.0, -1, MAX_INTEGER + 1])
def test_a_time_is_a_number_that_the_log_can_hold(ts: Any) -> None:
    with pytest.raises(MalformedEventError, match="origin_server_ts or content is missing"):
        parse_event(event("m.x", origin_server_ts=ts))


@pytest.mark.parametrize("content", [5, [], "x", True])
def test_content_is_an_object(content: Any) -> None:
    with pytest.raises(MalformedEventError, match="origin_server_ts or content is missing"):
        parse_event(event("m.x", content))


@pytest.mark.parametrize("key", [5, [], True, "x" * (MAX_TEXT + 1), "\ud800", "\0"])
def test_a_state_key_is_text(key: Any) -> None:
    with pytest.raises(MalformedEventError, match="state_key is not text"):
        parse_event(event("m.x", state_key=key))


def test_an_empty_state_key_is_state_and_none_is_not() -> None:
    assert parse_event(event("m.x", state_key="")).state_key == ""
    assert parse_event(event("m.x", state_key=None)).state_key is None


@pytest.mark.parametrize("unsigned", [None, [], "x", {PREVIOUS: "$p"}, {PREVIOUS: None}, {}])
def test_an_event_without_predecessors_has_none(unsigned: Any) -> None:
    assert parse_event(event("m.x", unsigned=unsigned)).previous == ()


def test_predecessors_that_are_no_text_are_passed_over() -> None:
    assert parse_event(event("m.x", unsigned={PREVIOUS: ["$p", 5, None, "\0", "$q"]})).previous == ("$p", "$q")


# --- who


@pytest.mark.parametrize(
    ("user_id", "actor"),
    [(BOT, {"system": "conclave"}), (BOB, {"person": "prs_b"}), (STRANGER, {"user": STRANGER})],
)
def test_an_actor_is_a_person_the_hub_or_an_account(user_id: str, actor: dict[str, str]) -> None:
    assert actor_of(user_id, CONTEXT) == actor
    assert draft_of(parse_event(event("m.x", sender=user_id)), CONTEXT).actor == actor


def test_the_hubs_account_is_the_hub_even_when_somebody_enrolled_as_it() -> None:
    assert actor_of(BOT, replace(CONTEXT, people={BOT: "prs_x"})) == {"system": "conclave"}


def test_an_entry_says_in_which_room_and_whose_engagement() -> None:
    draft = draft_of(parse_event(event("m.x")), CONTEXT)
    assert (draft.room, draft.engagement, draft.companies) == ("!r", "northwind", ("contoso", "northwind"))


# --- what is recorded of each kind

MEMBERSHIPS: dict[str, tuple[str, str, str | None, str]] = {
    "invited": (BOT, "invite", None, "member.invited"),
    "joined": (BOB, "join", "invite", "member.joined"),
    "joined again": (BOB, "join", "leave", "member.joined"),
    "updated": (BOB, "join", "join", "member.updated"),
    "left": (BOB, "leave", "join", "member.left"),
    "removed": (BOT, "leave", "join", "member.removed"),
    "banned": (BOT, "ban", "join", "member.banned"),
    "knocked": (BOB, "knock", None, "member.knocked"),
    "of a sort nobody knows": (BOB, "banana", "join", "member.updated"),
}


@pytest.mark.parametrize("name", MEMBERSHIPS)
def test_memberships(name: str) -> None:
    sender, value, before, kind = MEMBERSHIPS[name]
    data = event("m.room.member", {"membership": value, "reason": "x"}, state_key=BOB, sender=sender)
    expected = {"subject": {"person": "prs_b"}, **({} if before is None else {"before": before})}
    assert described(data, replace(CONTEXT, before=before)) == (kind, expected)


@pytest.mark.parametrize("value", [None, 5, ["join"], {"join": "join"}])
def test_a_membership_that_says_nothing_is_recorded_as_an_update(value: Any) -> None:
    data = event("m.room.member", {"membership": value}, state_key=STRANGER)
    assert described(data) == ("member.updated", {"subject": {"user": STRANGER}})


def test_a_membership_that_is_no_state_is_an_event_like_any_other() -> None:
    content = {"membership": "join"}
    assert described(event("m.room.member", content)) == ("event.sent", {"content_sha256": digest(content)})


def test_the_creation_of_a_room() -> None:
    content = {ROOM_KEY: "rm_1", "type": "m.space", "room_version": "12", "predecessor": {"room_id": "!old"}}
    assert described(event("m.room.create", content, state_key="")) == (
        "room.created",
        {"room_key": "rm_1", "room_type": "m.space", "room_version": "12"},
    )


def test_state_is_recorded_by_its_hash() -> None:
    content = {"name": "Ünter uns", "x": [1.5, None, 2**70]}
    for event_type, key in (("m.room.name", ""), ("m.room.create", "x")):
        assert described(event(event_type, content, state_key=key)) == (
            "state.changed",
            {"state_key": key, "content_sha256": digest(content)},
        )


def test_a_message_is_recorded_by_its_session_and_size() -> None:
    content = {**SEALED, "m.relates_to": {"rel_type": "m.thread", "event_id": "$root", "key": "x"}}
    assert described(event("m.room.encrypted", content)) == (
        "message.sent",
        {
            "session_id": SEALED["session_id"],
            "device_id": "D",
            "size": len(SEALED["ciphertext"]),
            "relation": "m.thread",
            "relates_to": "$root",
        },
    )


def test_a_message_of_another_form_is_recorded_all_the_same() -> None:
    content = {"ciphertext": {"a": 1}, "session_id": 5, "device_id": 7, "m.relates_to": ["$root"]}
    assert described(event("m.room.encrypted", content)) == ("message.sent", {})


@pytest.mark.parametrize("text", ["the price is 42", "x" * 256, "", "42€", "a\nb", "\ud800"])
def test_a_sentence_in_the_place_of_an_identifier_is_recorded_by_its_hash(text: str) -> None:
    _, data = described(event("m.room.encrypted", {"ciphertext": "c", "session_id": text, "device_id": "DEVICE"}))
    assert data["session_id"].startswith("sha256:")
    assert len(data["session_id"]) == 71
    assert data["device_id"] == "DEVICE"


@pytest.mark.parametrize(
    ("more", "content", "expected"),
    [
        ({"redacts": "$old"}, {"reason": "x"}, {"redacts": "$old"}),
        ({}, {"redacts": "$new"}, {"redacts": "$new"}),
        ({"redacts": "$old"}, {"redacts": "$new"}, {"redacts": "$new"}),
        ({}, {}, {}),
        ({"redacts": 5}, {}, {}),
    ],
)
def test_a_redaction_says_of_what_in_either_form(more: Any, content: Any, expected: Any) -> None:
    assert described(event("m.room.redaction", content, **more)) == ("message.redacted", expected)


def test_a_reaction_says_to_what_and_not_with_what() -> None:
    content = {"m.relates_to": {"event_id": "$root", "rel_type": "m.annotation", "key": "👍"}}
    assert described(event("m.reaction", content)) == ("reaction.sent", {"relates_to": "$root"})
    assert described(event("m.reaction", {"m.relates_to": "x"})) == ("reaction.sent", {})


@pytest.mark.parametrize("event_type", ["m.room.message", "m.sticker", "com.example"])
def test_anything_else_is_recorded_by_its_hash(event_type: str) -> None:
    assert described(event(event_type, {"body": "x"})) == ("event.sent", {"content_sha256": digest({"body": "x"})})


def test_the_hash_does_not_depend_on_the_order_of_members() -> None:
    assert described(event("m.x", {"a": 1, "b": 2})) == described(event("m.x", {"b": 2, "a": 1}))


# --- whatever the homeserver delivers

_TYPES = st.sampled_from(
    ["m.room.message", "m.room.encrypted", "m.reaction", "m.room.redaction", "m.room.member", "m.room.create", "m.x"]
)
_MEMBERS = st.sampled_from(
    [
        *(*TEXTS, "state_key", "content", "origin_server_ts", "redacts", "unsigned", "membership", "m.relates_to"),
        *("ciphertext", "session_id", "device_id", ROOM_KEY, "room_version", "type"),
    ]
)


@settings(max_examples=400)
@given(_TYPES, _MEMBERS, JSON, st.sampled_from(["event", "content", "relation", "unsigned", "all"]), st.booleans())
def test_anything_is_an_entry_that_the_log_takes_or_malformed(
    event_type: str, member: str, value: Any, place: str, state: bool
) -> None:
    data: Any = event(event_type, **({"state_key": BOB} if state else {}))
    if place == "event":
        data[member] = value
    elif place == "content":
        data["content"] = {"membership": "join", member: value}
    elif place == "relation":
        data["content"] = {**SEALED, "m.relates_to": {"event_id": value, "rel_type": value}}
    elif place == "unsigned":
        data["unsigned"] = {PREVIOUS: value}
    else:
        data = value
    try:
        parsed = parse_event(data)
    except MalformedEventError:
        return
    assert canonical_json(draft_body(draft_of(parsed, CONTEXT), []))


@settings(max_examples=100)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3), st.text(max_size=5))
def test_any_content_has_a_hash(content: dict[str, Any], key: str) -> None:
    assume("\0" not in key)
    assert recorded(event("m.x", content, state_key=key))
    assert recorded(event("m.x", content))


# --- what never gets into the log

MARKER = "PRICELIST"
_marked = st.recursive(
    st.sampled_from([MARKER, f"a {MARKER} b", 5, None]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["body", "x", MARKER, "m.text", "key", "redacts_reason"]), inner, max_size=3)
    ),
    max_leaves=5,
)
_CLEAR = st.sampled_from(
    [
        *("body", "formatted_body", "url", "info", "key", "reason", "ciphertext", "sender_key", "algorithm", MARKER),
        *("displayname", "avatar_url", "membership", "topic", "name", "m.mentions"),
    ]
)


@settings(max_examples=300)
@given(
    st.sampled_from(["m.room.encrypted", "m.room.message", "m.reaction", "m.room.redaction", "m.sticker", "com.x"]),
    st.dictionaries(_CLEAR, _marked, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["key", "m.in_reply_to", "is_falling_back", MARKER]), _marked, max_size=3),
)
def test_nothing_that_was_said_gets_into_the_log(event_type: str, content: Any, relation: Any) -> None:
    said = {**content, "m.relates_to": {"event_id": "$root", "rel_type": "m.thread", **relation}}
    assert MARKER.encode() not in recorded(event(event_type, said))


@settings(max_examples=200)
@given(
    st.sampled_from(["m.room.member", "m.room.name", "m.room.topic", "m.room.avatar", "m.space.child", "com.x"]),
    st.dictionaries(_CLEAR, _marked, min_size=1, max_size=4),
)
def test_nothing_that_state_says_gets_into_the_log(event_type: str, content: Any) -> None:
    assert MARKER.encode() not in recorded(event(event_type, content, state_key=BOB))


def test_the_marker_would_be_seen() -> None:
    """The ids that are meant to be recorded are: the two properties above are not true of an empty entry."""
    content = {**SEALED, "session_id": MARKER}
    assert MARKER.encode() in recorded(event("m.room.encrypted", content))
