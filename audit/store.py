"""SQL of the ledger, on an open connection; the caller owns the transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, delete, exists, func, insert, not_, select, tuple_, update
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
from audit.tree import EMPTY_ROOT, HASH_SIZE, Head
from config.errors import ConclaveError


class LedgerConflictError(ConclaveError):
    """Another sequencer moved the head; this pass is dropped."""

    code = "ledger_conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """Where the log stands: its head, the time of its newest entry, and what of it is signed."""

    size: int
    root: bytes
    last_at: int
    signed_size: int
    checkpoint: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """An entry that waits for its place."""

    id: int
    at: int
    source: str
    source_seq: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
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
            size=row.size, root=row.root, last_at=row.last_at, signed_size=row.signed_size, checkpoint=row.checkpoint
        )

    async def move_head(self, before: LedgerHead, after: Head, last_at: int) -> None:
        """Set the head to ``after`` if it is still ``before``.

        Raises:
            LedgerConflictError: It is not; somebody else wrote.
        """
        if before is EMPTY_HEAD:
            row = {"id": 1, "size": 0, "root": EMPTY_ROOT, "last_at": 0, "signed_size": 0}
            await self._tx.execute(self._dialect.insert(ledger_head).values(row).on_conflict_do_nothing())
        done = await self._tx.execute(
            update(ledger_head)
            .where(ledger_head.c.id == 1, ledger_head.c.size == before.size, ledger_head.c.root == before.root)
            .values(size=after.size, root=after.root, last_at=last_at)
        )
        if done.rowcount != 1:
            raise LedgerConflictError(f"the ledger is no longer at {before.size} entries: another sequencer wrote")

    async def set_checkpoint(self, size: int, note: bytes) -> None:
        """Publish ``note`` as the newest checkpoint; an older one never replaces it."""
        await self._tx.execute(
            update(ledger_head)
            .where(ledger_head.c.id == 1, ledger_head.c.signed_size < size)
            .values(signed_size=size, checkpoint=note)
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

    async def pending(self) -> tuple[bool, bool]:
        """Whether entries wait for their place, and whether the log's head waits for its signature."""
        row = (
            await self._tx.execute(
                select(
                    exists(select(inbox.c.id)),
                    exists(select(ledger_head.c.id).where(ledger_head.c.size > ledger_head.c.signed_size)),
                )
            )
        ).one()
        return bool(row[0]), bool(row[1])

    async def take_inbox(self, limit: int) -> list[InboxRow]:
        """Take up to ``limit`` waiting rows out, the oldest first."""
        oldest = select(inbox.c.id).order_by(inbox.c.id).limit(limit).scalar_subquery()
        rows = await self._tx.execute(delete(inbox).where(inbox.c.id.in_(oldest)).returning(*inbox.c))
        found = [InboxRow(id=r.id, at=r.at, source=r.source, source_seq=r.source_seq, body=r.body) for r in rows]
        return sorted(found, key=lambda row: row.id)

    async def counters(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """The last number given for each (scope, key); 0 when none was."""
        wanted = list(keys)
        found = dict.fromkeys(wanted, 0)
        columns = tuple_(ledger_counter.c.scope, ledger_counter.c.key)
        for at in range(0, len(wanted), 400):
            rows = await self._tx.execute(select(ledger_counter).where(columns.in_(wanted[at : at + 400])))
            found.update({(row.scope, row.key): row.value for row in rows})
        return found

    async def save_counters(self, counters: Mapping[tuple[str, str], int]) -> None:
        """Store the last number given for each (scope, key)."""
        if not counters:
            return
        statement = self._dialect.insert(ledger_counter)
        statement = statement.on_conflict_do_update(
            index_elements=["scope", "key"], set_={"value": statement.excluded.value}
        )
        rows = [{"scope": scope, "key": key, "value": value} for (scope, key), value in counters.items()]
        await self._tx.execute(statement, rows)

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

    async def append(self, entries: Sequence[EntryRow]) -> None:
        """Store ``entries`` at their positions."""
        await self._tx.execute(
            insert(ledger_entry),
            [{"position": e.position, "kind": e.kind, "at": e.at, "room": e.room, "body": e.body} for e in entries],
        )

    async def save_tiles(self, tiles: Mapping[tuple[int, int], Sequence[bytes]]) -> None:
        """Store the hashes of each (level, tile), in place of fewer."""
        statement = self._dialect.insert(ledger_tile)
        statement = statement.on_conflict_do_update(
            index_elements=["level", "tile"], set_={"hashes": statement.excluded.hashes}
        )
        rows = [{"level": level, "tile": tile, "hashes": b"".join(h)} for (level, tile), h in tiles.items()]
        await self._tx.execute(statement, rows)

    async def tile(self, level: int, tile: int) -> list[bytes]:
        """The hashes of one tile; empty when there is none."""
        where = (ledger_tile.c.level == level, ledger_tile.c.tile == tile)
        data = await self._tx.scalar(select(ledger_tile.c.hashes).where(*where)) or b""
        return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]

    async def place_disclosures(self, digests: Mapping[str, int]) -> None:
        """Note the position of the entry that each digest ended up in."""
        for digest, position in digests.items():
            await self._tx.execute(
                update(ledger_disclosure).where(ledger_disclosure.c.digest == digest).values(position=position)
            )

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

    async def page(self, *, start: int, limit: int, kind: str | None, room: str | None) -> list[EntryRow]:
        """Up to ``limit`` entries from ``start`` on, oldest first, of one kind or room where asked."""
        statement = select(ledger_entry).where(ledger_entry.c.position >= start)
        if kind is not None:
            statement = statement.where(ledger_entry.c.kind == kind)
        if room is not None:
            statement = statement.where(ledger_entry.c.room == room)
        return [_entry(row) for row in await self._tx.execute(statement.order_by(ledger_entry.c.position).limit(limit))]


def _entry(row: Row) -> EntryRow:  # type: ignore[type-arg]  # a row of select(ledger_entry)
    return EntryRow(position=row.position, kind=row.kind, at=row.at, room=row.room, body=row.body)
