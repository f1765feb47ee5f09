"""How many entries a second the offline verifier checks, beside the hashing of the same bytes and Go's own reader.

Ours: every entry read as JSON, held against form, time and numbers, hashed, and compared with tiles, root and manifest;
then the structure alone, as the others do it. The floors: SHA-256 over the same files, in one process; the program of
``tests/vectors/go`` with Go's ``x/mod/sumdb``, where Go is there.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from audit.files import Folder
from audit.offline import verify_folder
from audit.processes import Workers
from audit.stretch import STRETCH, read_entries
from audit.tiles import TILE_WIDTH, bundle_widths, subtree_root, tile_path
from audit.tree import leaf_hash
from benchmarks.databases import databases
from benchmarks.large_log import LargeLog, export, save
from benchmarks.plan import Plan
from benchmarks.report import Aim, Of, Row, compare
from config.db import Database
from tests.ledger import LOG_KEY

READER = Path("tests/vectors/go/readlog.go")
GOPATH = Path("/usr/share/gocode")
MEMORY = """
import resource, sys
from pathlib import Path
from audit.offline import verify_folder
from audit.note import VerifierKey
if __name__ == "__main__":
    verify_folder(Path(sys.argv[1]), VerifierKey.parse(sys.argv[2]))
    print(max(resource.getrusage(k).ru_maxrss for k in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""


async def run(plan: Plan) -> Sequence[Row]:
    """Two exports of one log: a large one to be timed, and a small one to compare memory with."""
    size, rounds = plan.size(1_000_000, 20_000), plan.size(5, 1)
    place = plan.folder("exports")
    async with databases(plan) as (sqlite, _):
        db = Database(await sqlite.fresh())
        try:
            log = LargeLog(db)
            for entries, name in ((size // 20, "small"), (size, "large")):
                await log.grow(entries)
                await save(export(db), place / name)
        finally:
            await db.close()
    return await asyncio.to_thread(_measure, place, size, rounds)


def _measure(place: Path, size: int, rounds: int) -> list[Row]:
    folder, go = place / "large", _go(place)
    found: dict[str, list[tuple[float, float]]] = {"full": [], "one": [], "structure": [], "go": []}
    for _ in range(rounds):
        floor = size / _seconds(lambda: _hash_files(folder))
        structure = size / _seconds(lambda: _structure(folder, size))
        found["full"].append((size / _seconds(lambda: _verify(folder, None)), floor))
        found["one"].append((size / _seconds(lambda: _verify(folder, 1)), floor))
        found["structure"].append((structure, floor))
        if go is not None:
            found["go"].append((structure, size / _seconds(lambda: _read_with_go(go, folder, place))))
    hashing = "SHA-256 over the same files"
    full, least = Aim(of=Of.OURS, least=150_000), Aim(of=Of.OURS, least=400_000)
    rows = [
        compare(f"verification of {size:,} entries", "entries/s", found["full"], hashing, full),
        compare("… in one process", "entries/s", found["one"], hashing),
        compare("… the structure alone", "entries/s", found["structure"], hashing, least),
    ]
    if go is not None:
        rows.append(compare("… the structure alone", "entries/s", found["go"], "Go's x/mod/sumdb"))
    memory = [(_peak_mb(folder), _peak_mb(place / "small"))]
    most = Aim(of=Of.OURS, most=100)
    return [*rows, compare("… memory of the largest process", "MB", memory, f"of {size // 20:,} entries", most)]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _verify(folder: Path, processes: int | None) -> None:
    verify_folder(folder, LOG_KEY.public, processes=processes)


def _hash_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            sha256(path.read_bytes()).digest()


@dataclass(frozen=True, slots=True)
class _Structure:
    """Hashes a stretch and compares its tiles, and reads no entry."""

    folder: Folder
    size: int

    def __call__(self, number: int) -> int:
        """How many entries of stretch ``number`` are as the tiles have them."""
        found = 0
        for index in range(number * STRETCH, min((number + 1) * STRETCH, -(-self.size // TILE_WIDTH))):
            leaves = [leaf_hash(entry) for entry in read_entries(self.folder, self.size, index)]
            if self.folder.read(tile_path(0, index, len(leaves))) == b"".join(leaves):
                found += len(leaves)
            if len(leaves) == TILE_WIDTH:
                subtree_root(leaves)
        return found


def _structure(folder: Path, size: int) -> None:
    stretches = range(-(-len(list(bundle_widths(size))) // STRETCH))
    with Workers() as workers:
        assert sum(workers(_Structure(Folder(folder), size), stretches)) == size


def _go(place: Path) -> Path | None:
    """Go's reader, built; ``None`` where there is no Go or none of its libraries."""
    if shutil.which("go") is None or not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        return None
    built = place / "readlog"
    settings = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": "", "CGO_ENABLED": "0"}
    subprocess.run(["go", "build", "-o", built, READER], env=os.environ | settings, check=True)
    return built


def _read_with_go(program: Path, folder: Path, place: Path) -> None:
    proofs = place / "proofs.json"
    proofs.write_text("{}")
    subprocess.run([program, folder, str(LOG_KEY.public), proofs], check=True, stdout=subprocess.DEVNULL)


def _peak_mb(folder: Path) -> float:
    """From a shell: a process is said to have had what the one that it was forked from had."""
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", MEMORY, str(folder), str(LOG_KEY.public)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(run.stdout) / (1024 if sys.platform == "linux" else 1024 * 1024)
