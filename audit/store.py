"""SQL of the ledger, on an open connection; the caller owns the transaction."""

import json
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Row, func, not_, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.index import INDEX_KIND
from audit.tables import (
    inbox,
    ledger_cosigned,
    ledger_disclosure,
    ledger_entry,
    ledger_head,
    ledger_tile,
)
from audit.tree import EMPTY_ROOT, HASH_SIZE
from config.db import run


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """Where the log stands: its head, the time of its newest entry, what of it is signed, and its leader's number."""

    size: int
    root: bytes
    last_at: int
    signed_size: int
    checkpoint: bytes | None
    term: int = 0


class EntryRow(NamedTuple):
    """An entry at its place."""

    position: int
    kind: str
    at: int
    room: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignedRow:
    """The newest checkpoint that enough witnesses cosigned; ``at`` is since when, in milliseconds."""

    size: int
    at: int
    checkpoint: bytes


OF_INDEX = ledger_disclosure.c.position.in_(select(ledger_entry.c.position).where(ledger_entry.c.kind == INDEX_KIND))
_TILES_OF_JSON = """SELECT t.level, t.tile, t.hashes FROM json_each($1) AS j JOIN ledger_tile AS t
                    ON t.level = json_extract(j.value, '$[0]') AND t.tile = json_extract(j.value, '$[1]')"""
_TILES_OF_TEXT = """SELECT t.level, t.tile, t.hashes FROM json_array_elements($1::text::json) AS j
                    JOIN ledger_tile AS t ON t.level = (j->>0)::int AND t.tile = (j->>1)::bigint"""
"""For PostgreSQL. An array would have the driver ask for its type first, at 7 ms in each new connection."""
_COVERED = """SELECT e.position, e.kind, e.at, e.room, e.body, c.size, c.checkpoint, h.signed_size, h.checkpoint
              FROM ledger_entry AS e JOIN ledger_head AS h ON h.id = 1 LEFT JOIN ledger_cosigned AS c ON c.id = 1
              WHERE e.position = $1 AND h.checkpoint IS NOT NULL"""
PAGE = 1_000
EMPTY_HEAD = LedgerHead(size=0, root=EMPTY_ROOT, last_at=0, signed_size=0, checkpoint=None)


