"""How many entries a second an export puts out, beside a bare read of the same rows.

Ours: checkpoint, entry bundles, tiles, disclosures, signed manifest, as the API streams them, with nobody slow at the
other end. The floor: the driver reads the bytes of the entries, a few thousand at a time, and does nothing else.
"""

import sqlite3
import time
from collections.abc import Sequence

import asyncpg

from benchmarks.databases import Source, databases
from benchmarks.large_log import LargeLog, export
from benchmarks.plan import Plan
from benchmarks.report import Aim, Of, Row, compare
from config.db import Database

AT_ONCE = 4_096
SQLITE = "sqlite+aiosqlite:///"
QUERY = "SELECT body FROM ledger_entry WHERE position >= $1 AND position < $2 ORDER BY position"


async def run(plan: Plan) -> Sequence[Row]:
    """On each database, rounds over the same log."""
    async with databases(plan) as sources:
        return [await _measure(plan, source) for source in sources]


async def _measure(plan: Plan, source: Source) -> Row:
    size, rounds = plan.size(500_000, 5_000), plan.size(5, 1)
    url = await source.fresh()
    db = Database(url)
    try:
        await LargeLog(db).grow(size)
        pairs = [(size / await _export(db), size / await _read(url, size)) for _ in range(rounds)]
    finally:
        await db.close()
    aim = Aim(of=Of.OURS, least=300_000)
    return compare(f"export of {size:,} entries, {source.name}", "entries/s", pairs, "bare read", aim)


async def _export(db: Database) -> float:
    began = time.perf_counter()
    async for file in export(db):
        assert sum(map(len, file.chunks)) == file.size
    return time.perf_counter() - began


async def _read(url: str, size: int) -> float:
    """Seconds for reading all entries with the driver alone."""
    if url.startswith(SQLITE):
        return _read_sqlite(url.removeprefix(SQLITE), size)
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    began = time.perf_counter()
    for start in range(0, size, AT_ONCE):
        assert await connection.fetch(QUERY, start, start + AT_ONCE)
    seconds = time.perf_counter() - began
    await connection.close()
    return seconds


def _read_sqlite(path: str, size: int) -> float:
    connection = sqlite3.connect(path)
    began = time.perf_counter()
    for start in range(0, size, AT_ONCE):
        assert connection.execute(QUERY.replace("$", "?"), (start, start + AT_ONCE)).fetchall()
    seconds = time.perf_counter() - began
    connection.close()
    return seconds
