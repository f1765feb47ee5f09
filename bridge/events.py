"""From a Matrix event to a ledger entry: what is recorded of each, and what never is. Pure.

Content of messages is not recorded, sealed or clear; state is recorded by the hash of its content.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeGuard

from audit.canonical import MAX_INTEGER
from audit.entry import Actor, Draft, person_actor, system_actor, user_actor
from spaces.policy.blueprint import ROOM_KEY

PREVIOUS = "org.conclave.prev"
WITHHELD = "org.conclave.withheld"
BOT = "conclave"
HELPER = "conclave-helper"
MAX_TEXT = 255


class MalformedEventError(Exception):
    """What the homeserver delivered is not an event in client format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """Something that is no event: its SHA-256, and what of it can be told."""

    sha256: str
    event_id: str | None
    room_id: str | None
    sender: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event in the client format (specification, "Room event format"); ``previous`` are its ``prev_events``.

    ``withheld``: another server made it, it was refused here, and no member's client gets it.
    """

    event_id: str
    room_id: str
    type: str
    sender: str
    ts: int
    content: Mapping[str, Any]
    state_key: str | None = None
    redacts: str | None = None
    previous: tuple[str, ...] = ()
    withheld: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomContext:
    """Which engagement and companies a room belongs to, and what its charter calls it."""

    engagement: str | None = None
    companies: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What recording an event needs to know beside the event."""

    bot: str
    people: Mapping[str, str] = field(default_factory=dict)
    room: RoomContext = field(default_factory=RoomContext)
    before: str | None = None


def parse_event(data: Any) -> Event:
    """The event in the JSON value ``data``; members that are not known are passed over.

    Raises:
        MalformedEventError: A member that every event has is missing or of another type.
    """
    if not isinstance(data, Mapping):
        raise MalformedEventError("not an object")
    texts = {name: data.get(name) for name in ("event_id", "room_id", "type", "sender")}
    for name, value in texts.items():
        if not _is_text(value) or not value:
            raise MalformedEventError(f"{name} is not text of at most {MAX_TEXT} characters")
    ts, content, state_key = data.get("origin_server_ts"), data.get("content"), data.get("state_key")
    if type(ts) is not int or not 0 <= ts <= MAX_INTEGER or not isinstance(content, Mapping):
        raise MalformedEventError("origin_server_ts or content is missing")
    if state_key is not None and not _is_text(state_key):
        raise MalformedEventError("state_key is not text")
    return Event(
        **{name: str(value) for name, value in texts.items()},
        ts=ts,
        content=content,
        state_key=state_key,
        redacts=_redacts(data, content),
        previous=_previous(data),
        withheld=_withheld(data),
    )


def malformed_event(data: Any) -> Malformed:
    """What can be recorded of ``data``, which is no event: nobody stays unseen by sending what cannot be read."""
    found = data if isinstance(data, Mapping) else {}
    texts = {name: value if _is_text(value := found.get(name)) and value else None for name in _IDENTITY}
    raw = json.dumps(data, sort_keys=True).encode()
    return Malformed(sha256=sha256(raw).hexdigest(), **texts)


_IDENTITY = ("event_id", "room_id", "sender")


def _redacts(data: Mapping[str, Any], content: Mapping[str, Any]) -> str | None:
    """Room version 11 moved ``redacts`` into the content."""
    found = content.get("redacts", data.get("redacts"))
    return found if _is_text(found) else None


def _previous(data: Mapping[str, Any]) -> tuple[str, ...]:
    unsigned = data.get("unsigned")
    found = unsigned.get(PREVIOUS) if isinstance(unsigned, Mapping) else None
    return tuple(item for item in found if _is_text(item)) if isinstance(found, list) else ()


def _withheld(data: Mapping[str, Any]) -> bool:
    unsigned = data.get("unsigned")
    return isinstance(unsigned, Mapping) and unsigned.get(WITHHELD) is True


