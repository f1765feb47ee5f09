"""Charters and the roster, as the guard, the reconciler and the API hold them. Pure.

Each record travels as a small versioned document (``spaces.policy.documents``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Instant = int
"""Milliseconds since 1970-01-01 UTC."""


class Standing(StrEnum):
    """Whether a company or person may take part."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class RoomKind(StrEnum):
    """A Space, a room in one, or a room of two of its people."""

    SPACE = "space"
    ROOM = "room"
    DIRECT = "direct"


class Recording(StrEnum):
    """What is kept of a room beside its ledger entries."""

    METADATA = "metadata"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who may be in a room: the people of ``company``, or only those of one of its ``team``s, or only one ``person``.

    ``person`` is a Matrix user id. They may be there from ``not_before`` on and until ``not_after``, where these are
    set.
    """

    company: str
    team: str | None = None
    person: str | None = None
    not_before: Instant | None = None
    not_after: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyRecord:
    """What the policy needs to know of a company; ``not_after`` is the contract's end.

    ``max_upload`` is the largest file its people may share, in bytes; ``server`` the homeserver of its own, where it
    has one; ``direct`` the keys of Space charters whose people may talk to its people directly.
    """

    company: str
    name: str
    standing: Standing
    not_after: Instant | None = None
    max_upload: int | None = None
    server: str | None = None
    direct: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """What the policy needs to know of an enrolled person; ``held`` is a legal hold on their account."""

    user_id: str
    person: str
    company: str
    standing: Standing
    teams: frozenset[str] = frozenset()
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """The rule of one managed room; ``key`` is its name in the hub, written into its ``m.room.create`` event.

    ``contact`` is whom a refused person may ask. Times in milliseconds; ``not_after`` is the engagement's end.
    ``accounts`` are accounts of the hub, beside its own, that belong in the room; ``servers`` the homeservers of
    partners that take part by federation; ``held`` is a legal hold on what was said; ``direct`` lets the people whom a
    Space's charter admits open direct rooms with each other. From ``frozen_from`` on the room can be read, and nothing
    is said in it any more.
    """

    key: str
    engagement: str
    kind: RoomKind
    name: str
    topic: str
    admits: tuple[Admission, ...]
    companies: tuple[str, ...]
    open: bool = True
    not_after: Instant | None = None
    history_visibility: str = "joined"
    recording: Recording = Recording.METADATA
    retention: str = "standard"
    room_version: str = "12"
    contact: str = ""
    accounts: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    held: bool = False
    direct: bool = False
    frozen_from: Instant | None = None


class Roster(Protocol):
    """The companies and people of the hub."""

    def company(self, company: str) -> CompanyRecord | None:
        """The company with this id."""
        ...

    def person(self, user_id: str) -> PersonRecord | None:
        """The person with this Matrix account."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRoster:
    """A roster in memory."""

    companies: Mapping[str, CompanyRecord]
    people: Mapping[str, PersonRecord]

    def company(self, company: str) -> CompanyRecord | None:
        """The company with this id."""
        return self.companies.get(company)

    def person(self, user_id: str) -> PersonRecord | None:
        """The person with this Matrix account."""
        return self.people.get(user_id)
