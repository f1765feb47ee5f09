"""What has to be done to a room so that it is what its charter says: a function of desired, observed and now. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spaces.model import MEMBER, ObservedRoom
from spaces.policy.blueprint import CALL_MEMBER, agrees, fixed_state
from spaces.policy.checkpoints import CHECKPOINT
from spaces.policy.records import Charter, Instant, PersonRecord, RoomKind, Roster
from spaces.policy.rules import SPACE_LINKS, refuse_person
from spaces.policy.servers import is_remote, open_servers, server_acl


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRoom:
    """Make the room, with all its state from the first event on."""

    state: Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetState:
    """Set one piece of state; ``widens`` says that more servers than now take part in the room afterwards."""

    type: str
    state_key: str
    content: Mapping[str, Any]
    widens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMember:
    """Make a person a member; one of another server is invited, for nobody here can accept for them."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMember:
    """Take a person out, and tell them why."""

    user_id: str
    reason: str


Action = CreateRoom | SetState | AddMember | RemoveMember

Element = tuple[str, str]
"""A piece of a room: (event type, state key)."""

DONE = "Conclave: what there was to say is said."
"""What is told of an account of the hub that a charter names no more."""
_PRESENT = frozenset({"join", "invite", "knock"})
_OPENINGS = frozenset({"m.room.name", "m.room.topic"}) | SPACE_LINKS
"""State that lets nobody in or out, whatever it says."""


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
    wanted = {**_wanted(desired), **_acl(desired, now)}
    if observed is None:
        return [CreateRoom(state=wanted)]
    actions: list[Action] = list(_removals(desired, observed, now))
    if observed.members.get(desired.bot, "join") != "join":
        actions.append(AddMember(user_id=desired.bot))
    for (event_type, state_key), content in wanted.items():
        found = observed.state.get((event_type, state_key))
        if found is None or not agrees(content, found, event_type):
            widens = event_type == "m.room.server_acl" and _admits_more(content, found)
            actions.append(SetState(type=event_type, state_key=state_key, content=content, widens=widens))
    for (event_type, state_key), content in sorted(observed.state.items()):
        if event_type in SPACE_LINKS and (event_type, state_key) not in wanted and content:
            actions.append(SetState(type=event_type, state_key=state_key, content={}))
    actions += [AddMember(user_id=user) for user in desired.charter.accounts if observed.members.get(user) != "join"]
    people = desired.people if desired.charter.kind is not RoomKind.DIRECT else ()
    absent = [person.user_id for person in people if _is_absent(person.user_id, desired, observed)]
    # Inviting asks another server, which may be down: what does not depend on it comes first.
    absent.sort(key=lambda user_id: is_remote(user_id, desired.bot))
    entitled = (user for user in absent if refuse_person(user, desired.charter, desired.roster, now) is None)
    return [*actions, *(AddMember(user_id=user_id) for user_id in entitled)]


def _is_absent(user_id: str, desired: Desired, observed: ObservedRoom) -> bool:
    """Whether something has to be done for this person; one of another server is invited, and joins when they like."""
    membership = observed.members.get(user_id)
    return membership != "join" and not (membership == "invite" and is_remote(user_id, desired.bot))


def _acl(desired: Desired, now: Instant) -> dict[Element, Mapping[str, Any]]:
    """The server ACL of a room with partners' servers: those of companies that are shut out are not in it."""
    if not desired.charter.servers:
        return {}
    servers = open_servers(desired.charter, desired.roster, now)
    return {("m.room.server_acl", ""): server_acl(desired.bot, servers)}


def remove_all(observed: ObservedRoom, bot: str, reason: str) -> list[Action]:
    """The actions for a room that has no charter: nobody may be in it."""
    return [
        RemoveMember(user_id=user_id, reason=reason)
        for user_id, membership in sorted(observed.members.items())
        if membership in _PRESENT and user_id != bot
    ]


def foreign_state(desired: Desired, observed: ObservedRoom) -> list[Element]:
    """State that the charter says nothing about and the guard lets nobody set: only a person can see to it."""
    told = _wanted(desired).keys()
    known = SPACE_LINKS | {CALL_MEMBER, "m.room.create"}
    known |= {CHECKPOINT} if desired.charter.kind is RoomKind.SPACE else set()
    found = (key for key, content in observed.state.items() if key[0] not in known and content)
    return sorted(key for key in found if key not in told)


def element_of(action: Action) -> Element:
    """The piece of the room that the action is about; for a room to be created, its first event."""
    if isinstance(action, CreateRoom):
        return "m.room.create", ""
    if isinstance(action, SetState):
        return action.type, action.state_key
    return MEMBER, action.user_id


def closes(action: Action) -> bool:
    """Whether the action only takes away: it is done at once even where everything else waits to be applied.

    The charter's state for doors, history, power and encryption is the narrowest there is: to set it opens nothing. The
    list of servers alone may get longer, when a company comes back.
    """
    if isinstance(action, SetState):
        return action.type not in _OPENINGS and not action.widens
    return isinstance(action, RemoveMember)


def _wanted(desired: Desired) -> dict[Element, Mapping[str, Any]]:
    return {**fixed_state(desired.charter, desired.bot), **desired.links}


def _admits_more(wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> bool:
    """Whether a server ACL lets in all that is let in now, and more; without an ACL everybody is let in."""
    allowed = None if found is None else found.get("allow")
    return isinstance(allowed, list) and all(host in wanted["allow"] for host in allowed) and wanted != found


def _removals(desired: Desired, observed: ObservedRoom, now: Instant) -> Iterable[RemoveMember]:
    """Whoever is in the room and may not be: removed first, before anything else."""
    for user_id, membership in sorted(observed.members.items()):
        if membership not in _PRESENT or user_id in (desired.bot, *desired.charter.accounts):
            continue
        refusal = refuse_person(user_id, desired.charter, desired.roster, now)
        if refusal is not None:
            reason = DONE if _is_of_hub(user_id, desired.bot) else refusal.text(desired.charter.contact)
            yield RemoveMember(user_id=user_id, reason=reason)


def _is_of_hub(user_id: str, bot: str) -> bool:
    """Whether this is another account of the hub, which is named after its own; nobody else gets such a name."""
    name, _, server = bot.partition(":")
    return user_id.startswith(f"{name}-") and user_id.endswith(f":{server}")


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
