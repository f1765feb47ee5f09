"""A process that dies at its k-th durable step: at a statement, beside a commit, inside the writing of a file.

Dead is dead: whatever it tries afterwards fails too, and nothing that it had open gets committed.
"""

import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from audit.keys import sync_directory
from config.db import Database, copy


class Killed(BaseException):
    """The process is dead; nobody catches this."""


@dataclass(slots=True)
class Steps:
    """Counts durable steps, and kills at the one numbered ``at``, counted from 1."""

    at: int | None = None
    names: list[str] = field(default_factory=list)

    def dead(self) -> bool:
        return self.at is not None and len(self.names) >= self.at

    def take(self, name: str, undo: Callable[[], object] | None = None) -> None:
        """One step. ``undo`` is what the machine's end takes back of what was not on disk yet."""
        if self.dead():
            raise Killed(name)
        self.names.append(name)
        if self.dead():
            if undo is not None:
                undo()
            raise Killed(name)


def watch_database(steps: Steps, db: Database) -> None:
    """Make each statement of ``db`` a step, and the moments before and after each commit."""
    for engine in {db._writer, db._reader}:
        sync = engine.sync_engine
        dialect, commit = sync.dialect, sync.dialect.do_commit

        @event.listens_for(sync, "before_cursor_execute")
        def _statement(_c: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
            steps.take(" ".join(sql.split()[:4]))

        def do_commit(connection: Any, commit: Callable[[Any], None] = commit) -> None:
            steps.take("before commit")
            commit(connection)
            steps.take("after commit")

        vars(dialect)["do_commit"] = do_commit  # the one place that every commit goes through


class DyingOs:
    """``os`` for a module that writes files, with a step wherever a power cut makes a difference."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @contextmanager
    def fdopen(self, handle: int, mode: str) -> Iterator[Any]:
        with os.fdopen(handle, mode) as file:
            self._steps.take("file opened")
            yield _DyingFile(file, self._steps)

    def fsync(self, handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            os.fsync(handle)
            return
        self._steps.take("before fsync", lambda: os.ftruncate(handle, 3))
        os.fsync(handle)

    def replace(self, source: Path, target: Path) -> None:
        self._steps.take("before rename")
        old = target.read_bytes() if target.exists() else None
        os.replace(source, target)
        self._steps.take("rename lost", lambda: target.unlink() if old is None else target.write_bytes(old))
        self._steps.take("after rename")


class _DyingFile:
    def __init__(self, file: Any, steps: Steps) -> None:
        self._file, self._steps = file, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: bytes) -> None:
        self._file.write(text[: len(text) // 2])
        self._file.flush()
        self._steps.take("half written")
        self._file.write(text[len(text) // 2 :])


@asynccontextmanager
async def dying(steps: Steps, url: str, patch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A database as a process has it that dies by ``steps``; what it had open is rolled back, as by a lost link."""
    db = Database(url)
    watch_database(steps, db)
    with patch.context() as patched:
        patched.setattr("audit.keys.os", DyingOs(steps))
        patched.setattr("audit.keys.sync_directory", _syncing(steps))
        patched.setattr("audit.batch_store.copy", _copying(steps))
        try:
            yield db
        finally:
            await db.close()


def _syncing(steps: Steps) -> Callable[[Path], None]:
    def call(path: Path) -> None:
        sync_directory(path)
        steps.take("folder synced")

    return call


def _copying(steps: Steps) -> Callable[..., Any]:
    async def call(*arguments: Any) -> None:
        steps.take("before COPY")
        await copy(*arguments)
        steps.take("after COPY")

    return call


class DyingShutil:
    """``shutil`` for the client that unpacks an export: dead in any file of it, before and after the last rename."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def copyfileobj(self, source: Any, target: Any) -> None:
        content = source.read()
        target.write(content[: len(content) // 2])
        target.flush()
        self._steps.take("half unpacked")
        target.write(content[len(content) // 2 :])
        self._steps.take("unpacked")

    def rmtree(self, path: Path, **options: Any) -> None:
        if not self._steps.dead():  # the dead do not clear up
            shutil.rmtree(path, **options)
