"""SQL of the ledger, on an open connection; the caller owns the transaction."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Row, delete, func, insert, not_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.tables import (
    inbox,
    ledger_cosigned,
    ledger_counter,
    ledger_disclosure,
    ledger_entry,
    ledger_head,
    ledger_index,
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


_of_index = ledger_disclosure.c.position.in_(
    select(ledger_entry.c.position).where(ledger_entry.c.kind == "index.published")
)
_TILES_OF_JSON = """SELECT t.level, t.tile, t.hashes FROM json_each($1) AS j JOIN ledger_tile AS t
                    ON t.level = json_extract(j.value, '$[0]') AND t.tile = json_extract(j.value, '$[1]')"""
_TILES_OF_ARRAYS = """SELECT t.level, t.tile, t.hashes FROM unnest($1::int[], $2::bigint[]) AS j (level, tile)
                      JOIN ledger_tile AS t USING (level, tile)"""
_COVERED = """SELECT e.position, e.kind, e.at, e.room, e.body,
                     CASE WHEN c.size > $1 THEN c.size ELSE h.signed_size END,
                     CASE WHEN c.size > $1 THEN c.checkpoint ELSE h.checkpoint END
              FROM ledger_entry AS e JOIN ledger_head AS h ON h.id = 1 LEFT JOIN ledger_cosigned AS c ON c.id = 1
              WHERE e.position = $1 AND h.checkpoint IS NOT NULL"""
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

    async def tile(self, level: int, tile: int) -> list[bytes]:
        """The hashes of one tile; empty when there is none."""
        where = (ledger_tile.c.level == level, ledger_tile.c.tile == tile)
        return _hashes(await self._tx.scalar(select(ledger_tile.c.hashes).where(*where)) or b"")

    async def tiles(self, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], list[bytes]]:
        """The hashes of each of the ``wanted`` (level, tile) that there is."""
        keys = list(wanted)
        if self._dialect is postgresql:
            rows = await run(self._tx, _TILES_OF_ARRAYS, [level for level, _ in keys], [tile for _, tile in keys])
        else:
            rows = await run(self._tx, _TILES_OF_JSON, json.dumps(keys))
        return {(level, tile): _hashes(hashes) for level, tile, hashes in rows}

    async def add_disclosure(self, position: int, digest: str, disclosure: str) -> None:
        """Keep a disclosure of the entry at ``position``."""
        row = {"digest": digest, "disclosure": disclosure, "position": position}
        await self._tx.execute(insert(ledger_disclosure).values(row))

    async def disclosures(self, before: int) -> list[tuple[int, str]]:
        """Every disclosure of entries before position ``before``, as (position, disclosure), in order; no seeds."""
        columns = (ledger_disclosure.c.position, ledger_disclosure.c.disclosure)
        statement = select(*columns).where(ledger_disclosure.c.position < before, not_(_of_index)).order_by(*columns)
        return [(row.position, row.disclosure) for row in await self._tx.execute(statement)]

    async def disclosures_of(self, positions: Sequence[int]) -> list[tuple[int, str]]:
        """Every disclosure of the entries at ``positions``, up to 1,000, as (position, disclosure), in order."""
        columns = (ledger_disclosure.c.position, ledger_disclosure.c.disclosure)
        statement = select(*columns).where(ledger_disclosure.c.position.in_(positions)).order_by(*columns)
        return [(row.position, row.disclosure) for row in await self._tx.execute(statement)]

    async def seeds(self, before: int) -> list[tuple[int, str]]:
        """The disclosures of the seeds of index entries before position ``before``, as (position, disclosure)."""
        columns = (ledger_disclosure.c.position, ledger_disclosure.c.disclosure)
        statement = select(*columns).where(ledger_disclosure.c.position < before, _of_index).order_by(columns[0])
        return [(row.position, row.disclosure) for row in await self._tx.execute(statement)]

    async def bodies(self, start: int, end: int) -> list[bytes]:
        """The bytes of the entries ``start … end - 1``."""
        where = (ledger_entry.c.position >= start, ledger_entry.c.position < end)
        rows = await self._tx.scalars(select(ledger_entry.c.body).where(*where).order_by(ledger_entry.c.position))
        return list(rows)

    async def entry(self, position: int) -> EntryRow | None:
        """The entry at ``position``."""
        row = (await self._tx.execute(select(ledger_entry).where(ledger_entry.c.position == position))).one_or_none()
        return None if row is None else _entry(row)

    async def newest(self, kind: str) -> EntryRow | None:
        """The newest entry of ``kind``."""
        newest = select(ledger_entry).where(ledger_entry.c.kind == kind).order_by(ledger_entry.c.position.desc())
        row = (await self._tx.execute(newest.limit(1))).one_or_none()
        return None if row is None else _entry(row)

    async def in_rooms(self, start: int, end: int, limit: int) -> list[EntryRow]:
        """Up to ``limit`` entries of any room among the positions ``start … end - 1``, oldest first."""
        where = (ledger_entry.c.position >= start, ledger_entry.c.position < end, ledger_entry.c.room.is_not(None))
        rows = select(ledger_entry).where(*where).order_by(ledger_entry.c.position).limit(limit)
        return [_entry(row) for row in await self._tx.execute(rows)]

    async def covered(self, position: int) -> tuple[EntryRow, int, bytes] | None:
        """The entry at ``position``, and size and note of the checkpoint to prove it under.

        That is the newest one that witnesses cosigned where it covers the entry, else the newest signed one; ``None``
        without an entry or a checkpoint.
        """
        row = (await run(self._tx, _COVERED, position)).one_or_none()
        return None if row is None else (EntryRow._make(row[:5]), row[5], row[6])

    async def page(self, *, start: int, limit: int, kind: str | None, room: str | None) -> list[EntryRow]:
        """Up to ``limit`` entries from ``start`` on, oldest first, of one kind or room where asked."""
        statement = select(ledger_entry).where(ledger_entry.c.position >= start)
        if kind is not None:
            statement = statement.where(ledger_entry.c.kind == kind)
        if room is not None:
            statement = statement.where(ledger_entry.c.room == room)
        return [_entry(row) for row in await self._tx.execute(statement.order_by(ledger_entry.c.position).limit(limit))]


def _hashes(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def _entry(row: Row) -> EntryRow:  # type: ignore[type-arg]  # a row of select(ledger_entry)
    return EntryRow._make(row)
