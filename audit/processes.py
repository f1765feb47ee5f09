"""Several processes that look at stretches of a log, each at its own; the results come in order."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Literal, Self

from audit.parts import Result, one_by_one

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

Method = Literal["fork", "spawn"]

LEAST = 16
"""Fewer stretches than that (65,536 entries) are not worth a process."""
MOST = 16
_AHEAD = 2


class Workers:
    """A :class:`audit.parts.Run` of up to ``count`` processes, which end with the ``with`` block however that ends.

    Stretch ``n`` is looked at by process ``n % count``, and each has two in hand: memory is bounded, and the results
    need no sorting. Each process reads from a pipe that nobody else holds the other end of: when this process is gone,
    killed even, there is nothing to read any more, and they end too. They leave Ctrl-C to this process.
    """

    def __init__(self, count: int | None = None, *, least: int = LEAST, method: Method | None = None) -> None:
        self._count = min(MOST, usable_cores() if count is None else count)
        self._least = least
        self._method = method or _method()
        self._processes: list[BaseProcess] = []
        self._pipes: list[Connection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
            process.close()
        self._pipes, self._processes = [], []

    def __call__(self, work: Callable[[int], Result], tasks: Sequence[int]) -> Iterator[Result]:
        """The result of ``work`` for each of ``tasks``: in this process where they are few or there is one core.

        Raises:
            ChildProcessError: A process ended before its work did.
        """
        if self._count < 2 or len(tasks) < self._least:
            return one_by_one(work, tasks)
        with _interrupts_ignored():
            for _ in range(self._count):
                self._start(work)
        return self._results(tasks)

    def _start(self, work: Callable[[int], Any]) -> None:
        forking = self._method == "fork"
        context: ForkContext | SpawnContext
        context = multiprocessing.get_context("fork") if forking else multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        inherited = [*self._pipes, ours] if forking else []
        process = context.Process(target=_work, args=(theirs, work, inherited), daemon=True)
        process.start()
        theirs.close()
        self._pipes.append(ours)
        self._processes.append(process)

    def _results(self, tasks: Sequence[int]) -> Iterator[Any]:
        ahead = self._count * _AHEAD
        try:
            for at in range(len(tasks) + ahead):
                if at >= ahead:
                    yield self._pipes[(at - ahead) % self._count].recv()
                if at < len(tasks):
                    self._pipes[at % self._count].send(tasks[at])
        except (EOFError, ConnectionError):
            raise ChildProcessError(None, "a process of the verifier was ended: verify again") from None


def _work(pipe: Connection, work: Callable[[int], Any], others: Sequence[Connection]) -> None:
    """What each process does: answer until nobody asks any more."""
    for other in others:
        other.close()  # the far ends of the pipes, which a fork brings along
    try:
        while True:
            pipe.send(work(pipe.recv()))
    except (EOFError, ConnectionError):
        return


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """What is started here never hears of Ctrl-C: processes inherit that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _method() -> Method:
    """Fork where that is safe, as it starts at once: on Linux, in a process without other threads; else spawn."""
    alone = threading.active_count() == 1 and sys.platform == "linux"
    return "fork" if alone and "fork" in multiprocessing.get_all_start_methods() else "spawn"
