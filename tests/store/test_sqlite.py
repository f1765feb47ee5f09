"""SQLite's connection: a turn of its thread a statement, and transactions that begin and end as they do without."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from config import sqlite
from config.db import Database, DatabaseUnavailableError, run, run_many

COUNT = "SELECT count(*) FROM inbox_source"
PUT = "INSERT INTO inbox_source (source, seq) VALUES ($1, $2)"
LONG = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3000000) SELECT max(x) FROM n"


@pytest.fixture
async def file(sqlite_base: Path, tmp_path: Path) -> Path:
    shutil.copy(sqlite_base, tmp_path / "hub.sqlite3")
    return tmp_path / "hub.sqlite3"


@pytest.fixture
async def db(file: Path) -> AsyncIterator[Database]:
    found = Database.sqlite(file, busy_timeout_ms=50)
    yield found
    await found.close()


async def count(db: Database) -> int:
    async with db.read() as connection:
        return int((await run(connection, COUNT)).scalar_one())


async def test_each_statement_takes_one_turn_and_so_does_the_end(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, execute = [], sqlite.Connection._execute

    async def counted(self: sqlite.Connection, work: Any, *arguments: Any) -> Any:
        turns.append(work)
        return await execute(self, work, *arguments)  # type: ignore[no-untyped-call]  # as it is

    async with db.begin() as tx:
        await run(tx, COUNT)
    monkeypatch.setattr(sqlite.Connection, "_execute", counted)
    async with db.begin() as tx:
        await run(tx, PUT, "a", 1)
        await run_many(tx, PUT, [("b", 1), ("c", 1)])
        assert (await run(tx, COUNT)).scalar_one() == 3
    assert len(turns) == 4


async def test_what_is_written_is_taken_back_when_the_block_raises(db: Database) -> None:
    for _ in range(2):
        with pytest.raises(IntegrityError):
            async with db.begin() as tx:
                await run_many(tx, PUT, [("a", 1), ("a", 1)])
    assert await count(db) == 0


async def test_a_transaction_without_a_statement_holds_no_lock(db: Database, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    async with db.begin():
        other.execute("BEGIN IMMEDIATE")
    other.execute("COMMIT")
    other.close()


async def test_the_write_lock_is_taken_by_the_first_statement_and_kept(db: Database, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None, timeout=0)
    async with db.begin() as tx:
        await run(tx, COUNT)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailableError, match="locked"):
        async with db.begin() as tx:
            await run(tx, PUT, "a", 1)
    other.execute("ROLLBACK")
    other.close()
    async with db.begin() as tx:
        await run(tx, PUT, "a", 1)
    assert await count(db) == 1


async def test_a_reader_sees_one_state(db: Database) -> None:
    async with db.read() as connection:
        assert (await run(connection, COUNT)).scalar_one() == 0
        async with db.begin() as tx:
            await run(tx, PUT, "a", 1)
        assert (await run(connection, COUNT)).scalar_one() == 0
    assert await count(db) == 1


async def test_whoever_is_cancelled_in_a_statement_leaves_nothing_open(db: Database) -> None:
    begun = asyncio.Event()

    async def write() -> None:
        async with db.begin() as tx:
            await run(tx, PUT, "a", 1)
            begun.set()
            await run(tx, LONG)

    task = asyncio.create_task(write())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.begin() as tx:
        await run(tx, PUT, "b", 1)
    async with db.read() as connection:
        assert (await run(connection, "SELECT source FROM inbox_source")).scalars().all() == ["b"]
