"""SQL of logs that were closed after a restore; the caller owns the transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Table, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.store import OF_INDEX, EntryRow, LedgerHead
from audit.tables import (
    inbox,
    inbox_source,
    ledger_disclosure,
    ledger_entry,
    ledger_former,
    ledger_former_disclosure,
    ledger_former_entry,
    ledger_head,
)
from audit.tree import EMPTY_ROOT
from config.db import metadata

_KEPT = {ledger_head, ledger_disclosure, ledger_former, ledger_former_entry, ledger_former_disclosure}


def _of_one_log(table: Table) -> bool:
    """Whether the rows of ``table`` say something of one log alone: whoever adds a table ``ledger_…`` says it here."""
    return table.name.startswith("ledger_") and table not in _KEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerLog:
    """A log that was closed: how many signed entries of it there are, its last checkpoint, and what followed it."""

    number: int
    origin: str
    size: int
    checkpoint: bytes | None
    succession: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingEntry:
    """An entry that waits for its place, without the numbers of a log."""

    at: int
    source: str
    body: str


class FormerStore:
    """Reads and writes closed logs."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def logs(self) -> list[FormerLog]:
        """Every closed log, the oldest first."""
        rows = await self._tx.execute(select(ledger_former).order_by(ledger_former.c.number))
        return [
            FormerLog(
                number=row.number,
                origin=row.origin,
                size=row.size,
                checkpoint=row.checkpoint,
                succession=row.succession,
            )
            for row in rows
        ]

    async def close(self, origin: str, head: LedgerHead, succession: bytes) -> None:
        """Put the signed part of the log away, and leave the ledger's tables as those of a log without entries.

        What is not signed and what waits is gone afterwards: the caller has read it.
        """
        number = 1 + int(await self._tx.scalar(select(func.coalesce(func.max(ledger_former.c.number), 0))) or 0)
        size = head.signed_size
        values = {"number": number, "origin": origin, "size": size}
        await self._tx.execute(
            insert(ledger_former).values(**values, checkpoint=head.checkpoint, succession=succession)
        )
        entries = [column.name for column in ledger_entry.c]
        await self._tx.execute(
            insert(ledger_former_entry).from_select(
                ["number", *entries],
                select(literal(number), *ledger_entry.c).where(ledger_entry.c.position < size),
            )
        )
        shown = ledger_disclosure.c
        await self._tx.execute(
            insert(ledger_former_disclosure).from_select(
                ["digest", "number", "position", "disclosure"],
                select(shown.digest, literal(number), shown.position, shown.disclosure).where(shown.position < size),
            )
        )
        await self._tx.execute(delete(ledger_disclosure).where(shown.position < size))
        await self._tx.execute(delete(ledger_disclosure).where(OF_INDEX))  # its entry does not come again
        await self._tx.execute(update(ledger_disclosure).values(position=None))
        for table in (inbox, inbox_source, *(one for one in metadata.sorted_tables if _of_one_log(one))):
            await self._tx.execute(delete(table))
        empty = {"size": 0, "root": EMPTY_ROOT, "last_at": 0, "signed_size": 0, "checkpoint": None}
        await self._tx.execute(update(ledger_head).values(empty))

    async def waiting(self) -> list[WaitingEntry]:
        """What waits for its place, in order."""
        rows = await self._tx.execute(select(inbox).order_by(inbox.c.id))
        return [WaitingEntry(at=row.at, source=row.source, body=row.body) for row in rows]

    async def put(self, entries: Sequence[WaitingEntry]) -> None:
        """Leave ``entries``, in order, in an empty inbox; each source's numbers begin with 1."""
        counts: Counter[str] = Counter()
        rows = []
        for entry in entries:
            counts[entry.source] += 1
            number = counts[entry.source]
            rows.append({"at": entry.at, "source": entry.source, "source_seq": number, "body": entry.body})
        await self._tx.execute(insert(inbox), rows)
        await self._tx.execute(insert(inbox_source), [{"source": name, "seq": count} for name, count in counts.items()])

    async def bodies(self, number: int, start: int, end: int) -> list[bytes]:
        """The bytes of the entries ``start … end - 1`` of a closed log."""
        entry = ledger_former_entry.c
        where = (entry.number == number, entry.position >= start, entry.position < end)
        return list(await self._tx.scalars(select(entry.body).where(*where).order_by(entry.position)))

    async def disclosures(self, number: int) -> list[tuple[int, str]]:
        """Every disclosure of a closed log's entries, as (position, disclosure), in order."""
        shown = ledger_former_disclosure.c
        statement = select(shown.position, shown.disclosure).where(shown.number == number)
        rows = await self._tx.execute(statement.order_by(shown.position, shown.disclosure))
        return [(row.position, row.disclosure) for row in rows]

    async def of_room(self, room: str) -> list[EntryRow]:
        """The entries of one room in closed logs, the oldest first; ``position`` is that in their own log."""
        entry = ledger_former_entry.c
        columns = (entry.position, entry.kind, entry.at, entry.room, entry.body)
        rows = await self._tx.execute(select(*columns).where(entry.room == room).order_by(entry.number, entry.position))
        return [EntryRow(position=row.position, kind=row.kind, at=row.at, room=row.room, body=row.body) for row in rows]