def draft_of(event: Event, context: Context) -> Draft:
    """The ledger entry for ``event``."""
    kind, data = _describe(event, context)
    return Draft(
        kind=kind,
        actor=actor_of(event.sender, context),
        room=event.room_id,
        engagement=context.room.engagement,
        companies=context.room.companies,
        data={"event_id": event.event_id, "type": event.type, "ts": event.ts, **data},
        disclose={"room_name": context.room.name} if kind == "room.created" and context.room.name else {},
    )


def actor_of(user_id: str, context: Context) -> Actor:
    """The person behind a Matrix account, the hub itself, or the account where nobody is known."""
    if user_id == context.bot:
        return system_actor(BOT)
    if user_id == context.bot.replace(f"@{BOT}:", f"@{HELPER}:", 1):
        return system_actor(HELPER)
    person = context.people.get(user_id)
    return user_actor(user_id) if person is None else person_actor(person)


def _describe(event: Event, context: Context) -> tuple[str, dict[str, Any]]:
    if event.withheld:
        return "event.refused", {}
    if event.state_key is None:
        return _timeline(event)
    if event.type == "m.room.member":
        return _membership(event, context)
    if event.type == "m.room.create" and event.state_key == "":
        named = {"room_key": ROOM_KEY, "room_type": "type", "room_version": "room_version"}
        return "room.created", _texts(event.content, named)
    return "state.changed", {"state_key": event.state_key, "content_sha256": _digest(event.content)}


def _timeline(event: Event) -> tuple[str, dict[str, Any]]:
    if event.type == "m.room.encrypted":
        return "message.sent", _message(event)
    if event.type == "m.room.redaction":
        return "message.redacted", {} if event.redacts is None else {"redacts": event.redacts}
    if event.type == "m.reaction":
        return "reaction.sent", _texts(_relation(event), {"relates_to": "event_id"})
    return "event.sent", {"content_sha256": _digest(event.content)}


def _membership(event: Event, context: Context) -> tuple[str, dict[str, Any]]:
    membership, own = event.content.get("membership"), event.sender == event.state_key
    kinds = {"invite": "member.invited", "ban": "member.banned", "knock": "member.knocked"}
    if membership == "join":
        kind = "member.updated" if context.before == "join" else "member.joined"
    elif membership == "leave":
        kind = "member.left" if own else "member.removed"
    else:
        kind = kinds.get(str(membership), "member.updated")
    data = {"subject": dict(actor_of(event.state_key or "", context))}
    return kind, data if context.before is None else {**data, "before": context.before}


def _message(event: Event) -> dict[str, Any]:
    found = _texts(event.content, {"session_id": "session_id", "device_id": "device_id"})
    found |= _texts(_relation(event), {"relation": "rel_type", "relates_to": "event_id"})
    ciphertext = event.content.get("ciphertext")
    return {**found, "size": len(ciphertext)} if isinstance(ciphertext, str) else found


def _relation(event: Event) -> Mapping[str, Any]:
    relation = event.content.get("m.relates_to")
    return relation if isinstance(relation, Mapping) else {}


def _texts(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The members of ``content`` that are text, under our names; by hash where it is more than an identifier.

    A client writes them: an identifier is recorded, a sentence in its place is not.
    """
    found = {ours: content.get(theirs) for ours, theirs in names.items()}
    return {name: _identifier(value) for name, value in found.items() if isinstance(value, str)}


def _identifier(value: str) -> str:
    if _IDENTIFIER.fullmatch(value):
        return value
    return f"sha256:{sha256(value.encode(errors='surrogatepass')).hexdigest()}"


_IDENTIFIER = re.compile(r"[A-Za-z0-9!$@#_.:;=+/~*-]{1,255}")


def _is_text(value: object) -> TypeGuard[str]:
    """Whether ``value`` is text that log and database hold: of sensible length, no NUL, no lone surrogates."""
    return isinstance(value, str) and len(value) <= MAX_TEXT and not any(map(_is_unstorable, value))


def _is_unstorable(char: str) -> bool:
    return char == "\0" or "\ud800" <= char <= "\udfff"


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 over sorted JSON; state may hold numbers that canonical JSON refuses."""
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
