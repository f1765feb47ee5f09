"""What stands in the clear has a closed form: what clients send is let through, anything readable is not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.policy.envelope import is_call_member, is_name, is_own_call_key, is_reaction, is_sealed
from tests.policy import BOB, JSON, REACTION, SEALED, TEXT

REAL = {
    **SEALED,
    "ciphertext": "AwgAEnACgAkLmt6qF84IK++J7UDH2Za1YVchHyprqTqsg2yyOwAtHaZTwyNg37afzg8f3r9IsN9rH4RNFg7MaZencUJe4qv",
}
THREAD = {"rel_type": "m.thread", "event_id": "$t", "is_falling_back": True, "m.in_reply_to": {"event_id": "$r"}}

SENT: dict[str, dict[str, Any]] = {
    "a message": REAL,
    "a message of a client that names no device": {
        k: v for k, v in REAL.items() if k not in ("device_id", "sender_key")
    },
    "an edit": {**REAL, "m.relates_to": {"rel_type": "m.replace", "event_id": "$e"}},
    "a reply": {**REAL, "m.relates_to": {"m.in_reply_to": {"event_id": "$e"}}},
    "a message in a thread": {**REAL, "m.relates_to": THREAD},
    "a vote": {**REAL, "m.relates_to": {"rel_type": "m.reference", "event_id": "$e"}},
}


@pytest.mark.parametrize("name", SENT)
def test_what_clients_send_sealed_is_let_through(name: str) -> None:
    assert is_sealed(SENT[name])


READABLE: dict[str, dict[str, Any]] = {
    "a member more": {**REAL, "note": "the price is 42"},
    "extensible text": {**REAL, "m.text": [{"body": "x"}]},
    "an edit in the clear": {**REAL, "m.new_content": {"body": "x"}},
    "mentions": {**REAL, "m.mentions": {}},
    "words for a ciphertext": {**REAL, "ciphertext": "the price is 42"},
    "letters of no base64": {**REAL, "ciphertext": "préis"},
    "a long device": {**REAL, "device_id": "D" * 65},
    "words for a device": {**REAL, "device_id": "the price is 42"},
    "a device that is none": {**REAL, "device_id": None},
    "an object for a key": {**REAL, "sender_key": {"body": "x"}},
    "a long session": {**REAL, "session_id": "s" * 65},
    "words in a relation": {**REAL, "m.relates_to": {**THREAD, "note": "x"}},
    "a relation of another type": {**REAL, "m.relates_to": {"rel_type": "com.example.note", "event_id": "$e"}},
    "a relation of no type": {**REAL, "m.relates_to": {"rel_type": ["m.thread"], "event_id": "$e"}},
    "words for an event": {**REAL, "m.relates_to": {"rel_type": "m.replace", "event_id": "the price is 42"}},
    "words in a reply": {**REAL, "m.relates_to": {"m.in_reply_to": {"event_id": "$e", "body": "x"}}},
    "a reply that is text": {**REAL, "m.relates_to": {"m.in_reply_to": "x"}},
    "text for a flag": {**REAL, "m.relates_to": {**THREAD, "is_falling_back": "x"}},
    "a relation that is text": {**REAL, "m.relates_to": "x"},
}


@pytest.mark.parametrize("name", READABLE)
def test_nothing_readable_goes_with_it(name: str) -> None:
    assert not is_sealed(READABLE[name])


@given(st.sampled_from(sorted(REAL)), JSON)
def test_no_member_takes_any_value(member: str, value: Any) -> None:
    content = {**REAL, member: value}
    if is_sealed(content):
        assert " " not in json.dumps(content, separators=(",", ":"))


@pytest.mark.parametrize(
    "content",
    [
        {**REACTION, "note": "x"},
        {"m.relates_to": {**REACTION["m.relates_to"], "note": "x"}},
        {"m.relates_to": {**REACTION["m.relates_to"], "rel_type": "m.thread"}},
        {"m.relates_to": {**REACTION["m.relates_to"], "event_id": "x"}},
        {"m.relates_to": {**REACTION["m.relates_to"], "key": ""}},
        {"m.relates_to": {**REACTION["m.relates_to"], "key": ["x"]}},
    ],
)
def test_a_reaction_is_a_key_on_an_event(content: dict[str, Any]) -> None:
    assert is_reaction(REACTION)
    assert not is_reaction(content)


SESSION = {
    "application": "m.call",
    "call_id": "",
    "scope": "m.room",
    "device_id": "ABCDEF",
    "created_ts": 1_800_000_000_000,
    "expires": 14_400_000,
    "focus_active": {"type": "livekit", "focus_selection": "oldest_membership"},
    "foci_preferred": [
        {"type": "livekit", "livekit_service_url": "https://call.hub.test", "livekit_alias": "!r:hub.test"}
    ],
}


@pytest.mark.parametrize("content", [{}, SESSION, {"memberships": [SESSION]}, {"leave_reason": "lost"}])
def test_a_place_in_a_call(content: dict[str, Any]) -> None:
    assert is_call_member(content)


@pytest.mark.parametrize(
    "content",
    [
        {"note": "x"},
        {**SESSION, "call_id": "the price is 42"},
        {**SESSION, "focus_active": {"type": "livekit", "note": "x"}},
        {**SESSION, "expires": 1.5},
        {"memberships": [SESSION] * 20},
        {"memberships": ["x" * 200] * 30},
    ],
)
def test_a_place_in_a_call_is_no_place_for_words(content: dict[str, Any]) -> None:
    assert not is_call_member(content)


@pytest.mark.parametrize("key", [f"_{BOB}_\0", f"{BOB}_the price", f"{BOB}_{'D' * 129}", f"{BOB}_"])
def test_a_place_is_that_of_a_device(key: str) -> None:
    assert is_own_call_key(f"_{BOB}_DEV_m.call", BOB)
    assert not is_own_call_key(key, BOB)


@pytest.mark.parametrize("text", ["a\0", "\n", "\ud800", "x" * 256, "é" * 128, "\u200b"])
def test_names_are_short_and_printable(text: str) -> None:
    assert is_name("m.room.name")
    assert is_name("")
    assert is_name("é" * 127)
    assert not is_name(text)


@given(TEXT)
def test_what_is_a_name_can_be_stored(text: str) -> None:
    if is_name(text):
        assert "\0" not in text.encode().decode()
