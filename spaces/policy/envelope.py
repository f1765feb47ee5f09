"""What may stand in the clear around a sealed message, and beside it. Pure.

The forms are closed, so that nothing readable fits in.

Sources: specification, "m.megolm.v1.aes-sha2", "Relationship types", "m.reaction"; MSC3401 and MSC4143 for calls. What
matrix-js-sdk, matrix-rust-sdk and matrix-nio send has these forms: everything else of theirs is inside the ciphertext.
"""

import re
from collections.abc import Mapping
from typing import Any

MEGOLM = "m.megolm.v1.aes-sha2"
MAX_REACTION = 64
MAX_NAME = 255
MAX_CALL = 4_096

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"
_KEY = re.compile(r"[A-Za-z0-9+/=_-]{1,64}")
_DEVICE = re.compile(r"[A-Za-z0-9._~+/=-]{1,64}")
_DEVICE_AND_USE = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}")
_EVENT_ID = re.compile(r"\$[!-~]{1,254}")
_TOKEN = re.compile(r"[!-~]{0,255}")
_RELATIONS = frozenset({"m.thread", "m.replace", "m.reference", "m.annotation"})
_SEALED = frozenset({"algorithm", "ciphertext", "session_id", "device_id", "sender_key", "m.relates_to"})
_RELATION = frozenset({"rel_type", "event_id", "is_falling_back", "m.in_reply_to"})
_CALL = frozenset({
    "application", "call.id", "call_id", "claimed_device_id", "claimed_user_id", "created_ts", "device_id", "expires",
    "expires_ts", "feeds", "foci_active", "foci_preferred", "focus_active", "focus_selection", "id", "leave_reason",
    "livekit_alias", "livekit_service_url", "m.call.id", "m.call.intent", "m.call_id", "m.calls", "m.devices",
    "m.foci", "member", "member_id", "membershipID", "memberships", "purpose", "rtc_transports", "scope",
    "session_id", "slot_id", "type", "user_id", "version", "versions",
})  # fmt: skip


def is_name(text: str) -> bool:
    """Whether ``text`` may be an event type or state key: short, printable, sound Unicode."""
    if text.isascii():
        return len(text) <= MAX_NAME and text.isprintable()
    return len(text.encode(errors="replace")) <= MAX_NAME and text.isprintable()


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Whether this is the content of an ``m.room.encrypted`` with nothing readable in it."""
    if not content.keys() <= _SEALED or content.get("algorithm") != MEGOLM:
        return False
    ciphertext = content.get("ciphertext")
    if not isinstance(ciphertext, str) or not ciphertext or not ciphertext.isascii():
        return False
    if ciphertext.encode().translate(None, _BASE64):
        return False
    return (
        _fits(_KEY, content.get("session_id"))
        and _fits(_DEVICE, content.get("device_id", "D"))
        and _fits(_KEY, content.get("sender_key", "k"))
        and ("m.relates_to" not in content or _is_relation(content["m.relates_to"]))
    )


def is_reaction(content: Mapping[str, Any]) -> bool:
    """Whether this is the content of an ``m.reaction``: a short key on an event, and nothing else."""
    relation = content.get("m.relates_to")
    if content.keys() != {"m.relates_to"} or not isinstance(relation, Mapping):
        return False
    key = relation.get("key")
    return (
        relation.keys() == {"rel_type", "event_id", "key"}
        and relation["rel_type"] == "m.annotation"
        and _fits(_EVENT_ID, relation["event_id"])
        and isinstance(key, str)
        and 0 < len(key) <= MAX_REACTION
    )


def is_own_call_key(key: str, user_id: str) -> bool:
    """Whether ``key`` is that of a place of ``user_id`` in a call: the user, a device, or what a device is used for."""
    if key == user_id:
        return True
    for own in (f"{user_id}_", f"_{user_id}_"):
        if key.startswith(own):
            return _DEVICE_AND_USE.fullmatch(key, len(own)) is not None
    return False


def is_call_member(content: Mapping[str, Any]) -> bool:
    """Whether this describes a place in a call, in the members that the proposals name and in little space."""
    return _call_size(content) <= MAX_CALL


def _call_size(value: Any) -> int:
    """About how much room ``value`` takes; more than any when something in it does not belong there."""
    if isinstance(value, Mapping):
        if not value.keys() <= _CALL:
            return MAX_CALL + 1
        return sum(len(name) + _call_size(item) for name, item in value.items()) + 2
    if isinstance(value, list | tuple):
        return sum(map(_call_size, value)) + 2
    if isinstance(value, str):
        return len(value) + 2 if _TOKEN.fullmatch(value) else MAX_CALL + 1
    return len(str(value)) if value is None or isinstance(value, bool | int) else MAX_CALL + 1


def _is_relation(relation: Any) -> bool:
    if not isinstance(relation, Mapping) or not relation.keys() <= _RELATION:
        return False
    answered, kind = relation.get("m.in_reply_to", {"event_id": "$e"}), relation.get("rel_type", "m.thread")
    return (
        isinstance(kind, str)
        and kind in _RELATIONS
        and _fits(_EVENT_ID, relation.get("event_id", "$e"))
        and isinstance(relation.get("is_falling_back", False), bool)
        and isinstance(answered, Mapping)
        and answered.keys() == {"event_id"}
        and _fits(_EVENT_ID, answered["event_id"])
    )


def _fits(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
