"""What was done and has not come back in the feed yet, laid over what was seen. In memory only."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from config.clock import SECOND, Millis
from spaces.model import ObservedRoom

PATIENCE_MS = 10 * SECOND


class Expectations:
    """State and memberships that the homeserver accepted, for ten seconds each or until the feed shows them."""

    def __init__(self) -> None:
        self._state: dict[str, dict[tuple[str, str], tuple[Mapping[str, Any], Millis]]] = {}
        self._members: dict[str, dict[str, tuple[str, Millis]]] = {}

    def expect_state(self, room_id: str, key: tuple[str, str], content: Mapping[str, Any], now: Millis) -> None:
        """The homeserver accepted this state."""
        self._state.setdefault(room_id, {})[key] = (content, now + PATIENCE_MS)

    def expect_member(self, room_id: str, user_id: str, membership: str, now: Millis) -> None:
        """The homeserver accepted this membership."""
        self._members.setdefault(room_id, {})[user_id] = (membership, now + PATIENCE_MS)

    def over(self, room_id: str, seen: ObservedRoom, now: Millis) -> ObservedRoom:
        """``seen`` with what is still expected on top; what was seen or took too long is forgotten."""
        state = self._state.pop(room_id, {})
        members = self._members.pop(room_id, {})
        state = {
            key: (content, until)
            for key, (content, until) in state.items()
            if until > now and not _includes(seen.state.get(key), content)
        }
        members = {
            user: (membership, until)
            for user, (membership, until) in members.items()
            if until > now and seen.members.get(user) != membership
        }
        if state:
            self._state[room_id] = state
        if members:
            self._members[room_id] = members
        if not state and not members:
            return seen
        return replace(
            seen,
            state={**seen.state, **{key: content for key, (content, _) in state.items()}},
            members={**seen.members, **{user: membership for user, (membership, _) in members.items()}},
        )

    def pending(self, room_id: str) -> bool:
        """Whether anything of the room is still expected."""
        return room_id in self._state or room_id in self._members


def _includes(found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Whether ``found`` says at least what ``wanted`` says; the homeserver may add members of its own."""
    return found is not None and all(found.get(name) == value for name, value in wanted.items())
