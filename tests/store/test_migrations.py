"""The schema's history: what the migrations make is what the code expects; newer and older databases are refused."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

import audit.tables
import bridge.tables
import partner_onboarding.tables
import spaces.tables
from config.db import Database, metadata
from config.migrate import SchemaError, check_schema, head_revision, upgrade

TABLES = (audit.tables, bridge.tables, partner_onboarding.tables, spaces.tables)


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


async def test_the_migrations_make_the_tables_that_the_code_uses(db: Database) -> None:
    async with db.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_an_empty_database_has_to_be_migrated_first(tmp_path: Path) -> None:
    db = Database.sqlite(tmp_path / "empty.sqlite3")
    with pytest.raises(SchemaError, match=r"is at schema none, this release needs \d+") as error:
        await check_schema(db)
    assert error.value.hint == "conclave migrate"
    assert await upgrade(db)
    assert not await upgrade(db)
    await check_schema(db)
    await db.close()


async def test_a_newer_database_is_left_alone(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refused in (check_schema, upgrade):
        with pytest.raises(SchemaError, match="9999, which this release does not know: a newer Conclave was here"):
            await refused(db)


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    db = Database.sqlite(tmp_path / "half.sqlite3")
    async with db.begin() as tx:
        await tx.execute(text("CREATE TABLE room (x TEXT)"))
    with pytest.raises(Exception, match="already exists"):
        await upgrade(db)
    async with db.read() as connection:
        tables = await connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        assert set(tables) <= {"room"}
    await db.close()


def test_there_is_one_line_of_history() -> None:
    assert head_revision()
