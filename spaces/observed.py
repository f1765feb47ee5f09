"""What the homeserver was seen to have: the mirror of memberships and state that the feed keeps."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from spaces.model import MEMBER, ObservedRoom, Origin
from spaces.tables import feed_event, feed_transaction, observed_member, observed_state


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEvent:
    """A state event that the feed delivered."""

    room_id: str
    type: str
    state_key: str
    event_id: str
    content: Mapping[str, Any]
    sender: str = ""
    at: Millis = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEvent:
    """A membership that the feed delivered."""

    room_id: str
    user_id: str
    membership: str
    event_id: str
    sender: str = ""
    at: Millis = 0


class ObservedStore:
    """Reads and writes the mirror, on an open connection."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    async def take_transaction(self, source: str, transaction_id: str, now: Millis) -> bool:
        """Note a transaction; false when it was here before."""
        statement = (
            self._dialect.insert(feed_transaction)
            .values(source=source, transaction_id=transaction_id, at=now)
            .on_conflict_do_nothing()
        )
        return (await self._tx.execute(statement)).rowcount == 1

    async def forget_transactions(self, before: Millis) -> None:
        """Drop the notes of transactions older than ``before``; their events are still known by id."""
        await self._tx.execute(delete(feed_transaction).where(feed_transaction.c.at < before))

    async def known_events(self, event_ids: Sequence[str]) -> set[str]:
        """Those of ``event_ids`` that were here before."""
        found: set[str] = set()
        for at in range(0, len(event_ids), 500):
            part = event_ids[at : at + 500]
            found.update(await self._tx.scalars(select(feed_event.c.event_id).where(feed_event.c.event_id.in_(part))))
        return found

    async def room_of_event(self, event_id: str) -> str | None:
        """The room of an event that was here."""
        return await self._tx.scalar(select(feed_event.c.room_id).where(feed_event.c.event_id == event_id))

    async def take_events(self, events: Sequence[tuple[str, str]]) -> None:
        """Note events as (event id, room id)."""
        if events:
            rows = [{"event_id": event_id, "room_id": room_id} for event_id, room_id in events]
            await self._tx.execute(self._dialect.insert(feed_event).on_conflict_do_nothing(), rows)

    async def memberships(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The membership of each (room id, user id) that is known."""
        if not pairs:
            return {}
        rooms, users = {room for room, _ in pairs}, {user for _, user in pairs}
        columns = observed_member.c
        rows = await self._tx.execute(
            select(observed_member).where(columns.room_id.in_(rooms), columns.user_id.in_(users))
        )
        return {(row.room_id, row.user_id): row.membership for row in rows}

    async def set_members(self, events: Sequence[MemberEvent]) -> None:
        """Store memberships; of two for one (room, user) the later in ``events`` wins."""
        if not events:
            return
        latest = {(item.room_id, item.user_id): asdict(item) for item in events}
        statement = self._dialect.insert(observed_member)
        changes = {name: statement.excluded[name] for name in ("membership", "event_id", "sender", "at")}
        await self._tx.execute(
            statement.on_conflict_do_update(index_elements=["room_id", "user_id"], set_=changes), list(latest.values())
        )

    async def set_state(self, events: Sequence[StateEvent]) -> None:
        """Store state; of two events for one (room, type, state key) the later in ``events`` wins."""
        if not events:
            return
        latest = {(item.room_id, item.type, item.state_key): item for item in events}
        statement = self._dialect.insert(observed_state)
        changes = {name: statement.excluded[name] for name in ("event_id", "content", "sender", "at")}
        rows = [{**asdict(item), "content": json.dumps(item.content)} for item in latest.values()]
        await self._tx.execute(
            statement.on_conflict_do_update(index_elements=["room_id", "type", "state_key"], set_=changes), rows
        )

    async def room(self, room_id: str) -> ObservedRoom:
        """Everything seen of one room."""
        return (await self.rooms([room_id]))[room_id]

    async def rooms(self, room_ids: Sequence[str]) -> dict[str, ObservedRoom]:
        """Everything seen of these rooms, by id; nothing is seen of a room that does not exist."""
        state: dict[str, dict[tuple[str, str], Any]] = {room_id: {} for room_id in room_ids}
        members: dict[str, dict[str, str]] = {room_id: {} for room_id in room_ids}
        origins: dict[str, dict[tuple[str, str], Origin]] = {room_id: {} for room_id in room_ids}
        states = await self._tx.execute(select(observed_state).where(observed_state.c.room_id.in_(room_ids)))
        for row in states:
            state[row.room_id][row.type, row.state_key] = json.loads(row.content)
            origins[row.room_id][row.type, row.state_key] = _origin(row)
        seen = await self._tx.execute(select(observed_member).where(observed_member.c.room_id.in_(room_ids)))
        for row in seen:
            members[row.room_id][row.user_id] = row.membership
            origins[row.room_id][MEMBER, row.user_id] = _origin(row)
        return {
            room_id: ObservedRoom(state=state[room_id], members=members[room_id], origins=origins[room_id])
            for room_id in room_ids
        }

    async def joined(self, room_id: str) -> list[str]:
        """Who is in the room, in order."""
        where = (observed_member.c.room_id == room_id, observed_member.c.membership == "join")
        return list(
            await self._tx.scalars(select(observed_member.c.user_id).where(*where).order_by(observed_member.c.user_id))
        )


def _origin(row: Row[Any]) -> Origin:
    return Origin(event_id=row.event_id, sender=row.sender, at=row.at)
