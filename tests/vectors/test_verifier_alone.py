"""The offline verifier as one file: it runs with the standard library and ``cryptography``, and agrees with ours."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from audit.note import VerifierKey
from audit.parts import CHECKPOINT
from audit.proof import EntryProof
from audit.tiles import TileHashes, decode_bundle, decode_tile, entries_path, tile_path
from audit.tree import HASH_SIZE, inclusion_proof
from audit.zipped import write
from config.db import Database
from tests.ledger import LOG_KEY, Files, export, make_log, sample, signing_key

RUN = """
import json, runpy, sys
program, out = sys.argv[1], sys.argv[2]
sys.argv = [program, *sys.argv[3:]]
try:
    runpy.run_path(program, run_name="__main__")
except SystemExit as ended:
    status = ended.code
places = {name.partition(".")[0] for name, module in sys.modules.items()
          if "site-packages" in str(getattr(module, "__file__", ""))}
open(out, "w").write(json.dumps([status, sorted(places), [name for name in sys.modules if name.startswith("bridge")]]))
"""


@pytest.fixture(scope="module")
async def bundle(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    place = tmp_path_factory.mktemp("alone")
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db = Database.sqlite(place / "hub.sqlite3")
    await make_log(db, place, sample(300))
    found = await export(db)
    await db.close()
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("program") / "conclave-verify.pyz"
    write(out)
    return out


class Ran:
    """What the program said, how it ended, and what it loaded from outside the standard library."""

    def __init__(self, program: Path, place: Path, *arguments: str) -> None:
        out = place / "ran.json"
        command = [sys.executable, "-I", "-c", RUN, str(program), str(out), *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
        self.said, self.err = run.stdout.splitlines(), run.stderr
        self.status, self.packages, self.hub = json.loads(out.read_text())


def vkey_file(place: Path, key: VerifierKey = LOG_KEY.public) -> str:
    path = place / "log.vkey"
    path.write_text(f"{key}\n")
    return str(path)


def test_a_valid_export_is_valid_with_cryptography_alone(program: Path, bundle: Files, tmp_path: Path) -> None:
    ran = Ran(program, tmp_path, str(bundle.save(tmp_path / "b")), "--vkey", vkey_file(tmp_path))
    assert (ran.status, ran.said[-1]) == (0, "VALID."), ran.err
    assert set(ran.packages) <= {"cryptography", "_cffi_backend", "cffi", "_distutils_hack"}, (
        "the last is of the test's own Python"
    )
    assert ran.hub == []


def test_a_changed_export_is_not(program: Path, bundle: Files, tmp_path: Path) -> None:
    name = next(name for name in bundle.names() if name.startswith("tile/entries/") and ".p/" not in name)
    changed = bundle.but(name, bundle.read(name).replace(b"message.sent", b"message.seen", 1))
    ran = Ran(program, tmp_path, str(changed.save(tmp_path / "b")), "--vkey", vkey_file(tmp_path))
    assert (ran.status, ran.said[-1][:8]) == (1, "INVALID:")


def test_another_log_is_not(program: Path, bundle: Files, tmp_path: Path) -> None:
    other = vkey_file(tmp_path, signing_key(LOG_KEY.name, 9).public)
    assert Ran(program, tmp_path, str(bundle.save(tmp_path / "b")), "--vkey", other).status == 1


def test_a_proof_is_checked_too(program: Path, bundle: Files, tmp_path: Path) -> None:
    tiles = TileHashes(lambda level, index: tile_in(bundle, level, index))
    size = int(bundle.read(CHECKPOINT).split(b"\n")[1])
    entry = entry_in(bundle, 7)
    proof = EntryProof(index=7, hashes=inclusion_proof(7, size, tiles), note=bundle.read(CHECKPOINT), extra=entry)
    path = tmp_path / "x.tlog-proof"
    path.write_bytes(proof.encode())
    ran = Ran(program, tmp_path, str(path), "--vkey", vkey_file(tmp_path))
    assert (ran.status, ran.said[-1]) == (0, "VALID."), ran.said
    path.write_bytes(proof.encode().replace(b"index 7", b"index 8"))
    assert Ran(program, tmp_path, str(path), "--vkey", vkey_file(tmp_path)).status == 1


def test_wrong_use_is_said(program: Path, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    ran = Ran(program, tmp_path, str(export), "--vkey", str(tmp_path / "none"))
    assert (ran.status, "No such file" in ran.err) == (2, True)
    policy = tmp_path / "policy"
    policy.write_text("trust me\n")
    ran = Ran(program, tmp_path, str(export), "--vkey", vkey_file(tmp_path), "--policy", str(policy))
    assert (ran.status, "line 1: trust is not log" in ran.err) == (2, True)


def test_the_same_sources_make_the_same_file(program: Path, tmp_path: Path) -> None:
    write(tmp_path / "again.pyz")
    assert (tmp_path / "again.pyz").read_bytes() == program.read_bytes()


def tile_in(bundle: Files, level: int, index: int) -> list[bytes]:
    (name,) = [name for name in bundle.names() if name.startswith(tile_path(level, index))]
    return decode_tile(bundle.read(name), len(bundle.read(name)) // HASH_SIZE)


def entry_in(bundle: Files, index: int) -> bytes:
    return decode_bundle(bundle.read(entries_path(0)), 256)[index]
