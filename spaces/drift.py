"""Drift: a difference between a room and its charter that nobody asked for. Pure.

What was wanted may have changed, or time may have ended something: then a difference is the next step of the hub's own
work. It is drift when what is there came about after the last change of what is wanted, and was wrong already then.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from audit.entry import Actor, Draft, person_actor, system_actor, user_actor
from config.clock import Millis
from spaces.model import MEMBER, ManagedRoom, ObservedRoom, Origin
from spaces.plan import Action, AddMember, CreateRoom, Desired, RemoveMember, element_of, plan_room
from spaces.policy.records import PersonRecord
from spaces.policy.rules import refuse_person

RECONCILER = system_actor("reconciler")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference that nobody asked for, and the event that made it."""

    room: str
    type: str
    state_key: str
    event_id: str
    found_at: Millis

    @property
    def element(self) -> tuple[str, str]:
        """The piece of the room that differs: (event type, state key)."""
        return self.type, self.state_key


def origin_of_drift(action: Action, desired: Desired, observed: ObservedRoom, asked_at: Millis) -> Origin | None:
    """The event that made the difference which ``action`` puts right, where nobody asked for it; else ``None``.

    What was there when ``asked_at`` came, or was right when it came about, is no drift.
    """
    if isinstance(action, CreateRoom):
        return None
    origin = observed.origins.get(element_of(action))
    if origin is None or origin.at <= asked_at:
        return None
    if isinstance(action, AddMember | RemoveMember) and action.user_id != desired.bot:
        refused = refuse_person(action.user_id, desired.charter, desired.roster, origin.at) is not None
        if refused is not isinstance(action, RemoveMember):
            return None
    return origin


def drift_found(
    drift: Drift, room: ManagedRoom, desired: Desired, observed: ObservedRoom, sender: str, *, waiting: bool
) -> Draft:
    """The entry that says so: what, where, by whom, and whether it waits for somebody to say ``conclave apply``."""
    data: dict[str, Any] = {
        **_what(drift, desired),
        "found": _found(drift, observed),
        "caused_by": dict(_actor(sender, desired)),
        "waiting": waiting,
    }
    return _draft("drift.found", data, room, desired)


def drift_corrected(drift: Drift, room: ManagedRoom, desired: Desired, observed: ObservedRoom, now: Millis) -> Draft:
    """The entry that says that it is over: ``put-right``, or ``wanted-now`` where what is wanted came to agree.

    ``observed`` is the room without what was done and has not been seen yet.
    """
    outcome = "put-right" if drift.element in _corrections(drift, desired, observed, now) else "wanted-now"
    data = {**_what(drift, desired), "outcome": outcome, "after_ms": max(0, now - drift.found_at)}
    return _draft("drift.corrected", data, room, desired)


def _corrections(drift: Drift, desired: Desired, observed: ObservedRoom, now: Millis) -> set[tuple[str, str]]:
    """The pieces that differ where nothing newer was seen, and those of which something newer was."""
    origin = observed.origins.get(drift.element)
    newer = {drift.element} if origin is None or origin.event_id != drift.event_id else set()
    return newer | {element_of(action) for action in plan_room(desired, observed, now)}


def _draft(kind: str, data: Mapping[str, Any], room: ManagedRoom, desired: Desired) -> Draft:
    charter = desired.charter
    return Draft(
        kind=kind,
        actor=RECONCILER,
        room=room.room_id,
        engagement=room.engagement,
        companies=charter.companies,
        data=data,
    )


def _what(drift: Drift, desired: Desired) -> dict[str, Any]:
    """Which piece of the room: a person's membership, or state by its type and key."""
    event = {"type": drift.type, "event_id": drift.event_id}
    if drift.type == MEMBER:
        return {**event, "subject": dict(_actor(drift.state_key, desired))}
    return {**event, "state_key": drift.state_key}


def _found(drift: Drift, observed: ObservedRoom) -> str:
    """What was there: a membership, or the SHA-256 of the state's content as in ``state.changed``."""
    if drift.type == MEMBER:
        return observed.members.get(drift.state_key, "")
    content = observed.state.get(drift.element, {})
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _actor(user_id: str, desired: Desired) -> Actor:
    if user_id == desired.bot:
        return system_actor("conclave")
    person: PersonRecord | None = desired.roster.person(user_id)
    return user_actor(user_id) if person is None else person_actor(person.person)