class LedgerStore:
    """Reads and writes the ledger's tables."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    async def head(self) -> LedgerHead:
        """Where the log stands."""
        row = (await self._tx.execute(select(ledger_head).where(ledger_head.c.id == 1))).one_or_none()
        if row is None:
            return EMPTY_HEAD
        return LedgerHead(
            size=row.size,
            root=row.root,
            last_at=row.last_at,
            signed_size=row.signed_size,
            checkpoint=row.checkpoint,
            term=row.term,
        )

    async def cosigned(self) -> CosignedRow | None:
        """The newest checkpoint that enough witnesses cosigned."""
        row = (await self._tx.execute(select(ledger_cosigned).where(ledger_cosigned.c.id == 1))).one_or_none()
        return None if row is None else CosignedRow(size=row.size, at=row.at, checkpoint=row.checkpoint)

    async def set_cosigned(self, row: CosignedRow) -> None:
        """Keep ``row``, unless a newer one is kept already."""
        statement = self._dialect.insert(ledger_cosigned).values(
            id=1, size=row.size, at=row.at, checkpoint=row.checkpoint
        )
        fresh = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=["id"],
            set_={"size": fresh.size, "at": fresh.at, "checkpoint": fresh.checkpoint},
            where=tuple_(ledger_cosigned.c.size, ledger_cosigned.c.at) < tuple_(fresh.size, fresh.at),
        )
        await self._tx.execute(statement)

    async def backlog(self) -> tuple[int, int | None]:
        """How many entries wait, and since when the oldest of them does."""
        row = (await self._tx.execute(select(func.count(), func.min(inbox.c.at)).select_from(inbox))).one()
        return int(row[0]), row[1]

    async def waiting(self, *kinds: str) -> list[str]:
        """The bodies of the entries of these kinds that wait for their place, in order."""
        marks = [inbox.c.body.contains(f'"kind":"{kind}"', autoescape=True) for kind in kinds]
        rows = await self._tx.scalars(select(inbox.c.body).where(or_(*marks)).order_by(inbox.c.id))
        return [body for body in rows if json.loads(body)["kind"] in kinds]

    async def tile(self, level: int, tile: int) -> list[bytes]:
        """The hashes of one tile; empty when there is none."""
        where = (ledger_tile.c.level == level, ledger_tile.c.tile == tile)
        return _hashes(await self._tx.scalar(select(ledger_tile.c.hashes).where(*where)) or b"")

    async def tiles(self, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """The hashes, one behind the other, of each of the ``wanted`` (level, tile) that there is."""
        statement = _TILES_OF_TEXT if self._dialect is postgresql else _TILES_OF_JSON
        rows = await run(self._tx, statement, json.dumps(list(wanted)))
        return {(level, tile): hashes for level, tile, hashes in rows}

    async def tile_row(self, level: int, start: int, end: int) -> list[bytes]:
        """The hashes of the tiles ``start … end - 1`` of a level."""
        where = (ledger_tile.c.level == level, ledger_tile.c.tile >= start, ledger_tile.c.tile < end)
        return list(await self._tx.scalars(select(ledger_tile.c.hashes).where(*where).order_by(ledger_tile.c.tile)))

    async def disclosures(self, before: int) -> AsyncIterator[Sequence[tuple[int, str]]]:
        """Every disclosure of entries before position ``before``: (position, disclosure), in order, some at a time.

        Not those of indexes, which disclose nothing of anybody.
        """
        columns, after = (ledger_disclosure.c.position, ledger_disclosure.c.disclosure), (-1, "")
        where = (ledger_disclosure.c.position < before, not_(OF_INDEX))
        own = select(*columns).where(*where).order_by(*columns).limit(PAGE)
        while True:
            rows = [(at, text) for at, text in await self._tx.execute(own.where(tuple_(*columns) > tuple_(*after)))]
            if rows:
                yield rows
                after = rows[-1]
            if len(rows) < PAGE:
                return

    async def slice(self, start: int, end: int) -> list[tuple[str, bytes]]:
        """Kind and bytes of the entries ``start … end - 1``."""
        where = (ledger_entry.c.position >= start, ledger_entry.c.position < end)
        columns = (ledger_entry.c.kind, ledger_entry.c.body)
        rows = await self._tx.execute(select(*columns).where(*where).order_by(ledger_entry.c.position))
        return [(kind, body) for kind, body in rows]

    async def bodies(self, start: int, end: int) -> list[bytes]:
        """The bytes of the entries ``start … end - 1``."""
        where = (ledger_entry.c.position >= start, ledger_entry.c.position < end)
        rows = await self._tx.scalars(select(ledger_entry.c.body).where(*where).order_by(ledger_entry.c.position))
        return list(rows)

    async def entry(self, position: int) -> EntryRow | None:
        """The entry at ``position``."""
        row = (await self._tx.execute(select(ledger_entry).where(ledger_entry.c.position == position))).one_or_none()
        return None if row is None else entry_row(row)

    async def of_kinds(self, kinds: Collection[str], before: int) -> list[EntryRow]:
        """The entries of ``kinds`` before position ``before``, in order; for kinds of which there are few."""
        where = (ledger_entry.c.kind.in_(kinds), ledger_entry.c.position < before)
        rows = await self._tx.execute(select(ledger_entry).where(*where).order_by(ledger_entry.c.position))
        return [entry_row(row) for row in rows]

    async def of_rooms(self, rooms: Collection[str], kinds: Collection[str]) -> list[EntryRow]:
        """The entries of ``kinds`` in these rooms, by their Matrix ids, in order."""
        where = (ledger_entry.c.room.in_(rooms), ledger_entry.c.kind.in_(kinds))
        rows = await self._tx.execute(select(ledger_entry).where(*where).order_by(ledger_entry.c.position))
        return [entry_row(row) for row in rows]

    async def covered(self, position: int) -> tuple[EntryRow, list[tuple[int, bytes]]] | None:
        """The entry at ``position``, and size and note of each checkpoint that covers it, the one to prefer first.

        That is the newest one that witnesses cosigned; then comes the newest signed one. ``None`` without an entry or a
        checkpoint.
        """
        row = (await run(self._tx, _COVERED, position)).one_or_none()
        if row is None:
            return None
        notes = [(size, note) for size, note in (row[5:7], row[7:9]) if size is not None and position < size]
        return EntryRow._make(row[:5]), notes

    async def page(self, *, start: int, limit: int, kind: str | None, room: str | None) -> list[EntryRow]:
        """Up to ``limit`` entries from ``start`` on, oldest first, of one kind or room where asked."""
        statement = select(ledger_entry).where(ledger_entry.c.position >= start)
        if kind is not None:
            statement = statement.where(ledger_entry.c.kind == kind)
        if room is not None:
            statement = statement.where(ledger_entry.c.room == room)
        rows = await self._tx.execute(statement.order_by(ledger_entry.c.position).limit(limit))
        return [entry_row(row) for row in rows]


def _hashes(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def entry_row(row: Row) -> EntryRow:  # type: ignore[type-arg]  # a row of select(ledger_entry)
    """An entry."""
    return EntryRow._make(row)
