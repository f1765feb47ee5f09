"""SQL of the log's indexes, and of parts of the log, on an open connection; the caller owns the transaction."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.store import OF_INDEX, EntryRow, entry_row
from audit.tables import ledger_counter, ledger_disclosure, ledger_entry, ledger_index

_SHOWN = (ledger_disclosure.c.position, ledger_disclosure.c.disclosure)


class IndexStore:
    """What indexes are made of and leave behind, and what trails are."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def counts(self, scopes: Sequence[str]) -> list[tuple[str, str, int]]:
        """Every (scope, key, last number) of ``scopes``."""
        rows = await self._tx.execute(select(ledger_counter).where(ledger_counter.c.scope.in_(scopes)))
        return [(row.scope, row.key, row.value) for row in rows]

    async def keep_index(self, position: int, counts: str, keep: int) -> None:
        """Keep what the index at ``position`` was made of, and that of ``keep`` indexes in all."""
        await self._tx.execute(insert(ledger_index).values(position=position, counts=counts))
        newest = select(ledger_index.c.position).order_by(ledger_index.c.position.desc()).limit(keep)
        await self._tx.execute(delete(ledger_index).where(ledger_index.c.position.not_in(newest.scalar_subquery())))

    async def index(self, after: int) -> tuple[int, str] | None:
        """Position and counts of the first index behind position ``after`` of which they are kept."""
        first = select(ledger_index).where(ledger_index.c.position > after).order_by(ledger_index.c.position).limit(1)
        row = (await self._tx.execute(first)).one_or_none()
        return None if row is None else (row.position, row.counts)

    async def newest(self, kind: str) -> EntryRow | None:
        """The newest entry of ``kind``."""
        newest = select(ledger_entry).where(ledger_entry.c.kind == kind).order_by(ledger_entry.c.position.desc())
        row = (await self._tx.execute(newest.limit(1))).one_or_none()
        return None if row is None else entry_row(row)

    async def in_rooms(self, start: int, end: int, limit: int) -> list[EntryRow]:
        """Up to ``limit`` entries of any room among the positions ``start … end - 1``, oldest first."""
        where = (ledger_entry.c.position >= start, ledger_entry.c.position < end, ledger_entry.c.room.is_not(None))
        rows = select(ledger_entry).where(*where).order_by(ledger_entry.c.position).limit(limit)
        return [entry_row(row) for row in await self._tx.execute(rows)]

    async def add_disclosure(self, position: int, digest: str, disclosure: str) -> None:
        """Keep a disclosure of the entry at ``position``."""
        row = {"digest": digest, "disclosure": disclosure, "position": position}
        await self._tx.execute(insert(ledger_disclosure).values(row))

    async def disclosures_of(self, positions: Sequence[int]) -> list[tuple[int, str]]:
        """Every disclosure of the entries at ``positions``, up to 1,000, as (position, disclosure), in order."""
        statement = select(*_SHOWN).where(ledger_disclosure.c.position.in_(positions)).order_by(*_SHOWN)
        return [(position, disclosure) for position, disclosure in await self._tx.execute(statement)]

    async def seeds(self, before: int) -> list[tuple[int, str]]:
        """The disclosures of the seeds of index entries before position ``before``, as (position, disclosure)."""
        statement = select(*_SHOWN).where(ledger_disclosure.c.position < before, OF_INDEX).order_by(_SHOWN[0])
        return [(position, disclosure) for position, disclosure in await self._tx.execute(statement)]
