"""SQL of walls, on an open connection; the caller owns the transaction."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import and_, delete, insert, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from spaces.policy.walls import Wall
from spaces.tables import wall


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWall:
    """A wall with who put it up, and when."""

    wall: Wall
    added_at: Millis
    added_by: str


class WallStore:
    """Walls."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def lock(self) -> None:
        """Have nobody else add a wall or open an engagement until this transaction ends.

        Else an engagement and a wall across it could be committed side by side, each not seeing the other. SQLite has
        one writer at a time anyway.
        """
        if self._tx.dialect.name == "postgresql":
            await self._tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('conclave:walls', 0))"))

    async def add(self, item: StoredWall) -> None:
        """Store a new wall."""
        await self._tx.execute(
            insert(wall).values(
                first=item.wall.first,
                second=item.wall.second,
                reason=item.wall.reason,
                added_at=item.added_at,
                added_by=item.added_by,
            )
        )

    async def remove(self, item: Wall) -> None:
        """Take a wall down."""
        await self._tx.execute(delete(wall).where(wall.c.first == item.first, wall.c.second == item.second))

    async def get(self, first: str, second: str) -> StoredWall | None:
        """The wall between two companies, the smaller id first."""
        rows = await self._walls(and_(wall.c.first == first, wall.c.second == second), limit=1)
        return rows[0] if rows else None

    async def touching(self, companies: Collection[str]) -> list[Wall]:
        """Every wall that has one of ``companies`` on either side."""
        where = or_(wall.c.first.in_(companies), wall.c.second.in_(companies))
        return [found.wall for found in await self._walls(where)]

    async def page(self, *, after: tuple[str, str], limit: int) -> list[StoredWall]:
        """Up to ``limit`` walls in the order of their companies, from behind ``after`` on."""
        return await self._walls(tuple_(wall.c.first, wall.c.second) > after, limit=limit)

    async def _walls(self, where: object, limit: int | None = None) -> list[StoredWall]:
        statement = select(wall).where(where).order_by(wall.c.first, wall.c.second).limit(limit)  # type: ignore[arg-type]  # any condition
        return [
            StoredWall(
                wall=Wall(first=row.first, second=row.second, reason=row.reason),
                added_at=row.added_at,
                added_by=row.added_by,
            )
            for row in await self._tx.execute(statement)
        ]
