"""Ledgers of others as PyPI has them, each in a process of its own: how fast they append, how long a proof takes.

``pymerkle`` keeps a Merkle tree in SQLite and proves inclusion; it has no signatures. ``ledgerchain`` keeps a chain of
hashes through SQLAlchemy and proves by reading it all, so that of it only appending is taken.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import peers
from benchmarks.stage import MeasurementError

BATCH = 1_000
PROOFS = 9
MOST = {"pymerkle": 1_000_000, "ledgerchain": 100_000}
"""The largest size that takes minutes and not hours."""
BODY = {"event_id": "e" * 44, "type": "m.room.encrypted", "session_id": "s" * 43, "room": "r" * 44, "size": 400}
ABOUT = {"event_type": "message.sent", "actor": {"kind": "human", "sub": "p"}, "tenant_id": "t"}
Figures = tuple[int, float, float | None]
"""Size, entries appended a second on the way to it, milliseconds of a proof there."""


async def measure(folder: Path, sizes: Sequence[int]) -> dict[str, list[Figures]]:
    """Each peer, at those of the ``sizes`` that it can reach.

    Raises:
        MeasurementError: pip could not fetch one, or it failed.
    """
    await peers.install(folder / "packages")
    found = {}
    for name, most in MOST.items():
        wanted = [f"{size}" for size in sizes if size <= most]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.ledger_peers", name, str(folder / f"{name}.sqlite3"), *wanted),
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "packages"), str(Path.cwd())])},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        if process.returncode != 0:
            raise MeasurementError(f"{name} failed")
        found[name] = [tuple(row) for row in json.loads(out)]
    return found


def _pymerkle(path: Path, sizes: Sequence[int]) -> Iterator[Figures]:
    tree: Any = import_module("pymerkle").SqliteTree(str(path), algorithm="sha256")
    entry = json.dumps(BODY).encode()
    for before, size in pairwise([0, *sizes]):
        seconds = _timed(
            lambda before=before, size=size: [  # type: ignore[misc]  # bound here, called here
                tree.append_entries([b"%d" % number + entry for number in range(at, min(at + BATCH, size))])
                for at in range(before, size, BATCH)
            ]
        )
        places = range(1, size, size // PROOFS)
        proofs = [_timed(lambda at=at, size=size: tree.prove_inclusion(at, size)) for at in places]  # type: ignore[misc]  # as above
        yield size, (size - before) / seconds, median(proofs) * 1_000


def _ledgerchain(path: Path, sizes: Sequence[int]) -> Iterator[Figures]:
    chain: Any = import_module("ledgerchain")
    sqlalchemy, orm = import_module("sqlalchemy"), import_module("sqlalchemy.orm")
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    chain.create_all(engine)
    for before, size in pairwise([0, *sizes]):
        began = time.perf_counter()
        for at in range(before, size, BATCH):
            with orm.Session(engine) as session:
                for _ in range(at, min(at + BATCH, size)):
                    chain.LedgerWriter.append(
                        session,
                        event_type="message.sent",
                        payload=BODY,
                        actor={"kind": "human", "sub": "p"},
                        tenant_id="t",
                    )
                session.commit()
        yield size, (size - before) / (time.perf_counter() - began), None


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    PEERS = {"pymerkle": _pymerkle, "ledgerchain": _ledgerchain}
    print(json.dumps(list(PEERS[sys.argv[1]](Path(sys.argv[2]), [int(size) for size in sys.argv[3:]]))))
