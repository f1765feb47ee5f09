"""SQL of logs that were closed after a restore; the caller owns the transaction."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.index import INDEX_KIND
from audit.store import OF_INDEX, EntryRow, LedgerHead
from audit.tables import (
    inbox,
    inbox_source,
    ledger_cosigned,
    ledger_counter,
    ledger_disclosure,
    ledger_entry,
    ledger_former,
    ledger_former_disclosure,
    ledger_former_entry,
    ledger_former_timestamp,
    ledger_head,
    ledger_index,
    ledger_tile,
    ledger_timestamp,
)
from audit.timestamp_store import TimestampRow
from audit.tree import EMPTY_ROOT

CLEARED = (ledger_entry, ledger_tile, ledger_counter, ledger_index, ledger_cosigned, ledger_timestamp)
"""Their rows say something of one log alone, and are gone when it is closed; what has to be kept was put away.

Whoever adds a table ``ledger_…`` names it here, or in the test of this list as one that stays.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerLog:
    """A log that was closed: how many signed entries of it there are, its last checkpoint, and what followed it.

    ``cosigned`` is its newest checkpoint that enough witnesses cosigned, where it had any.
    """

    number: int
    origin: str
    size: int
    checkpoint: bytes | None
    succession: bytes
    cosigned: bytes | None


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
                cosigned=row.cosigned,
            )
            for row in rows
        ]

    async def close(self, origin: str, head: LedgerHead, succession: bytes) -> None:
        """Put the signed part of the log away, and leave the ledger's tables as those of a log without entries.

        Cosignatures and timestamps go with it, for they are others' word on that part. What is not signed and what
        waits is gone afterwards: the caller has read it. Whoever led the log does not lead any more.
        """
        number = 1 + int(await self._tx.scalar(select(func.coalesce(func.max(ledger_former.c.number), 0))) or 0)
        size = head.signed_size
        values = {"number": number, "origin": origin, "size": size, "checkpoint": head.checkpoint}
        cosigned = await self._tx.scalar(select(ledger_cosigned.c.checkpoint).where(ledger_cosigned.c.size <= size))
        await self._tx.execute(insert(ledger_former).values(**values, succession=succession, cosigned=cosigned))
        await self._put_away(number, size)
        await self._tx.execute(delete(ledger_disclosure).where(ledger_disclosure.c.position < size))
        await self._tx.execute(delete(ledger_disclosure).where(OF_INDEX))  # its entry does not come again
        await self._tx.execute(update(ledger_disclosure).values(position=None))
        for table in (inbox, inbox_source, *CLEARED):
            await self._tx.execute(delete(table))
        empty = {"size": 0, "root": EMPTY_ROOT, "last_at": 0, "signed_size": 0, "checkpoint": None}
        await self._tx.execute(update(ledger_head).values(**empty, term=ledger_head.c.term + 1))

    async def _put_away(self, number: int, size: int) -> None:
        """Copy what there is of the log's first ``size`` entries."""
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
        stamps = [column.name for column in ledger_timestamp.c]
        await self._tx.execute(
            insert(ledger_former_timestamp).from_select(
                ["number", *stamps],
                select(literal(number), *ledger_timestamp.c).where(ledger_timestamp.c.size <= size),
            )
        )

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

    async def disclosures(self, number: int, *, of_indexes: bool) -> list[tuple[int, str]]:
        """The disclosures of a closed log's index entries, or of all others, as (position, disclosure), in order."""
        shown, entry = ledger_former_disclosure.c, ledger_former_entry.c
        kind = entry.kind == INDEX_KIND if of_indexes else entry.kind != INDEX_KIND
        statement = (
            select(shown.position, shown.disclosure)
            .join(ledger_former_entry, and_(entry.number == shown.number, entry.position == shown.position))
            .where(shown.number == number, kind)
        )
        rows = await self._tx.execute(statement.order_by(shown.position, shown.disclosure))
        return [(row.position, row.disclosure) for row in rows]

    async def of_kinds(self, number: int, kinds: Collection[str]) -> list[tuple[int, bytes]]:
        """Position and bytes of a closed log's entries of ``kinds``, in order."""
        entry = ledger_former_entry.c
        where = (entry.number == number, entry.kind.in_(kinds))
        rows = await self._tx.execute(select(entry.position, entry.body).where(*where).order_by(entry.position))
        return [(row.position, row.body) for row in rows]

    async def timestamps(self, number: int) -> list[TimestampRow]:
        """The timestamps of a closed log, the smallest first."""
        stamp = ledger_former_timestamp.c
        statement = select(ledger_former_timestamp).where(stamp.number == number).order_by(stamp.size)
        return [
            TimestampRow(size=row.size, at=row.at, tsr=row.tsr, checkpoint=row.checkpoint)
            for row in await self._tx.execute(statement)
        ]

    async def of_room(self, room: str) -> list[EntryRow]:
        """The entries of one room in closed logs, the oldest first; ``position`` is that in their own log."""
        entry = ledger_former_entry.c
        columns = (entry.position, entry.kind, entry.at, entry.room, entry.body)
        rows = await self._tx.execute(select(*columns).where(entry.room == room).order_by(entry.number, entry.position))
        return [EntryRow(position=row.position, kind=row.kind, at=row.at, room=row.room, body=row.body) for row in rows]
