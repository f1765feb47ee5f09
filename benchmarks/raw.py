"""The floor under the ledger: the same rows and the same durable steps with the drivers alone."""

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import asyncpg

COLUMNS = ("position", "kind", "at", "room", "body")
NOTE = b"n" * 250
_COUNT = "INSERT INTO inbox_source (source, seq)"
_ONE_MORE = "ON CONFLICT (source) DO UPDATE SET seq = inbox_source.seq + 1 RETURNING seq"
_HAND_IN = "INSERT INTO inbox (at, source, source_seq, body)"
EntryTuple = tuple[int, str, int, str | None, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one entry has to put on disk: itself, its tile, the head over it; then the checkpoint."""

    entry: EntryTuple
    hashes: bytes
    root: bytes


class Raw(Protocol):
    """The driver's own connection to a database like the hub's."""

    async def insert(self, rows: Sequence[EntryTuple]) -> None:
        """Insert ledger entries, in one transaction."""
        ...

    async def hand_in(self, writer: int, body: str) -> None:
        """Commit one waiting entry of the source that ``writer`` stands for, with the source's next number."""
        ...

    async def extend(self, step: Step) -> None:
        """Commit entry, tile and head."""
        ...

    async def publish(self, note: bytes) -> None:
        """Commit the checkpoint."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class RawSqlite:
    """The standard library's ``sqlite3``, with the hub's pragmas."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("INSERT INTO ledger_head (id, size, root, last_at, signed_size) VALUES (1, 0, x'', 0, 0)")

    async def insert(self, rows: Sequence[EntryTuple]) -> None:
        """See :class:`Raw`."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO ledger_entry VALUES (?, ?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")

    async def hand_in(self, writer: int, body: str) -> None:
        """See :class:`Raw`."""
        self._db.execute("BEGIN IMMEDIATE")
        ((number,),) = self._db.execute(f"{_COUNT} VALUES (?, 1) {_ONE_MORE}", (f"{writer}",)).fetchall()
        self._db.execute(f"{_HAND_IN} VALUES (0, ?, ?, ?)", (f"{writer}", number, body))
        self._db.execute("COMMIT")

    async def extend(self, step: Step) -> None:
        """See :class:`Raw`."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("INSERT INTO ledger_entry VALUES (?, ?, ?, ?, ?)", step.entry)
        self._db.execute("INSERT OR REPLACE INTO ledger_tile VALUES (0, ?, ?)", (step.entry[0] // 256, step.hashes))
        self._db.execute("UPDATE ledger_head SET size = ?, root = ?", (step.entry[0] + 1, step.root))
        self._db.execute("COMMIT")

    async def publish(self, note: bytes) -> None:
        """See :class:`Raw`."""
        self._db.execute("UPDATE ledger_head SET signed_size = size, checkpoint = ?", (note,))

    async def close(self) -> None:
        """See :class:`Raw`."""
        self._db.close()


class RawPostgres:
    """``asyncpg`` over the server's socket."""

    def __init__(self, connection: Any) -> None:
        self._db = connection

    @classmethod
    async def open(cls, socket: str, database: str) -> "RawPostgres":
        """A connection to ``database``."""
        connection = await asyncpg.connect(host=socket, user="postgres", database=database)
        await connection.execute(
            "INSERT INTO ledger_head (id, size, root, last_at, signed_size) VALUES (1, 0, '', 0, 0)"
            " ON CONFLICT DO NOTHING"
        )
        return cls(connection)

    async def insert(self, rows: Sequence[EntryTuple]) -> None:
        """See :class:`Raw`."""
        async with self._db.transaction():
            await self._db.executemany("INSERT INTO ledger_entry VALUES ($1, $2, $3, $4, $5)", rows)

    async def hand_in(self, writer: int, body: str) -> None:
        """See :class:`Raw`."""
        async with self._db.transaction():
            number = await self._db.fetchval(f"{_COUNT} VALUES ($1, 1) {_ONE_MORE}", f"{writer}")
            await self._db.execute(f"{_HAND_IN} VALUES (0, $1, $2, $3)", f"{writer}", number, body)

    async def extend(self, step: Step) -> None:
        """See :class:`Raw`."""
        async with self._db.transaction():
            await self._db.execute("INSERT INTO ledger_entry VALUES ($1, $2, $3, $4, $5)", *step.entry)
            await self._db.execute(
                "INSERT INTO ledger_tile VALUES (0, $1, $2) ON CONFLICT (level, tile) DO UPDATE SET hashes = $2",
                step.entry[0] // 256,
                step.hashes,
            )
            await self._db.execute("UPDATE ledger_head SET size = $1, root = $2", step.entry[0] + 1, step.root)

    async def publish(self, note: bytes) -> None:
        """See :class:`Raw`."""
        await self._db.execute("UPDATE ledger_head SET signed_size = size, checkpoint = $1", note)

    async def close(self) -> None:
        """See :class:`Raw`."""
        await self._db.close()


def remember(path: Path, text: str) -> None:
    """Put ``text`` into ``path`` as the signer does its memory: in place of the old one, and on the disk."""
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
