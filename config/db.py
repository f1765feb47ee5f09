"""One database behind two dialects: SQLite (WAL, FULL) for one machine, PostgreSQL for many."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, MetaData, NullPool, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from config.errors import UnavailableError
from config.sqlite import connect

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

BeforeCommit = Callable[[AsyncConnection], Awaitable[None]]
before_commit: ContextVar[BeforeCommit | None] = ContextVar("before_commit", default=None)
"""What the current task adds to each of its writing transactions, at their end."""

BUSY_TIMEOUT_MS = 5_000
POOL_TIMEOUT_S = 15
LEASE_RETRY_S = 1.0
STALLED_MS = 10_000
"""On PostgreSQL: after how long the server ends the session of a hub that stopped in a transaction or as a leader."""
OUTAGES = ("08", "28", "3D", "53", "57", "58")
"""PostgreSQL's classes of errors (manual, appendix A) by which it cannot be used: connection, password, no such
database, resources, shut down or cancelled, system. The driver does not tell them from wrong statements."""


class DatabaseUnavailableError(UnavailableError):
    """The database is locked, full, gone or unreachable; the transaction was rolled back."""

    code = "database_unavailable"


class Database:
    """Transactions on one database; ``begin`` writes, ``read`` only reads.

    On SQLite there is one writing connection, so that writers of this process queue up in order and take the file's
    write lock at once (``BEGIN IMMEDIATE``): none of them can lose a transaction half way to another's lock.
    ``wrote`` is set after each commit; whoever waits for it clears it.
    """

    def __init__(self, url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS, stalled_ms: int = STALLED_MS) -> None:
        self.url = make_url(url)
        self._stalled_ms = stalled_ms
        self.dialect = self.url.get_backend_name()
        self.wrote = asyncio.Event()
        if self.dialect == "sqlite":
            self._writer = _sqlite_engine(url, busy_timeout_ms, begin="BEGIN IMMEDIATE", pool_size=1)
            self._reader = _sqlite_engine(url, busy_timeout_ms, begin="BEGIN", pool_size=4)
        else:
            self._writer = self._reader = _postgresql_engine(url, stalled_ms)
        self._looker = self._reader
        if self.dialect != "sqlite":
            self._looker = self._reader.execution_options(isolation_level="AUTOCOMMIT")

    @classmethod
    def sqlite(cls, path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> "Database":
        """The SQLite database in the file ``path``, created when missing."""
        return cls(f"sqlite+aiosqlite:///{path}", busy_timeout_ms=busy_timeout_ms)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write: committed when the block ends, rolled back when it raises.

        Raises:
            DatabaseUnavailableError: The database is locked, full or unreachable; nothing was written.
        """
        with _translated():
            async with self._writer.begin() as connection:
                yield connection
                if (addition := before_commit.get()) is not None:
                    await addition(connection)
        self.wrote.set()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the database and writes nothing.

        Raises:
            DatabaseUnavailableError: The database is unreachable.
        """
        with _translated():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def look(self) -> AsyncIterator[AsyncConnection]:
        """For statements that only read, each of which may see a later state than the one before.

        On PostgreSQL it saves the two round trips of a transaction, half the time of two short statements.

        Raises:
            DatabaseUnavailableError: The database is unreachable.
        """
        with _translated():
            async with self._looker.connect() as connection:
                yield connection

    @asynccontextmanager
    async def leadership(self, name: str) -> AsyncIterator[bool]:
        """Whether this process may act as the one ``name`` while the block runs.

        PostgreSQL: a session advisory lock, given up by the server when the connection dies. SQLite: always true, the
        state directory's lock admits one process.
        """
        if self.dialect == "sqlite":
            yield True
            return
        with _translated():
            async with self._writer.connect() as connection:
                key = {"name": f"conclave:{name}"}
                taken = await connection.scalar(text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))"), key)
                await connection.commit()
                try:
                    yield bool(taken)
                finally:
                    if taken:
                        await connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))"), key)

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator["Lease"]:
        """The leadership ``name``, waited for; given up when the block ends.

        PostgreSQL: a session advisory lock on a connection of its own, asked for once a second (a statement that waits
        for it would keep the server from clearing away dead rows, all that time). The server ends the connection, and
        with it the lock, of a process that asks nothing for ``stalled_ms``. SQLite: see :meth:`leadership`.
        """
        if self.dialect == "sqlite":
            yield Lease(None, 0)
            return
        settings = {"idle_session_timeout": f"{self._stalled_ms}"}
        engine = create_async_engine(self.url, poolclass=NullPool, connect_args={"server_settings": settings})
        with _translated():
            async with engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                lock, key = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))"), f"conclave:{name}"
                while not await connection.scalar(lock, {"name": key}):  # noqa: ASYNC110  # the server does not call us
                    await asyncio.sleep(min(LEASE_RETRY_S, self._stalled_ms / 4_000))
                yield Lease(connection, self._stalled_ms / 10_000)

    async def ping(self) -> None:
        """Return when the database answers.

        Raises:
            DatabaseUnavailableError: It does not.
        """
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


class Lease:
    """A leadership that this process holds until :meth:`hold` fails."""

    def __init__(self, connection: AsyncConnection | None, every_s: float) -> None:
        self._connection = connection
        self._every_s = every_s
        self._asked_at = 0.0

    async def hold(self) -> None:
        """Keep the leadership; to be asked all along. Asks the server ten times in its ``stalled_ms`` at most.

        Raises:
            DatabaseUnavailableError: It is lost.
        """
        now = asyncio.get_running_loop().time()
        if self._connection is not None and now - self._asked_at >= self._every_s:
            with _translated():
                await self._connection.execute(text("SELECT 1"))
            self._asked_at = now


async def run(tx: AsyncConnection, sql: str, *parameters: Any) -> CursorResult[*tuple[Any, ...]]:
    """What ``sql`` comes to, past SQLAlchemy's compiler; its parameters are ``$1``, ``$2`` … on both databases."""
    return await tx.exec_driver_sql(_numbered(tx, sql), parameters)


