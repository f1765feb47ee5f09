"""Go's own readers of transparency logs, `golang.org/x/mod/sumdb`, accept our exports and refuse changed ones.

Needs the Debian packages `golang-go` and `golang-golang-x-mod-dev`; nothing is downloaded.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import pytest

from audit.keys import verify_ed25519
from audit.note import sign_line
from audit.parts import VerificationError
from audit.tiles import TileHashes, decode_bundle, decode_tile, tile_path, tile_widths
from audit.tree import consistency_proof, inclusion_proof
from audit.verify import verify_bundle
from config.db import Database
from tests.attacks import ATTACKS, Attack, Scene
from tests.key_statements import pq_key
from tests.ledger import LOG_KEY, ORIGIN, Files, export, make_log, relogged, sample, signing_key

SIZES = (1, 255, 256, 257, 700)
GOPATH = Path("/usr/share/gocode")
SOURCE = Path(__file__).parent / "go" / "readlog.go"

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not on the PATH (Debian: golang-go)"),
    pytest.mark.skipif(
        not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir(),
        reason="golang.org/x/mod is not installed (Debian: golang-golang-x-mod-dev)",
    ),
]


class Read(Protocol):
    def __call__(
        self, bundle: Files, *, proofs: dict[str, Any] | None = None, vkey: str = ...
    ) -> "subprocess.CompletedProcess[str]": ...


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled reader."""
    built = tmp_path_factory.mktemp("go") / "readlog"
    settings = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": "", "CGO_ENABLED": "0"}
    subprocess.run(["go", "build", "-o", built, SOURCE], env=os.environ | settings, check=True)
    return built


@pytest.fixture(scope="module")
async def bundles(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Files]:
    """One log at each of the sizes."""
    place = tmp_path_factory.mktemp("sumdb")
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db = Database.sqlite(place / "hub.sqlite3")
    ledger = await make_log(db, place, [])
    found = {SIZES[0]: await export(db)}
    for before, size in pairwise(SIZES):
        await ledger.append(sample(size - before))
        found[size] = await export(db)
    await db.close()
    return found


@pytest.fixture
def read(program: Path, tmp_path: Path) -> Read:
    """Runs the reader on an export and on proofs, by default our own for it."""

    def run(
        bundle: Files, *, proofs: dict[str, Any] | None = None, vkey: str = str(LOG_KEY.public)
    ) -> "subprocess.CompletedProcess[str]":
        folder, file = bundle.save(tmp_path / "export"), tmp_path / "proofs.json"
        file.write_text(json.dumps(proofs_of(bundle) if proofs is None else proofs))
        return subprocess.run([program, folder, vkey, file], check=False, capture_output=True, text=True, timeout=60)

    return run


def proofs_of(bundle: Files) -> dict[str, Any]:
    """Proofs for some leaves and some older sizes, from the export's tiles."""
    size = int(bundle.content["checkpoint"].split(b"\n")[1])
    widths = {(level, index): width for level, index, width in tile_widths(size)}
    hashes = TileHashes(lambda at, n: decode_tile(bundle.content[tile_path(at, n, widths[at, n])], widths[at, n]))
    leaves = {0, 1, size // 2, 255, 256, size - 1} & set(range(size))
    return {
        "inclusion": [{"index": at, "proof": encoded(inclusion_proof(at, size, hashes))} for at in sorted(leaves)],
        "consistency": [
            {"first": at + 1, "proof": encoded(consistency_proof(at + 1, size, hashes))} for at in sorted(leaves)
        ],
    }


def encoded(proof: list[bytes]) -> list[str]:
    return [base64.b64encode(item).decode() for item in proof]


@pytest.mark.parametrize("size", SIZES)
def test_go_reads_an_export_and_our_proofs(bundles: Mapping[int, Files], read: Read, size: int) -> None:
    done = read(bundles[size])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == " ".join(bundles[size].content["checkpoint"].decode().split("\n")[1:3]) + "\n"


def test_go_passes_over_an_ml_dsa_signature_and_needs_its_own(bundles: Mapping[int, Files], read: Read) -> None:
    bundle, key = bundles[257], pq_key(ORIGIN)
    note = bundle.content["checkpoint"].decode()
    line = sign_line(note.partition("\n\n")[0] + "\n", key.public, key, at=5)
    done = read(bundle.but("checkpoint", (note + line).encode()))
    assert (done.returncode, done.stderr) == (0, "")
    text = note.partition("\n\n")[0] + "\n"
    assert_refused(read(bundle.but("checkpoint", f"{text}\n{line}".encode()), proofs={}), "readlog: checkpoint: ")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("checkpoint", "readlog: checkpoint: "),
        ("tile/entries/000", "readlog: entries: "),
        ("tile/entries/002.p/188", "readlog: entries: "),
        ("tile/0/001", "readlog: tiles: "),
        ("tile/0/002.p/188", "readlog: tiles: "),
        ("tile/1/000.p/2", "readlog: tiles: "),
    ],
)
def test_go_refuses_a_changed_file(bundles: Mapping[int, Files], read: Read, name: str, says: str) -> None:
    """As ours does, so that what is wrong here is wrong for all."""
    data = bundles[700].content[name]
    changed = bundles[700].but(name, data[:9] + bytes([data[9] ^ 1]) + data[10:])
    with pytest.raises(VerificationError):
        verify_bundle(changed, LOG_KEY.public, verify_ed25519)
    assert_refused(read(changed, proofs={}), says)


def test_go_refuses_rewritten_entries_under_the_old_checkpoint(bundles: Mapping[int, Files], read: Read) -> None:
    entries = decode_bundle(bundles[256].content["tile/entries/000"], 256)
    entries[100] = entries[100].replace(b'"at":18', b'"at":17')
    rewritten = relogged(bundles[256], entries).but("checkpoint", bundles[256].content["checkpoint"])
    assert_refused(read(rewritten), "readlog: entries: they hash to ")


def test_go_refuses_another_key_and_another_origin(bundles: Mapping[int, Files], read: Read) -> None:
    assert_refused(read(bundles[256], vkey=str(signing_key(ORIGIN, 9).public)), "readlog: checkpoint: note has no ver")
    entries = decode_bundle(bundles[256].content["tile/entries/000"], 256)
    other = relogged(bundles[256], entries, origin="log.example/other")
    assert_refused(read(other), f"readlog: checkpoint: not of the log {ORIGIN}")


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_go_sees_of_the_attacks_what_the_table_says(bundles: Mapping[int, Files], read: Read, attack: Attack) -> None:
    """It sees structure: entries, tiles, checkpoint. What an entry means, and what stands beside, it does not read."""
    done = read(attack.forge(Scene(bundles[257], bundles[700])), proofs={})
    assert done.returncode == (1 if attack.go else 0), done.stderr


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_go_refuses_a_changed_proof(bundles: Mapping[int, Files], read: Read, kind: str) -> None:
    proofs = proofs_of(bundles[700])
    proofs[kind][0]["proof"][0] = base64.b64encode(bytes(32)).decode()
    assert_refused(read(bundles[700], proofs=proofs), f"readlog: proofs: {kind} ")


def assert_refused(done: "subprocess.CompletedProcess[str]", says: str) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(says)
