"""A plan as people and programs read it, and whether it still fits. Pure.

The form, version 1, as JSON::

    format      "conclave-plan/1"
    hub         the ledger's origin: a plan is for one hub
    made_at     RFC 3339
    engagement  what it was asked for; null for everything
    rooms       those with something to do: key, name, engagement, room_id, wanted, found, actions

``wanted`` and ``found`` are digests of what the plan of a room rests on: the versions of its charter and of everybody
whom it names; and what was there, but for the very pieces that the plan changes, so that it can be carried out again
when some of it failed. An action has ``do``, ``type``, ``state_key`` and a sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from config.errors import ConflictError
from spaces.model import ManagedRoom, ObservedRoom
from spaces.plan import Action, AddMember, CreateRoom, Desired, Element, RemoveMember, SetState, element_of, plan_room
from spaces.policy.records import Charter, Instant
from spaces.policy.rules import SPACE_LINKS
from spaces.situation import Situation, found_digest

FORMAT = "conclave-plan/1"
CREATE = "create-room"


class PlanStaleError(ConflictError):
    """The plan no longer fits: what it was made from has changed."""

    code = "plan_stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAction:
    """One thing to do: ``do`` is create-room, set-state, add-member or remove-member."""

    do: str
    type: str
    state_key: str
    text: str

    @property
    def element(self) -> Element:
        """The piece of the room that it is about."""
        return self.type, self.state_key

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes it the same action, however it is worded."""
        return self.do, self.type, self.state_key


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomPlan:
    """What there is to do to one room, and the digests of what that rests on."""

    key: str
    name: str
    engagement: str
    room_id: str | None
    wanted: str
    found: str
    actions: Sequence[PlannedAction]

    @property
    def creates(self) -> bool:
        """Whether the room is to be made."""
        return any(item.do == CREATE for item in self.actions)


def plan_for(room: ManagedRoom, situation: Situation, observed: ObservedRoom | None, now: Instant) -> RoomPlan | None:
    """The plan of one room; ``None`` for one without a charter. Whom a new room gets is part of making it."""
    desired = situation.desired(room)
    if desired is None:
        return None
    actions = _actions(desired, observed, now)
    planned = tuple(_planned(action, desired) for action in actions)
    return RoomPlan(
        key=room.key,
        name=desired.charter.name,
        engagement=room.engagement,
        room_id=room.room_id,
        wanted=situation.wanted_digest(desired),
        found=found_digest(observed, [element_of(action) for action in actions]),
        actions=planned,
    )


def _actions(desired: Desired, observed: ObservedRoom | None, now: Instant) -> list[Action]:
    actions = plan_room(desired, observed, now)
    for action in tuple(actions):
        if isinstance(action, CreateRoom):
            actions += plan_room(desired, ObservedRoom(state=action.state), now)
    return actions


def refuse_stale(
    plan: RoomPlan, room: ManagedRoom, situation: Situation, observed: ObservedRoom | None, now: Instant
) -> str | None:
    """Why the plan of a room no longer fits, or ``None``.

    It fits when the same is wanted, nothing but its own pieces has changed, and nothing is to do that it does not say.
    A room that it makes may be there by now, and then be linked with its Space.
    """
    fresh = plan_for(room, situation, observed, now)
    if fresh is None:
        return "the room has no charter any more"
    if fresh.wanted != plan.wanted:
        return "its charter, or somebody whom it names, has changed"
    if not plan.creates and found_digest(observed, [item.element for item in plan.actions]) != plan.found:
        return "the homeserver has something else there by now"
    known = {item.identity for item in plan.actions}
    if any(item.identity not in known and not (plan.creates and item.type in SPACE_LINKS) for item in fresh.actions):
        return "more is to do by now than the plan says"
    return None


def _planned(action: Action, desired: Desired) -> PlannedAction:
    kind, key = element_of(action)
    return PlannedAction(do=_DO[type(action)], type=kind, state_key=key, text=_text(action, desired))


_DO: dict[type[Action], str] = {
    CreateRoom: CREATE,
    SetState: "set-state",
    AddMember: "add-member",
    RemoveMember: "remove-member",
}


def _text(action: Action, desired: Desired) -> str:
    charter: Charter = desired.charter
    if isinstance(action, CreateRoom):
        return f"make the {charter.kind.value} and link it"
    if isinstance(action, AddMember):
        return f"add {action.user_id}{_of(action.user_id, desired)}"
    if isinstance(action, RemoveMember):
        return f"remove {action.user_id}{_of(action.user_id, desired)}: {action.reason}"
    if action.type in SPACE_LINKS:
        return f"{'link' if action.content else 'unlink'} {action.state_key}"
    return f"set {action.type} to what the charter says"


def _of(user_id: str, desired: Desired) -> str:
    person = desired.roster.person(user_id)
    return "" if person is None else f" of {person.company}"
