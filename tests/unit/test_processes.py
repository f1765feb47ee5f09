"""Verification in several processes: the same words as in one, and nothing left behind, however it ends."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from audit.canonical import canonical_json
from audit.keys import verify_ed25519
from audit.note import Checkpoint
from audit.parts import Report, Run, VerificationError, one_by_one
from audit.processes import Method, Workers
from audit.stretch import STRETCH
from audit.verify import verify_bundle
from benchmarks.large_log import LargeLog
from benchmarks.large_log import export as export_large
from config.db import Database
from tests.ledger import LOG_KEY, Files, entries_of, relogged

ROOT = Path(__file__).parents[2]
SIZE = 3 * STRETCH * 256 + 300
EDGE = STRETCH * 256
"""The first entry of the second stretch."""
METHODS: tuple[Method, ...] = ("fork", "spawn")
Entries = list[bytes]

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture(scope="module")
async def large(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """An export of four stretches, the last one partial."""
    place = tmp_path_factory.mktemp("processes")
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db = Database.sqlite(place / "hub.sqlite3")
    await LargeLog(db).grow(SIZE)
    files = Files({file.path: b"".join(file.chunks) async for file in export_large(db)})
    await db.close()
    return files


@pytest.fixture(scope="module")
def entries(large: Files) -> Entries:
    return entries_of(large)


@pytest.fixture(params=["one", "fork"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    if request.param == "one":
        yield one_by_one
        return
    with Workers(2, least=1, method=request.param) as workers:
        yield workers
    assert multiprocessing.active_children() == []


def verdict(files: Files, run: Run) -> Report | tuple[str, ...]:
    try:
        return verify_bundle(files, LOG_KEY.public, verify_ed25519, run=run)
    except VerificationError as error:
        return str(error), error.check, error.where, error.detail, error.meaning


@pytest.mark.parametrize("run", ["one", *METHODS], indirect=True)
def test_a_valid_log_is_valid(large: Files, run: Run) -> None:
    told: list[tuple[int, int]] = []
    report = verify_bundle(
        large, LOG_KEY.public, verify_ed25519, lambda done, whole: told.append((done, whole)), run=run
    )
    assert (report.checkpoint.size, report.kinds.total(), report.withheld) == (SIZE, SIZE, 0)
    assert report.disclosed == 2 * report.kinds["person.invited"] > 0
    assert told == [(4096, SIZE), (8192, SIZE), (12288, SIZE), (SIZE, SIZE)]


def edited(entry: bytes, **change: Any) -> bytes:
    return canonical_json(json.loads(entry) | change)


def put(log: Entries, position: int, **change: Any) -> Entries:
    return [*log[:position], edited(log[position], **change), *log[position + 1 :]]


REWRITTEN: Mapping[str, tuple[Callable[[Entries], Entries], str]] = {
    "a gap in the first entry of a stretch": (
        lambda log: put(log, EDGE + 1, room_seq=99),
        f"sequence: entry 4,097 (message.sent) has room_seq 99 of !{55:043}, expected 21",
    ),
    "an entry left out between two stretches": (
        lambda log: [*log[:EDGE], *log[EDGE + 1 :]],
        "sequence: entry 4,096 (message.sent) has source_seq 4056 of homeserver, expected 4055",
    ),
    "a time that runs back between two stretches": (
        lambda log: put(log, EDGE, at=json.loads(log[EDGE])["at"] - 2),
        "time: entry 4,096 (message.sent) is dated before the one in front of it",
    ),
    "a broken entry in the last stretch": (
        lambda log: [*log[:-1], b"{}"],
        "meaning: entry 12,587 members missing: ",
    ),
    "two errors, the first of them in a later leg": (
        lambda log: put(put(log, 9_000, source_seq=1), 9_001, at=0),
        "sequence: entry 9,000 (person.invited) has source_seq 1 of api, expected 90",
    ),
    "a repeated digest, in front of a gap": (
        lambda log: put(put(log, 9_000, sd=json.loads(log[100])["sd"]), 9_001, at=0),
        "meaning: entry 9,000 (person.invited) repeats the digest of a disclosure of entry 100",
    ),
    "a repeated digest, behind a gap": (
        lambda log: put(put(log, 9_000, sd=json.loads(log[100])["sd"]), 8_999, at=0),
        "time: entry 8,999 (message.sent) is dated before the one in front of it",
    ),
    "two in the same entry: its number counts": (
        lambda log: put(log, 9_000, sd=json.loads(log[100])["sd"], source_seq=1),
        "sequence: entry 9,000 (person.invited) has source_seq 1 of api, expected 90",
    ),
}


@pytest.mark.parametrize(("rewrite", "says"), REWRITTEN.values(), ids=REWRITTEN)
def test_a_rewritten_log_is_refused_in_the_same_words(
    large: Files, entries: Entries, run: Run, rewrite: Callable[[Entries], Entries], says: str
) -> None:
    found = verdict(relogged(large, rewrite(entries)), run)
    assert isinstance(found, tuple)
    assert found[0].startswith(says)


def test_changed_files_are_refused_in_the_same_words(large: Files) -> None:
    chance = random.Random(5)
    names = sorted(large.names())
    forged = [large.without(chance.choice(names)) for _ in range(3)]
    for _ in range(6):
        name = chance.choice(names)
        data = bytearray(large.content[name])
        data[chance.randrange(len(data))] ^= 1
        forged.append(large.but(name, bytes(data)))
    forged.append(large.but("tile/entries/001", b"").but("tile/entries/040", b""))
    for files in forged:
        with Workers(2, least=1, method="fork") as workers:
            side_by_side = verdict(files, workers)
        assert isinstance(side_by_side, tuple)
        assert side_by_side == verdict(files, one_by_one)


def test_few_stretches_are_looked_at_here(large: Files) -> None:
    with Workers(2) as workers:
        list(workers(abs, range(15)))
        assert multiprocessing.active_children() == []
    with Workers(1, least=1) as workers:
        assert list(workers(abs, range(40))) == list(range(40))
        assert multiprocessing.active_children() == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 5, 40])
def test_results_come_in_the_order_of_the_tasks(method: Method, tasks: int) -> None:
    with Workers(3, least=1, method=method) as workers:
        assert list(workers(abs, range(tasks))) == list(range(tasks))


@pytest.mark.parametrize("method", METHODS)
def test_processes_never_hear_of_ctrl_c(method: Method) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Workers(2, least=1, method=method) as workers:
        assert list(workers(_ignores_interrupts, range(4))) == [True] * 4
    assert signal.getsignal(signal.SIGINT) is before is not signal.SIG_IGN


def _ignores_interrupts(_task: int) -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_an_error_in_the_middle_leaves_no_process(large: Files) -> None:
    with pytest.raises(VerificationError), Workers(2, least=1, method="fork") as workers:
        verify_bundle(large.without("tile/entries/003"), LOG_KEY.public, verify_ed25519, run=workers)
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_is_told_of() -> None:
    with Workers(2, least=1, method="fork") as workers:
        results = workers(_suicide, range(5))
        with pytest.raises(ChildProcessError, match="a process of the verifier was ended: verify again"):
            list(results)
    assert multiprocessing.active_children() == []


def _suicide(task: int) -> int:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


PROGRAM = """
import sys
from audit.processes import Workers

