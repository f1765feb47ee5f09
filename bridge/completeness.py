"""Whether the ledger tells of a room what the homeserver has of it: event by event, by id."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from audit.store import EntryRow
from bridge.matrix import Timeline

PAGE = 500
FEED = "homeserver"
MALFORMED = "event.malformed"
REFUSED = "event.refused"
"""An event of another server that the homeserver keeps from everybody: in the ledger, and in no timeline."""


class Entries(Protocol):
    """Where the ledger's entries come from."""

    async def page(self, *, start: int, limit: int, kind: str | None, room: str | None) -> list[EntryRow]:
        """Up to ``limit`` entries of ``room`` from position ``start`` on, the oldest first."""
        ...


class Timelines(Protocol):
    """Where the homeserver's own events come from."""

    async def timeline(self, room_id: str, start: str | None) -> Timeline:
        """A page of a room's events, the newest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """A room's events on both sides, and each difference by event id.

    ``unrecorded`` the homeserver has and the ledger does not, ``unknown`` the other way round; ``repeated`` stand in
    the ledger more than once.
    """

    events: int
    unrecorded: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether both sides agree."""
        return not (self.unrecorded or self.unknown or self.repeated)


async def compare(room_id: str, timelines: Timelines, audit: Entries, former: Sequence[EntryRow] = ()) -> Completeness:
    """Compare the whole life of a room; ``former`` are its entries in logs that were closed.

    The homeserver is asked first and once more for what is new, so that an event that comes meanwhile is no
    difference; one that is under way in a transaction may be named, and is not the second time.

    Raises:
        HomeserverError: The homeserver does not answer, or does not show the room.
    """
    there = await _happened(room_id, timelines)
    recorded = await _recorded(room_id, audit)
    recorded.update(event_id for row in former if (event_id := _event_of(row)) is not None)
    known = set(there)
    if late := set(recorded) - known:
        known |= late & set(await _happened(room_id, timelines))
    return Completeness(
        events=len(there),
        unrecorded=tuple(event_id for event_id in there if event_id not in recorded),
        unknown=tuple(event_id for event_id in recorded if event_id not in known),
        repeated=tuple(event_id for event_id, count in recorded.items() if count > 1),
    )


async def position_of(event_id: str, room_id: str, audit: Entries) -> int | None:
    """The number of the entry that records the event ``event_id`` of the room, if one does."""
    position = 0
    while True:
        rows = await audit.page(start=position, limit=PAGE, kind=None, room=room_id)
        if (found := record_of(event_id, rows)) is not None:
            return found.position
        if len(rows) < PAGE:
            return None
        position = rows[-1].position + 1


def record_of(event_id: str, rows: Sequence[EntryRow]) -> EntryRow | None:
    """The first of ``rows`` that records the event ``event_id``."""
    needle = json.dumps(event_id, ensure_ascii=False).encode()
    return next((row for row in rows if needle in row.body and _event_of(row) == event_id), None)


def _event_of(row: EntryRow) -> str | None:
    """The event that an entry records; ``None`` where it only speaks of one."""
    entry = json.loads(row.body)
    delivered = entry["source"] == FEED and row.kind != REFUSED
    event_id = entry["data"].get("event_id")
    return event_id if isinstance(event_id, str) and (delivered or row.kind == MALFORMED) else None


async def _happened(room_id: str, timelines: Timelines) -> list[str]:
    """The ids of the room's events, the oldest first."""
    found: list[str] = []
    start = None
    while True:
        page = await timelines.timeline(room_id, start)
        found += [str(event.get("event_id")) for event in page.events]
        if page.end is None or not page.events:
            return found[::-1]
        start = page.end


async def _recorded(room_id: str, audit: Entries) -> Counter[str]:
    """How often each event of the room stands in the ledger."""
    found: Counter[str] = Counter()
    position = 0
    while True:
        rows = await audit.page(start=position, limit=PAGE, kind=None, room=room_id)
        for row in rows:
            if (event_id := _event_of(row)) is not None:
                found[event_id] += 1
        if len(rows) < PAGE:
            return found
        position = rows[-1].position + 1
