"""SQL of the ledger's timestamps, on an open connection; the caller owns the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.tables import ledger_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampRow:
    """A TSA's answer ``tsr`` over the bytes ``checkpoint``; ``at`` is the time that it says, in milliseconds."""

    size: int
    at: int
    tsr: bytes
    checkpoint: bytes


class TimestampStore:
    """Reads and writes timestamps; one for a size of the log."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    async def keep(self, row: TimestampRow) -> None:
        """Keep ``row``, unless there is one for that size: the older says more."""
        values = {"size": row.size, "at": row.at, "tsr": row.tsr, "checkpoint": row.checkpoint}
        await self._tx.execute(self._dialect.insert(ledger_timestamp).values(values).on_conflict_do_nothing())

    async def newest(self) -> TimestampRow | None:
        """The timestamp of the largest log."""
        statement = select(ledger_timestamp).order_by(ledger_timestamp.c.size.desc()).limit(1)
        row = (await self._tx.execute(statement)).one_or_none()
        return None if row is None else _timestamp(row)

    async def page(self, after: int, limit: int, up_to: int) -> Sequence[TimestampRow]:
        """Up to ``limit`` timestamps of sizes above ``after`` and at most ``up_to``, the smallest first."""
        where = (ledger_timestamp.c.size > after, ledger_timestamp.c.size <= up_to)
        statement = select(ledger_timestamp).where(*where).order_by(ledger_timestamp.c.size).limit(limit)
        return [_timestamp(row) for row in await self._tx.execute(statement)]


def _timestamp(row: Row) -> TimestampRow:  # type: ignore[type-arg]  # a row of select(ledger_timestamp)
    return TimestampRow(size=row.size, at=row.at, tsr=row.tsr, checkpoint=row.checkpoint)
