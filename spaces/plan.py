"""What has to be done to a room so that it is what its charter says: a function of desired, observed and now. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spaces.model import ObservedRoom
from spaces.policy.blueprint import agrees, fixed_state
from spaces.policy.records import Charter, Instant, PersonRecord, RoomKind, Roster
from spaces.policy.rules import refuse_person


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRoom:
    """Make the room, with all its state from the first event on."""

    state: Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetState:
    """Set one piece of state."""

    type: str
    state_key: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMember:
    """Make a person a member."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMember:
    """Take a person out, and tell them why."""

    user_id: str
    reason: str


Action = CreateRoom | SetState | AddMember | RemoveMember

_PRESENT = frozenset({"join", "invite", "knock"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What a room should be: its charter, the people who may be in it, and its links to Space or rooms.

    ``links`` is further state: ``m.space.child`` of a Space, ``m.space.parent`` of a room.
    """

    charter: Charter
    people: Sequence[PersonRecord]
    roster: Roster
    bot: str
    links: Mapping[tuple[str, str], Mapping[str, Any]]


def plan_room(desired: Desired, observed: ObservedRoom | None, now: Instant) -> list[Action]:
    """The actions, in order, that make the room what it should be; empty when it is.

    ``observed`` is ``None`` for a room that does not exist. Nobody is put into a direct room: the guard lets the two
    in when one of them asks for it, and who left is not brought back.
    """
    wanted = {**fixed_state(desired.charter, desired.bot), **desired.links}
    if observed is None:
        return [CreateRoom(state=wanted)]
    actions: list[Action] = list(_removals(desired, observed, now))
    for (event_type, state_key), content in wanted.items():
        found = observed.state.get((event_type, state_key))
        if found is None or not agrees(content, found, event_type):
            actions.append(SetState(type=event_type, state_key=state_key, content=content))
    for person in desired.people if desired.charter.kind is not RoomKind.DIRECT else ():
        absent = observed.members.get(person.user_id) != "join"
        if absent and refuse_person(person.user_id, desired.charter, desired.roster, now) is None:
            actions.append(AddMember(user_id=person.user_id))
    return actions


def _removals(desired: Desired, observed: ObservedRoom, now: Instant) -> Iterable[RemoveMember]:
    """Whoever is in the room and may not be: removed first, before anything else."""
    for user_id, membership in sorted(observed.members.items()):
        if membership not in _PRESENT or user_id == desired.bot:
            continue
        refusal = refuse_person(user_id, desired.charter, desired.roster, now)
        if refusal is not None:
            yield RemoveMember(user_id=user_id, reason=refusal.text(desired.charter.contact))


def links_of(
    charter: Charter, space_id: str | None, children: Sequence[tuple[int, str]], server: str
) -> dict[tuple[str, str], dict[str, Any]]:
    """The Space's ``m.space.child`` for each (order, room id), or a room's ``m.space.parent``; none for direct ones."""
    if charter.kind is RoomKind.SPACE:
        return {
            ("m.space.child", room_id): {"via": [server], "order": f"{order:04d}", "suggested": True}
            for order, room_id in children
        }
    if space_id is None or charter.kind is RoomKind.DIRECT:
        return {}
    return {("m.space.parent", space_id): {"via": [server], "canonical": True}}
