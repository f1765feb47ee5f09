"""Engagements and their rooms: frozen values and their state machine. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from config.clock import Millis
from config.errors import ConflictError
from spaces.policy.records import Charter, RoomKind


class EngagementKind(StrEnum):
    """Why companies may see each other."""

    PARTNERSHIP = "partnership"
    HELPER = "helper"


class EngagementStatus(StrEnum):
    """Open, or closed for good."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engagement:
    """One partnership of the host company with ``partner``; ``team`` is the host's team that takes part.

    Or the chat of one person of the company ``partner`` with the hub's helper, which has neither team nor template.
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

    def close(self, at: Millis) -> "Engagement":
        """The engagement after it was closed.

        Raises:
            ConflictError: It is closed already.
        """
        if self.status is EngagementStatus.CLOSED:
            raise ConflictError(f"{self.id} is closed already", hint=f"conclave partnership show {self.id}")
        return replace(self, status=EngagementStatus.CLOSED, closed_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedRoom:
    """One Space or room of an engagement, and how far provisioning has come with it.

    ``settled`` says that the last pass found nothing to do; ``problem`` what stopped it, ``retry_at`` when it is
    tried again.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedRoom:
    """A room as the homeserver has it: its state without memberships, and each user's membership."""

    state: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomView:
    """A room with its charter and the number of people who are in it."""

    room: ManagedRoom
    charter: Charter
    members: int
