"""Which removal is looked at, what it is judged from, and what is known of it then. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.index import Scope

REMOVAL = "removal"
IDENTIFIER = re.compile(r"[a-z][a-z0-9-]{0,39}")
"""The id of a company or committee: no two of them look alike, and none looks like anything else."""

Entry = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Removal:
    """Which removal: of ``vendor`` from ``committee``, both by their ids; written as ``removal:COMMITTEE:VENDOR``."""

    committee: str
    vendor: str

    def __str__(self) -> str:
        return f"{REMOVAL}:{self.committee}:{self.vendor}"

    @classmethod
    def parse(cls, text: str) -> "Removal | None":
        """The removal that is written so; ``None`` where none is."""
        kind, *names = text.split(":")
        return cls(*names) if kind == REMOVAL and len(names) == 2 and all(map(IDENTIFIER.fullmatch, names)) else None


@dataclass(frozen=True, slots=True)
class Room:
    """A room: its ``scope``, and every entry of it, in order."""

    scope: Scope
    entries: Iterable[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """One of the vendor's people is out of the pitch room by this event, at ``ts`` by the homeserver's clock."""

    person: str
    event_id: str
    ts: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Leave):
    """Somebody came to the deliberation room or went; ``kind`` is that of the entry."""

    kind: str


@dataclass(slots=True, kw_only=True)
class RemovalReport:
    """What is known of a removal; all is as it should be where ``findings`` is empty.

    From ``shut_at`` on the vendor was refused in its room, by the guard, whether or not the hub was there; that was
    recorded at ``cleared_at``, as the entry ``cleared_entry``.
    ``sessions`` are the Megolm sessions of the pitch room before the last of the vendor's people left, each with the
    entry that it was first seen in; ``later`` counts the messages of both rooms after that. ``members`` are the people
    who were ever in the deliberation room, ``moves`` how they came and went. ``enrolled`` has person → (company,
    entry), ``history`` each entry that says who may read a room's history, ``shared`` whether all of the deliberation
    room is for those of its members who came late. It is true up to ``whole_until``, in milliseconds.
    """

    committee: str
    vendor: str
    buyer: str
    shut_at: int
    cleared_at: int
    cleared_entry: int
    pitch: Scope
    deliberation: Scope
    whole_until: int
    enrolled: Mapping[str, tuple[str, int]]
    leaves: list[Leave] = field(default_factory=list)
    sessions: dict[str, int] = field(default_factory=dict)
    later: int = 0
    members: list[str] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    history: list[tuple[Scope, int]] = field(default_factory=list)
    shared: bool = False
    findings: list[str] = field(default_factory=list)
