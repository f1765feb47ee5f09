"""What a charter fixes of its room: the state that the room is created with and must keep. Pure."""

from collections.abc import Mapping
from typing import Any

from spaces.policy.envelope import MEGOLM
from spaces.policy.records import Charter, RoomKind
from spaces.policy.servers import server_acl

ROOM_KEY = "org.conclave.room"
"""Member of the ``m.room.create`` content that names the charter; a room has it from its first event on."""

DIRECT_PEOPLE = "org.conclave.direct"
"""Member of a direct room's ``m.room.create`` content: user id → company of the two."""

ROTATION_MESSAGES = 100
ROTATION_MS = 86_400_000
CALL_MEMBER = "org.matrix.msc3401.call.member"
FUNCTIONAL_MEMBERS = "io.element.functional_members"
"""Members that clients leave out when they name a room after the people in it (MSC4171)."""

_NOBODY = 100
_ANYBODY = 0

StateKey = tuple[str, str]


def creation_content(charter: Charter) -> dict[str, Any]:
    """The ``content`` of the room's ``m.room.create`` that the hub asks for (specification, m.room.create)."""
    content: dict[str, Any] = {ROOM_KEY: charter.key, "m.federate": bool(charter.servers)}
    if charter.kind is RoomKind.SPACE:
        content["type"] = "m.space"
    if charter.kind is RoomKind.DIRECT:
        content[DIRECT_PEOPLE] = {item.person: item.company for item in charter.admits if item.person is not None}
    return content


def fixed_state(charter: Charter, bot: str) -> dict[StateKey, dict[str, Any]]:
    """(event type, state key) → content that the room must have, as long as the charter says so."""
    state: dict[StateKey, dict[str, Any]] = {
        ("m.room.power_levels", ""): power_levels(charter, bot),
        ("m.room.join_rules", ""): {"join_rule": "invite"},
        ("m.room.history_visibility", ""): {"history_visibility": charter.history_visibility},
        ("m.room.guest_access", ""): {"guest_access": "forbidden"},
        ("m.room.topic", ""): {"topic": charter.topic},
    }
    if charter.kind is RoomKind.DIRECT:
        state[FUNCTIONAL_MEMBERS, ""] = {"service_members": [bot]}
    else:
        state["m.room.name", ""] = {"name": charter.name}
    if charter.kind is not RoomKind.SPACE:
        state["m.room.encryption", ""] = {
            "algorithm": MEGOLM,
            "rotation_period_msgs": ROTATION_MESSAGES,
            "rotation_period_ms": ROTATION_MS,
        }
    if charter.servers:
        state["m.room.server_acl", ""] = server_acl(bot, charter.servers)
    return state


def power_levels(charter: Charter, bot: str) -> dict[str, Any]:
    """Power levels under which members talk and the hub does everything else.

    In room version 12 the creator's power is beyond levels and must not be listed; before, the bot has 100. In a direct
    room the two may invite, and the guard sees to it that it is each other only.
    """
    talking = charter.open and charter.kind is not RoomKind.SPACE
    return {
        "users": {} if charter.room_version == "12" else {bot: _NOBODY},
        "users_default": _ANYBODY,
        "events": {CALL_MEMBER: _ANYBODY} if talking else {},
        "events_default": _ANYBODY if talking else _NOBODY,
        "state_default": _NOBODY,
        "invite": _ANYBODY if talking and charter.kind is RoomKind.DIRECT else _NOBODY,
        "kick": _NOBODY,
        "ban": _NOBODY,
        "redact": _NOBODY,
        "notifications": {"room": _NOBODY},
    }


def agrees(wanted: Mapping[str, Any], found: Mapping[str, Any], event_type: str) -> bool:
    """Whether the state ``found`` is what the charter wants.

    Synapse adds ``historical`` to power levels at creation (MSC2716), and the rendered form to a topic (MSC3765);
    nothing else may differ.
    """
    added: dict[str, Any] = {}
    if event_type == "m.room.power_levels":
        added = {"historical": _NOBODY}
    if event_type == "m.room.topic":
        added = {"m.topic": {"m.text": [{"body": wanted.get("topic")}]}}
    return same(found, wanted) or same(found, {**wanted, **added})


def same(one: object, other: object) -> bool:
    """Whether two JSON values are one and the same; to Python ``0``, ``0.0`` and ``False`` are equal, to JSON not."""
    if isinstance(one, Mapping):
        return (
            isinstance(other, Mapping)
            and one.keys() == other.keys()
            and all(same(value, other[name]) for name, value in one.items())
        )
    if isinstance(one, list):
        return (
            isinstance(other, list)
            and len(one) == len(other)
            and all(same(value, its) for value, its in zip(one, other, strict=True))
        )
    return type(one) is type(other) and one == other


def creation_request(
    version: str, content: Mapping[str, Any], state: Mapping[StateKey, Mapping[str, Any]]
) -> dict[str, Any]:
    """The body of the ``createRoom`` that makes a room with this ``m.room.create`` and ``state`` from the first on."""
    rest = dict(state)
    return {
        "preset": "private_chat",
        "visibility": "private",
        "room_version": version,
        "creation_content": dict(content),
        "power_level_content_override": rest.pop(("m.room.power_levels", "")),
        "initial_state": [
            {"type": event_type, "state_key": state_key, "content": value}
            for (event_type, state_key), value in rest.items()
        ],
    }
