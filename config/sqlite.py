"""SQLite's driver for SQLAlchemy, with one turn of its thread a statement.

``aiosqlite`` runs a connection in a thread of its own and takes a turn for each call: for the cursor, the statement,
its rows and the cursor's end. A turn costs 0.1 ms, as much as the statement itself. Here each statement takes one, and
a transaction begins in the turn of its first statement.
"""

import sqlite3
from collections.abc import Generator, Sequence
from typing import Any

import aiosqlite


class Connection(aiosqlite.Connection):
    """As its base, with cursors that live in the thread for no longer than their statement."""

    opening = ""
    """The statement that begins the transaction, where one is due before the next statement."""
    _asked = _ended = 0
    """How many statements the thread was handed, and how many of them the last end of a transaction there covers."""

    def cursor(self) -> "Cursor":  # type: ignore[override]  # SQLAlchemy asks for less than an aiosqlite.Cursor
        """A cursor; costs nothing before its statement."""
        return Cursor(self)

    async def run(self, cursor: "Cursor", method: str, sql: str, parameters: Any) -> None:
        """Have ``cursor`` hold what ``sql`` came to, by the connection's ``method``."""
        self._asked += 1
        await self._execute(self._run, cursor, method, sql, parameters)  # type: ignore[no-untyped-call]  # as it is

    def _run(self, cursor: "Cursor", method: str, sql: str, parameters: Any) -> None:
        opening, self.opening = self.opening, ""
        if opening:
            self._conn.execute(opening)
        done: sqlite3.Cursor = getattr(self._conn, method)(sql, parameters)
        cursor.rows = done.fetchall() if done.description else []  # before the count: it is known when all are read
        cursor.description, cursor.rowcount, cursor.lastrowid = done.description, done.rowcount, done.lastrowid

    async def commit(self) -> None:
        """End the transaction; one without a statement never began."""
        await self._finish("commit")

    async def rollback(self) -> None:
        """Take the transaction back."""
        await self._finish("rollback")

    async def _finish(self, method: str) -> None:
        if self._asked != self._ended:
            await self._execute(self._end, method, self._asked)  # type: ignore[no-untyped-call]  # as it is
        self.opening = ""

    def _end(self, method: str, asked: int) -> None:
        getattr(self._conn, method)()
        self._ended = asked


class Cursor:
    """What SQLAlchemy asks of a cursor; a result is here whole, once its statement has run."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.rows: list[Any] = []

    def __await__(self) -> Generator[Any, None, "Cursor"]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> "Cursor":
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Nothing is open."""

    async def execute(self, sql: str, parameters: Any = ()) -> "Cursor":
        """Run ``sql`` and read all of its rows."""
        await self._connection.run(self, "execute", sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Any) -> "Cursor":
        """Run ``sql`` once for each of ``parameters``."""
        await self._connection.run(self, "executemany", sql, parameters)
        return self

    async def fetchall(self) -> Sequence[Any]:
        """The rows."""
        return self.rows

    async def close(self) -> None:
        """Nothing is open."""


def connect(database: str, **options: Any) -> Connection:
    """A connection to the file ``database``, for ``async_creator_fn``; ``options`` are those of :mod:`sqlite3`."""
    found = Connection(lambda: sqlite3.connect(database, **options), iter_chunk_size=64)
    found._thread.daemon = True  # noqa: SLF001  # as SQLAlchemy does: a hub that dies does not wait for its thread
    return found
