"""SQL of legal holds, on an open connection; the caller owns the transaction."""

from dataclasses import asdict, dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from partner_onboarding.tables import hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A legal hold on one ``partnership`` or one ``person``; it stands until it is lifted."""

    id: str
    partnership: str | None
    person: str | None
    reason: str
    placed_at: Millis
    placed_by: str
    lifted_at: Millis | None = None
    lifted_by: str | None = None


class HoldStore:
    """Holds; none is ever deleted."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, item: Hold) -> None:
        """Store a new hold."""
        await self._tx.execute(insert(hold).values(**asdict(item)))

    async def save(self, item: Hold) -> None:
        """Store what changed of a hold."""
        await self._tx.execute(update(hold).where(hold.c.id == item.id).values(**asdict(item)))

    async def get(self, hold_id: str) -> Hold | None:
        """One hold."""
        row = (await self._tx.execute(select(hold).where(hold.c.id == hold_id))).one_or_none()
        return None if row is None else Hold(**row._asdict())

    async def page(self, *, after: str, limit: int) -> list[Hold]:
        """Up to ``limit`` holds in the order of their ids, from behind ``after`` on."""
        statement = select(hold).where(hold.c.id > after).order_by(hold.c.id).limit(limit)
        return [Hold(**row._asdict()) for row in await self._tx.execute(statement)]

    async def covers(self, *, partnership: str | None = None, person: str | None = None) -> bool:
        """Whether a hold stands on the partnership, or on the person."""
        target = hold.c.person == person if partnership is None else hold.c.partnership == partnership
        return await self._tx.scalar(select(hold.c.id).where(target, hold.c.lifted_at.is_(None)).limit(1)) is not None
