"""The steps of VERIFY.md, as an outsider carries them out: with the tools of others, and on forgeries too."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from audit.parts import CHECKPOINT, DISCLOSURES, SIGNERS, signers_line
from config.db import Database
from tests.ledger import LOG_KEY, Files, export, make_log, sample, signing_key

GUIDE = Path("audit/VERIFY.md")

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on the PATH")


@pytest.fixture(scope="module", params=[299, 2])
async def bundle(request: pytest.FixtureRequest, sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    place = tmp_path_factory.mktemp("guide")
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db = Database.sqlite(place / "hub.sqlite3")
    await make_log(db, place, sample(request.param))
    files = await export(db)
    await db.close()
    return files


def check(files: Files, place: Path) -> "subprocess.CompletedProcess[str]":
    """What the guide's program says of ``files``."""
    program = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    place.mkdir(exist_ok=True)
    (place / "check.py").write_text(program)
    (place / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    folder = files.save(place / "export")
    return subprocess.run(
        [sys.executable, str(place / "check.py"), str(folder), str(place / "log.vkey")],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_program_accepts_an_export(bundle: Files, tmp_path: Path) -> None:
    done = check(bundle, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "checkpoint",
        "entries",
        "tiles",
        "export key",
        "disclosures",
    ]


def test_the_program_refuses_forgeries(bundle: Files, tmp_path: Path) -> None:
    entries = next(name for name in bundle.names() if name.startswith("tile/entries/"))
    other = signing_key("log.example/hub/export", 9)
    lines = bundle.content[DISCLOSURES].decode().splitlines()
    moved = [json.dumps({**json.loads(line), "entry": 0}) for line in lines]
    forgeries = {
        "an entry": bundle.but(entries, bundle.content[entries].replace(b"hub", b"hab", 1)),
        "the size": bundle.but(CHECKPOINT, bundle.content[CHECKPOINT].replace(b"\n", b"\n1", 1)),
        "the export's key": bundle.but(
            SIGNERS, f'x namespaces="y" ssh-ed25519 {_wire(other.public.public_key)}'.encode()
        ),
        "a key in front": bundle.but(SIGNERS, signers_line(other.public).encode() + bundle.content[SIGNERS]),
        "a key behind": bundle.but(SIGNERS, bundle.content[SIGNERS] + signers_line(other.public).encode()),
        "a key with a comment": bundle.but(
            SIGNERS, f"{signers_line(other.public).strip()} {bundle.content[SIGNERS].decode().split()[-1]}\n".encode()
        ),
        "a name": bundle.but(DISCLOSURES, "".join(f"{line}\n" for line in moved).encode()),
    }
    for what, forged in forgeries.items():
        place = tmp_path / what
        place.mkdir()
        done = check(forged, place)
        assert (done.returncode, done.stderr.startswith("NOT VALID: ")) == (1, True), (what, done.stderr)


def _wire(public: bytes) -> str:
    return base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + public).decode()


@pytest.mark.skipif(
    shutil.which("jq") is None or shutil.which("ssh-keygen") is None, reason="jq or ssh-keygen is missing"
)
def test_the_commands_of_the_guide_work_as_they_are_written(bundle: Files, tmp_path: Path) -> None:
    folder = bundle.save(tmp_path / "export")
    text = GUIDE.read_text()
    commands = re.findall(r"(?:^    .*\n)+", text.partition("**2.")[2], re.MULTILINE)
    assert len(commands) == 3, "the third: tests/vectors/test_timestamp_readers.py"
    for block in commands[:2]:
        done = subprocess.run(["bash", "-euc", block], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (block, done.stdout, done.stderr)
    (folder / "added").write_text("x")
    done = subprocess.run(["bash", "-euc", commands[1]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