async def run_many(tx: AsyncConnection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """As :func:`run`, once for each of ``rows``."""
    await tx.exec_driver_sql(_numbered(tx, sql), list(rows))


async def copy(tx: AsyncConnection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert ``rows`` by PostgreSQL's COPY, as part of ``tx``, in which a statement must have run before."""
    driver: Any = getattr(tx.dialect.dbapi, "asyncpg")  # noqa: B009  # SQLAlchemy's types do not know its adapter's parts
    connection: Any = (await tx.get_raw_connection()).driver_connection
    try:
        await connection.copy_records_to_table(table, records=rows, columns=columns)
    except (driver.PostgresError, driver.InterfaceError) as error:
        gone = isinstance(error, driver.InterfaceError)
        raise DBAPIError(f"COPY {table}", None, error, connection_invalidated=gone) from error


@lru_cache(maxsize=256)
def _question_marks(sql: str) -> str:
    return re.sub(r"\$(\d)", r"?\1", sql)


def _numbered(tx: AsyncConnection, sql: str) -> str:
    return sql if tx.dialect.name == "postgresql" else _question_marks(sql)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors of availability into :class:`DatabaseUnavailableError`."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, OSError) as error:
        raise _unavailable(error) from error
    except DBAPIError as error:
        if error.connection_invalidated or _is_outage(error):
            raise _unavailable(error) from error
        raise


def _is_outage(error: DBAPIError) -> bool:
    return str(getattr(error.orig, "sqlstate", None) or "").startswith(OUTAGES)


def _unavailable(error: Exception) -> DatabaseUnavailableError:
    reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return DatabaseUnavailableError(
        f"the database does not answer or does not take the change: {reason}",
        hint="nothing was written; conclave doctor tells more",
    )


def _postgresql_engine(url: str, stalled_ms: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=10,
        max_overflow=10,
        pool_timeout=POOL_TIMEOUT_S,
        connect_args={"server_settings": {"idle_in_transaction_session_timeout": f"{stalled_ms}"}},
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def _on_checkout(_connection: object, record: Any, _proxy: object) -> None:
        """In place of ``pool_pre_ping``, whose three round trips are as many as a transaction of ours needs itself."""
        if record.driver_connection.is_closed():
            raise InvalidatePoolError("the server has closed the connection")

    return engine


def _sqlite_engine(url: str, busy_timeout_ms: int, *, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        connect_args={"async_creator_fn": connect},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {busy_timeout_ms}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.connection.driver_connection.opening = begin  # type: ignore[union-attr]  # a config.sqlite.Connection

    return engine
