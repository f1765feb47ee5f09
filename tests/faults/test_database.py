"""The database locked, full, gone: refused and said so, nothing half done, and on it goes when it is back."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from config.db import Database, DatabaseUnavailableError
from tests.conftest import Postgres
from tests.fakes.hub import FakeHub, start_fake_hub

ACME = {"id": "acme", "name": "Acme"}
PERSON = "@person2.acme:conclave.test"
SEALED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "c", "session_id": "s"}


async def transaction(hub: FakeHub, number: int, events: list[dict[str, Any]]) -> int:
    path, token = f"/_matrix/app/v1/transactions/{number}", hub.state.token("hs_token")
    return (await hub.request("PUT", path, {"events": events}, token=token)).status


async def test_a_locked_database_is_said_and_loses_nothing(sqlite_hub: FakeHub, tmp_path: Path) -> None:
    rooms = await sqlite_hub.stage()
    sqlite_hub.homeserver.send(rooms["Deals"], PERSON, "m.room.encrypted", dict(SEALED))
    events, sqlite_hub.homeserver.outbox = sqlite_hub.homeserver.outbox, []
    other = sqlite3.connect(tmp_path / "hub.sqlite3")
    other.execute("BEGIN IMMEDIATE")
    answer = await sqlite_hub.request("POST", "/v1/companies", {"id": "other", "name": "Other"})
    assert (answer.status, answer.body["code"]) == (503, "database_unavailable")
    assert "locked" in answer.body["detail"]
    assert await transaction(sqlite_hub, 90, events) == 503
    assert (await sqlite_hub.request("GET", "/v1/companies")).status == 200, "reading goes on"
    other.rollback()
    other.close()
    assert await transaction(sqlite_hub, 90, events) == 200
    assert (await sqlite_hub.request("POST", "/v1/companies", {"id": "other", "name": "Other"})).status == 201
    assert len(await sqlite_hub.entries("message.sent")) == 1


@pytest.fixture
async def full_disk(sqlite_hub: FakeHub) -> FakeHub:
    """SQLite itself says that the disk is full: it may not grow by one more page."""
    writer = sqlite_hub.hub.services.db
    async with writer.begin() as tx:
        pages = await tx.scalar(text("PRAGMA page_count"))
        await tx.execute(text(f"PRAGMA max_page_count = {pages}"))
    return sqlite_hub


async def test_a_full_disk_is_said_and_leaves_nothing_half_done(full_disk: FakeHub) -> None:
    refused = None
    added = 0
    for number in range(3_000):
        body = {"id": f"c{number}", "name": "x" * 100}
        refused = await full_disk.request("POST", "/v1/companies", body)
        if refused.status != 201:
            break
        added += 1
    assert refused is not None
    assert (refused.status, refused.body["code"]) == (503, "database_unavailable")
    assert "full" in refused.body["detail"]
    assert await transaction(full_disk, 1, [{}] * 900) == 503
    with pytest.raises(DatabaseUnavailableError, match="full"):
        await full_disk.entries()
    async with full_disk.hub.services.db.begin() as tx:
        await tx.execute(text("PRAGMA max_page_count = 1000000"))
    entries = await full_disk.entries("company.added")
    listed = await full_disk.api("GET", "/v1/companies?limit=500")
    assert len(entries) == added + 1 == len(listed["items"]) if added < 500 else len(entries) == added + 1
    assert await transaction(full_disk, 1, []) == 200
    numbers = [entry["source_seq"] for entry in await full_disk.entries() if entry["source"] == "api"]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_postgresql_that_drops_its_connections_is_come_back_to(tmp_path: Path, postgres: Postgres) -> None:
    url = await postgres.fresh()
    async with start_fake_hub(tmp_path, url) as hub:
        await hub.api("POST", "/v1/companies", ACME)
        name = url.split("@/")[1].split("?")[0]
        await postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        )
        assert (await hub.request("POST", "/v1/companies", {"id": "other", "name": "Other"})).status == 201
        assert len(await hub.entries("company.added")) == 3


async def test_a_database_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    db = Database(f"postgresql+asyncpg://postgres@/none?host={tmp_path}")
    with pytest.raises(DatabaseUnavailableError, match="the database does not answer"):
        await db.ping()
    await db.close()


async def test_readiness_says_which_part_fails(sqlite_hub: FakeHub) -> None:
    await sqlite_hub.hub.services.readiness.call()
    ready = await sqlite_hub.request("GET", "/readyz")
    assert (ready.status, ready.body["ready"]) == (200, True)
    sqlite_hub.homeserver.down = True
    await sqlite_hub.hub.services.readiness.call()
    ready = await sqlite_hub.request("GET", "/readyz")
    assert (ready.status, ready.body["checks"]["homeserver"]["ok"]) == (503, False)
    sqlite_hub.homeserver.down = False
    await sqlite_hub.hub.services.readiness.call()
    await sqlite_hub.api("POST", "/v1/companies", ACME)
    sqlite_hub.clock.now += 11_000  # the sequencer stands still: nobody runs it here
    ready = await sqlite_hub.request("GET", "/readyz")
    assert (ready.status, ready.body["checks"]["ledger"]["ok"]) == (503, False)
    assert (await sqlite_hub.request("GET", "/healthz")).status == 200
