"""Direct rooms: who may talk to whom in a room of their own, and the charter that such a room has. Pure.

A direct room belongs to a Space whose charter says ``direct``, and to two people whom that Space admits. Its charter
follows from these: the guard knows it before the hub has heard of the room, and when the Space closes, it closes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from spaces.policy.blueprint import DIRECT_PEOPLE, ROOM_KEY
from spaces.policy.records import Charter, Instant, RoomKind, Roster
from spaces.policy.refusal import Code, Refusal
from spaces.policy.rules import refuse_account, refuse_person
from spaces.policy.servers import server_of

MAX_USER_ID = 255
TOPIC = "A direct chat of two. Who wrote when is recorded; what, is not."


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRequest:
    """``asker`` wants to talk to ``other`` alone; both are Matrix user ids."""

    asker: str
    other: str


def direct_request(asker: str, config: Mapping[str, Any]) -> DirectRequest | None:
    """What the body of a ``createRoom`` asks for, if it is a direct room: ``is_direct`` and exactly one invitation."""
    invited = config.get("invite")
    if config.get("is_direct") is not True or config.get("invite_3pid") or not isinstance(invited, list):
        return None
    if len(invited) != 1 or not _may_be_a_user_id(invited[0]):
        return None
    return DirectRequest(asker=asker, other=invited[0])


def _may_be_a_user_id(value: object) -> bool:
    """Whether a database may be asked for ``value``: no empty, endless or unstorable text."""
    return isinstance(value, str) and value.startswith("@") and len(value) <= MAX_USER_ID and value.isprintable()


def direct_key(space: str, people: Mapping[str, str]) -> str:
    """The key of the one direct room that these people have in a Space: ``<space's key>.<hash of the two>``."""
    return f"{space}.{sha256(json.dumps(sorted(people)).encode()).hexdigest()[:20]}"


def space_of(key: str) -> str | None:
    """The key of the Space that a direct room belongs to; ``None`` for any other room's key."""
    space, dot, _ = key.rpartition(".")
    return space if dot and space else None


def direct_charter(space: Charter, people: Mapping[str, str]) -> Charter | None:
    """The charter of the direct room of two ``people`` (user id → company), as their Space's charter has it now.

    ``None`` where the Space has no direct rooms, or does not name the company of one of the two.
    """
    if space.kind is not RoomKind.SPACE or not space.direct or len(people) != 2:
        return None
    admits = tuple(
        replace(item, person=user_id)
        for user_id, company in sorted(people.items())
        for item in space.admits
        if item.company == company and item.person in (None, user_id)
    )
    if {item.person for item in admits} != people.keys():
        return None
    return Charter(
        key=direct_key(space.key, people),
        engagement=space.engagement,
        kind=RoomKind.DIRECT,
        name=direct_name([user_id[1:].partition(":")[0] for user_id in sorted(people)]),
        topic=TOPIC,
        admits=admits,
        companies=tuple(sorted(set(people.values()))),
        open=space.open,
        not_after=space.not_after,
        retention=space.retention,
        room_version=space.room_version,
        contact=space.contact,
        held=space.held,
    )


def direct_name(names: Sequence[str]) -> str:
    """What the hub calls a direct room; the room itself has no name, clients show the other person's."""
    return f"direct: {', '.join(sorted(names))}"


def people_of(content: Mapping[str, Any]) -> dict[str, str] | None:
    """The two people (user id → company) that the ``content`` of a direct room's ``m.room.create`` names."""
    people = content.get(DIRECT_PEOPLE)
    if not isinstance(people, Mapping) or not all(isinstance(item, str) for pair in people.items() for item in pair):
        return None
    return dict(people)


def charter_in(content: Mapping[str, Any], space: Charter | None) -> Charter | None:
    """The charter of the direct room with this ``m.room.create``, if it is one of ``space`` as it is now."""
    people = people_of(content)
    if people is None or space is None:
        return None
    charter = direct_charter(space, people)
    return charter if charter is not None and charter.key == content.get(ROOM_KEY) else None


def choose_direct(request: DirectRequest, spaces: Sequence[Charter], roster: Roster, now: Instant) -> Charter | Refusal:
    """The charter of the direct room that is asked for: of the first of ``spaces`` that admits both.

    Whoever may not talk to somebody is told the same, in the same words, whether or not there is such a person.
    """
    refusal = refuse_account(request.asker, roster, now)
    if refusal is not None:
        return refusal
    asker, other = roster.person(request.asker), roster.person(request.other)
    if asker is not None and other is not None and server_of(request.asker) == server_of(request.other):
        people = {item.user_id: item.company for item in (asker, other)}
        for space in spaces:
            charter = direct_charter(space, people)
            if charter is not None and all(refuse_person(user, charter, roster, now) is None for user in people):
                return charter
    return Refusal(Code.DIRECT_NOT_ALLOWED, f"no engagement of yours lets you open a direct chat with {request.other}")
