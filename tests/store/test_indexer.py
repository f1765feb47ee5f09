"""When the log gets an index, and what it says, on both databases."""

import importlib
import json
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, system_actor
from audit.index import Index, Scope, decode, index_data
from audit.index_store import IndexStore
from audit.indexing import ENTRIES_BETWEEN, EXPORTS_KEPT
from audit.store import LedgerStore
from audit.tables import ledger_counter, ledger_index
from config.clock import DAY
from config.db import Database, before_commit
from tests.ledger import make_log
from tests.store.test_sequencer import Log
from tests.trails import NORTHWIND, ordered, traffic


@pytest.fixture
def log(db: Database, tmp_path: Path) -> Log:
    return Log(db, tmp_path)


async def put(log: Log, count: int, *, export: str | None = None) -> None:
    async with log.db.begin() as tx:
        drafts = [
            Draft(kind="hub.stopped", actor=system_actor("a"), room="!a", companies=["contoso", "northwind"])
            for _ in range(count)
        ]
        if export is not None:
            data = {"export": "exp_1", "scope": export}
            drafts.append(Draft(kind="audit.exported", actor=system_actor("a"), data=data))
        await log.inbox.put(tx, *drafts)
    await log.drain()


async def indexes(log: Log) -> list[int]:
    return [at for at, entry in enumerate(await log.entries()) if entry["kind"] == "index.published"]


async def test_an_index_comes_with_every_day_on_which_something_came(log: Log) -> None:
    await put(log, 3)
    log.clock.now += DAY - 1
    await put(log, 1)
    assert await indexes(log) == []
    log.clock.now += 1
    await put(log, 1)
    assert await indexes(log) == [5]
    await log.drain()
    log.clock.now += DAY
    await put(log, 1)
    assert await indexes(log) == [5, 7]


async def test_an_index_comes_when_many_entries_came(log: Log) -> None:
    await put(log, ENTRIES_BETWEEN + 1)
    (found,) = await indexes(log)
    assert ENTRIES_BETWEEN <= found <= ENTRIES_BETWEEN + 1_000


async def test_the_export_of_a_part_ends_its_batch_with_an_index(log: Log) -> None:
    await put(log, 2, export="company:northwind")
    await put(log, 2, export="all")
    assert await indexes(log) == [3]


async def test_an_index_says_what_was_in_front_of_it(log: Log) -> None:
    await put(log, 3, export="room:!a")
    await put(log, 2, export="room:!a")
    entries = await log.entries()
    for at, count in ((4, 3), (8, 5)):
        counts = {Scope("room", "!a"): count, Scope("company", "contoso"): count, NORTHWIND: count}
        seed = await _seed(log, at)
        assert entries[at]["data"] == index_data(Index(counts, seed))
        assert (entries[at]["source"], entries[at]["source_seq"], entries[at]["actor_seq"]) == (
            "index",
            at // 4,
            at // 4,
        )


async def _seed(log: Log, position: int) -> bytes:
    async with log.db.read() as connection:
        ((_, disclosure),) = await IndexStore(connection).disclosures_of([position])
    salt_name_value = json.loads(decode(disclosure.replace("-", "+").replace("_", "/") + "=" * (-len(disclosure) % 4)))
    assert salt_name_value[1] == "index_seed"
    return decode(salt_name_value[2])


async def test_a_restarted_sequencer_goes_on_from_the_newest_index(log: Log) -> None:
    await put(log, 1)
    log.clock.now += DAY
    await put(log, 1)
    log.clock.now += DAY - 1
    log.sequencer = log.new_sequencer()
    await put(log, 1)
    assert await indexes(log) == [2]


async def test_a_leader_that_returns_goes_on_from_the_others_index(log: Log) -> None:
    await put(log, 1)
    first, log.sequencer = log.sequencer, log.new_sequencer()
    await log.sequencer.lead()
    log.clock.now += DAY
    await put(log, 1)
    assert await indexes(log) == [2]
    log.sequencer = first
    await log.sequencer.lead()
    await put(log, 1)
    assert await indexes(log) == [2]


async def test_a_crash_takes_the_index_back_with_its_batch(log: Log) -> None:
    async def crash(_tx: AsyncConnection) -> None:
        raise RuntimeError("killed")

    await put(log, 1)
    async with log.db.begin() as tx:
        data = {"export": "exp_1", "scope": "room:!a"}
        await log.inbox.put(tx, Draft(kind="audit.exported", actor=system_actor("a"), data=data))
    token = before_commit.set(crash)
    with pytest.raises(RuntimeError, match="killed"):
        await log.sequencer.step()
    before_commit.reset(token)
    await log.drain()
    assert await indexes(log) == [2]
    assert (await log.entries())[2]["source_seq"] == 1
    async with log.db.read() as connection:
        assert [position for position, _ in await IndexStore(connection).seeds(10)] == [2]
        assert [rows async for rows in LedgerStore(connection).disclosures(10)] == []


async def test_what_old_exports_were_made_of_is_forgotten(log: Log) -> None:
    for _ in range(EXPORTS_KEPT + 2):
        await put(log, 1, export="room:!a")
    async with log.db.read() as connection:
        kept = list(await connection.scalars(select(ledger_index.c.position).order_by(ledger_index.c.position)))
        assert len(kept) == EXPORTS_KEPT
        assert kept == (await indexes(log))[2:]


async def test_the_migration_counts_what_is_in_the_log_already(db: Database, tmp_path: Path) -> None:
    """Run again on a log whose counters are gone, it finds what the sequencer had counted."""
    await make_log(db, tmp_path, [*traffic(1_500), ordered(NORTHWIND)])

    async def companies() -> list[tuple[str, int]]:
        async with db.read() as connection:
            rows = await IndexStore(connection).counts(["company"])
        return sorted((key, value) for _, key, value in rows)

    before = await companies()
    assert [name for name, _ in before] == ["contoso", "fabrikam", "northwind"]
    async with db.begin() as tx:
        await tx.execute(delete(ledger_counter).where(ledger_counter.c.scope == "company"))
        await tx.run_sync(_count)
    assert await companies() == before


def _count(connection: Connection) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        importlib.import_module("config.migrations.versions.0012_indexes")._count()
