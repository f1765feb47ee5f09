"""SQL of open drift: what was found and is not over, on an open connection."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from spaces.drift import Drift
from spaces.tables import drift


class DriftStore:
    """Drift that is open: one row for a piece of a room."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    async def open(self, item: Drift) -> None:
        """Note drift; newer drift of the same piece takes the place of older."""
        row = {
            "room": item.room,
            "type": item.type,
            "state_key": item.state_key,
            "event_id": item.event_id,
            "found_at": item.found_at,
        }
        statement = self._dialect.insert(drift).values(row)
        changes = {name: statement.excluded[name] for name in ("event_id", "found_at")}
        await self._tx.execute(
            statement.on_conflict_do_update(index_elements=["room", "type", "state_key"], set_=changes)
        )

    async def close(self, item: Drift) -> None:
        """Note that it is over."""
        columns = drift.c
        where = (columns.room == item.room, columns.type == item.type, columns.state_key == item.state_key)
        await self._tx.execute(delete(drift).where(*where))

    async def of_room(self, room: str) -> Sequence[Drift]:
        """What is open in a room, the oldest first."""
        statement = select(drift).where(drift.c.room == room).order_by(drift.c.found_at, drift.c.state_key)
        return [Drift(**row._asdict()) for row in await self._tx.execute(statement)]