if __name__ == "__main__":
    with Workers(3, least=1, method=sys.argv[1]) as workers:
        results = workers(abs, range(20))
        print(next(results), flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_the_one_that_started_it(method: Method, end: signal.Signals, tmp_path: Path) -> None:
    """Each holds the other end of the output, so that reading it to its end waits for the last of them."""
    (tmp_path / "program.py").write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py", method],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "0\n"
        if end is signal.SIGINT:
            os.killpg(program.pid, end)  # as a terminal does: all of them
        else:
            program.send_signal(end)
        _, err = program.communicate(timeout=60)
    assert program.returncode == -end
    assert err.count("Traceback") == (end is signal.SIGINT)


MEMORY = """
import asyncio, resource, sys
from pathlib import Path
from audit.files import read_vkeys
from audit.offline import verify_folder

async def write(database, folder):
    from benchmarks.large_log import export, save
    from config.db import Database
    db = Database.sqlite(Path(database))
    await save(export(db), Path(folder))
    await db.close()

if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    if what == "export":
        asyncio.run(write(*paths))
    else:
        folder, key = map(Path, paths)
        assert verify_folder(folder, read_vkeys(key), processes=int(what)).disclosed
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print(max(resource.getrusage(kind).ru_maxrss for kind in kinds))
"""
SIZES = (20_000, 120_000)
MB = 1024


def peak(place: Path, *arguments: str) -> int:
    """The most memory that any of the program's processes had, in KiB; from a shell, whose own peak is small: a
    process is said to have had what the one that it was forked from had."""
    (place / "memory.py").write_text(MEMORY)
    run = subprocess.run(
        ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, place / "memory.py", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    )
    return int(run.stdout)


@pytest.mark.long
async def test_memory_does_not_grow_with_the_log(sqlite_base: Path, tmp_path: Path) -> None:
    shutil.copy(sqlite_base, tmp_path / "hub.sqlite3")
    (tmp_path / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    db = Database.sqlite(tmp_path / "hub.sqlite3")
    log, peaks = LargeLog(db, disclosed=4), dict[str, list[int]]()
    for size in SIZES:
        await log.grow(size)
        folder, key = str(tmp_path / f"{size}"), str(tmp_path / "log.vkey")
        for name, paths in {
            "export": (str(tmp_path / "hub.sqlite3"), folder),
            "2": (folder, key),
        }.items():
            peaks[name] = [*peaks.get(name, ()), peak(tmp_path, name, *paths)]
        shutil.rmtree(folder)
    await db.close()
    assert max(peaks["2"]) < 100 * MB, peaks
    assert all(large - small < 10 * MB for small, large in peaks.values()), peaks


def test_the_large_log_is_what_it_is_taken_for(large: Files) -> None:
    note = large.content["checkpoint"].decode().rpartition("\n\n")[0] + "\n"
    assert Checkpoint.parse(note).size == SIZE
