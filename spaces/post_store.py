"""SQL of the Spaces that the log's checkpoints go into, on an open connection; the caller owns the transaction."""

import json
from dataclasses import dataclass

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from spaces.model import EngagementStatus
from spaces.policy.checkpoints import CHECKPOINT, checkpoint_size
from spaces.policy.records import RoomKind
from spaces.tables import engagement, observed_state, room


@dataclass(frozen=True, slots=True, kw_only=True)
class PostPlace:
    """The Space of an open engagement, and the size of the checkpoint that was seen in it last.

    0 where none was, or one of a log that was closed since: its size says nothing of the log that follows.
    """

    room_id: str
    size: int


class PostStore:
    """Reads what the homeserver was seen to have."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def due(self, before: Millis, origin: str) -> list[PostPlace]:
        """The Spaces whose last checkpoint, or whose engagement where there is none, is not younger than ``before``.

        The sizes are those of checkpoints of the log ``origin``.
        """
        seen = and_(
            observed_state.c.room_id == room.c.room_id,
            observed_state.c.type == CHECKPOINT,
            observed_state.c.state_key == "",
        )
        where = (
            room.c.kind == RoomKind.SPACE.value,
            room.c.room_id.is_not(None),
            engagement.c.status == EngagementStatus.OPEN.value,
            func.coalesce(observed_state.c.at, engagement.c.opened_at) <= before,
        )
        statement = select(room.c.room_id, observed_state.c.content).join(
            engagement, engagement.c.id == room.c.engagement
        )
        rows = await self._tx.execute(statement.outerjoin(observed_state, seen).where(*where).order_by(room.c.room_id))
        return [PostPlace(room_id=row.room_id, size=_size(row.content, origin)) for row in rows]


def _size(content: str | None, origin: str) -> int:
    return 0 if content is None else checkpoint_size(json.loads(content), origin) or 0
