"""Engagements and their rooms: frozen values and their state machine. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from config.clock import Millis
from config.errors import ConflictError
from spaces.policy.records import Charter, RoomKind

MEMBER = "m.room.member"


class EngagementKind(StrEnum):
    """Why companies may see each other."""

    PARTNERSHIP = "partnership"
    COMMITTEE = "committee"
    HELPER = "helper"


class EngagementStatus(StrEnum):
    """Open, or closed for good."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engagement:
    """One partnership of the host company with ``partner``; ``team`` is the host's team that takes part.

    Or the chat of one person of the company ``partner`` with the hub's helper, or the committee of the buyer
    ``partner`` and its ``vendors``; these have neither team nor template.
    """

    id: str
    kind: EngagementKind
    partner: str
    template: str
    team: str
    status: EngagementStatus
    opened_at: Millis
    opened_by: str
    closed_at: Millis | None = None
    vendors: frozenset[str] = frozenset()

    def companies(self, host: str) -> frozenset[str]:
        """Every company that takes part; the host does where it is one of a partnership or a committee's buyer."""
        if self.kind is EngagementKind.PARTNERSHIP:
            return frozenset({host, self.partner})
        return self.vendors | {self.partner}

    def close(self, at: Millis) -> "Engagement":
        """The engagement after it was closed.

        Raises:
            ConflictError: It is closed already.
        """
        if self.status is EngagementStatus.CLOSED:
            raise ConflictError(f"{self.id} is closed already", hint=f"conclave {self.kind} show {self.id}")
        return replace(self, status=EngagementStatus.CLOSED, closed_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedRoom:
    """One Space or room of an engagement, and how far provisioning has come with it.

    ``settled`` says that the last pass found nothing to do; ``problem`` what stopped it, ``stuck_since`` since when,
    ``retry_at`` when it is tried again; ``waiting`` how many changes wait for somebody to apply them. ``changes``
    counts what happened to the room or to what is wanted of it, ``asked_at`` is when something else was wanted last,
    ``due_at`` when it is looked at next.
    """

    key: str
    engagement: str
    kind: RoomKind
    position: int
    room_id: str | None = None
    settled: bool = False
    problem: str | None = None
    attempts: int = 0
    retry_at: Millis = 0
    changes: int = 0
    asked_at: Millis = 0
    due_at: Millis = 0
    stuck_since: Millis | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The event that made a piece of state or a membership what it is: who sent it, and when."""

    event_id: str
    sender: str
    at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedRoom:
    """A room as the homeserver has it: its state without memberships, and each user's membership.

    ``origins`` tells where each came from, by (event type, state key).
    """

    state: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[tuple[str, str], Origin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomView:
    """A room with its charter and the number of people who are in it."""

    room: ManagedRoom
    charter: Charter
    members: int
