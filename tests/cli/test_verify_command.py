"""``conclave audit verify`` on exports that are there already: saved checkpoints, processes, the bar, Ctrl-C."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.key_history import OTHER_KEY
from audit.note import sign_note
from audit.zipped import write
from benchmarks.large_log import LargeLog, export, save
from bridge.cli.main import main
from config.db import Database
from tests.key_statements import pq_key
from tests.ledger import LOG_KEY, ORIGIN, signing_key

ROOT = Path(__file__).parents[2]
SMALL, LARGE = 300, 70_000


@pytest.fixture(scope="module")
async def place(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``log.vkey``, and exports of one log: ``300`` and ``70000``, which is enough for several processes."""
    place = tmp_path_factory.mktemp("exports")
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db = Database.sqlite(place / "hub.sqlite3")
    log = LargeLog(db)
    for size in (SMALL, LARGE):
        await log.grow(size)
        await save(export(db), place / str(size))
    await db.close()
    (place / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    write(place / "verify.pyz")
    return place


def run(capsys: pytest.CaptureFixture[str], place: Path, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["audit", "verify", *arguments, "--vkey", str(place / "log.vkey")])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_saved_checkpoints_are_told_of(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = ("--seen", str(place / "300" / "checkpoint"))
    status, out, _ = run(capsys, place, str(place / "70000"), *seen, "--processes", "1")
    assert (status, "  ✓ seen before     the log extends 1 saved checkpoint\n" in out) == (0, True)
    status, out, _ = run(capsys, place, str(place / "300"), *seen, *seen, "--json")
    assert (status, json.loads(out)["seen"]) == (0, 1)


def test_a_log_that_does_not_extend_what_was_seen_is_invalid(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = place / "70000" / "checkpoint"
    status, out, _ = run(capsys, place, str(place / "300"), "--seen", str(seen))
    assert (status, out.splitlines()) == (
        1,
        [
            f"  ✗ {seen}  has 70,000 entries, the export only 300",
            "INVALID: the log was cut off or put back since you saw it, or the export is older than what you saw.",
        ],
    )
    status, out, _ = run(capsys, place, str(place / "300"), "--seen", str(seen), "--json")
    assert (status, json.loads(out)) == (
        1,
        {
            "valid": False,
            "check": "seen",
            "where": str(seen),
            "detail": "has 70,000 entries, the export only 300",
        },
    )


def test_a_saved_checkpoint_that_is_not_there_is_wrong_use(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, place, str(place / "300"), "--seen", str(place / "nope"))
    assert (status, f"{place / 'nope'}: No such file or directory" in err) == (2, True)
    proof = place / "300" / "checkpoint"
    status, _, err = run(capsys, place, str(proof), "--seen", str(proof))
    assert (status, "go with an export of the whole log, not with a proof" in err) == (2, True)


def test_the_same_in_one_file(place: Path, tmp_path: Path) -> None:
    other = signing_key(ORIGIN, 9)
    (tmp_path / "forged").write_bytes(sign_note(f"{ORIGIN}\n1\n{'A' * 43}=\n", other.public, other))
    cases = {
        (): (0, "VALID."),
        ("--seen", str(place / "300" / "checkpoint")): (0, "✓ the log extends 1 saved checkpoint"),
        ("--seen", str(tmp_path / "forged")): (1, "INVALID: what you saved is no checkpoint of this log"),
        ("--seen", str(tmp_path / "nope")): (2, "No such file or directory"),
    }
    for arguments, (status, says) in cases.items():
        done = subprocess.run(
            [sys.executable, "-I", place / "verify.pyz", place / "70000", "--vkey", place / "log.vkey", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, says in done.stdout + done.stderr) == (status, True), done


def verified(place: Path, program: str, what: Path, *arguments: "str | Path") -> "subprocess.CompletedProcess[str]":
    """What one of the two programs says of ``what``."""
    start = ["-m", "bridge.cli.main", "audit", "verify"] if program == "conclave" else ["-I", str(place / "verify.pyz")]
    command: list[str | Path] = [sys.executable, *start, what, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


PROGRAMS = pytest.mark.parametrize("program", ["conclave", "one file"])


@PROGRAMS
@pytest.mark.parametrize("by_link", [False, True])
def test_a_key_from_inside_the_export_shows_nothing(place: Path, tmp_path: Path, program: str, by_link: bool) -> None:
    export, link = place / "300", tmp_path / "log.vkey"
    key = export / "keys" / "log.vkey"
    link.symlink_to(key)
    named = link if by_link else key
    says = f"{named} is inside the export that it is to check, where a forger would put their own"
    done = verified(place, program, export, "--vkey", named)
    assert (done.returncode, done.stdout, says in done.stderr) == (2, "", True), done
    for other in ("--root", "--policy"):
        done = verified(place, program, export, "--vkey", place / "log.vkey", other, key)
        assert (done.returncode, "is inside the export that it is to check" in done.stderr) == (2, True), done


@PROGRAMS
def test_a_wrong_key_and_a_changed_file_are_told_apart(place: Path, tmp_path: Path, program: str) -> None:
    export, wrong, two = tmp_path / "300", tmp_path / "wrong.vkey", tmp_path / "two.vkey"
    shutil.copytree(place / "300", export)
    wrong.write_text(f"{signing_key(ORIGIN, 9).public}\n")
    two.write_text(f"{LOG_KEY.public}\n{pq_key(ORIGIN).public}\n")
    meant = f"INVALID: {OTHER_KEY}"
    done = verified(place, program, export, "--vkey", wrong)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, f"{meant}.")
    done = verified(place, program, export, "--vkey", two)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, f"{meant}; each key that you name must have signed.")
    checkpoint = export / "checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes().replace(b"\n300\n", b"\n301\n", 1))
    done = verified(place, program, export, "--vkey", place / "log.vkey")
    changed = "INVALID: the file was changed after export, or the log's key is not the one you hold."
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, changed)
    two.write_text(f"{LOG_KEY.public}\n{signing_key(ORIGIN, 9).public}\n")
    done = verified(place, program, export, "--vkey", two)
    assert (done.returncode, "each key that is named must have signed" in done.stderr) == (2, True), done


@PROGRAMS
@pytest.mark.parametrize("name", ["extra", "tile/extra/more", "pitch", "trail"])
def test_an_empty_folder_is_no_part_of_an_export(place: Path, tmp_path: Path, program: str, name: str) -> None:
    export = tmp_path / "300"
    shutil.copytree(place / "300", export)
    (export / name).mkdir(parents=True)
    done = verified(place, program, export, "--vkey", place / "log.vkey")
    assert done.returncode == 1
    assert f"{name}/" in done.stdout
    assert "is an empty folder, and is not part of the export" in done.stdout
    assert done.stdout.splitlines()[-1] == "INVALID: a file was added."


def test_what_is_not_there_or_no_proof_is_named_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, place, str(place / "nosuch.tar"))
    hint = "  next: name the exported folder, or the file of a proof\n"
    assert (status, err) == (2, f"conclave: {place / 'nosuch.tar'} is not there\n{hint}")
    status, out, _ = run(capsys, place, str(place / "300" / "manifest.json"))
    assert (status, "it is no proof of an entry" in out, "of an export name the folder" in out) == (1, True, True)


SPAWNING = """
import sys
sys.path.insert(0, sys.argv[1])
import audit.processes
audit.processes._method = lambda: "spawn"
from audit.standalone import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
"""


def test_one_file_finds_the_same_in_processes_that_are_spawned(place: Path, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(SPAWNING)
    command: list[str | Path] = [sys.executable, "-I", tmp_path / "run.py", place / "verify.pyz"]
    command += [place / "70000", "--vkey", place / "log.vkey", "--processes"]
    found = [subprocess.run([*command, n], capture_output=True, text=True, check=False) for n in ("1", "2")]
    assert [(done.returncode, done.stderr) for done in found] == [(0, ""), (0, "")]
    assert found[0].stdout == found[1].stdout
    broken = place / "70000" / "tile" / "entries" / "200"
    good = broken.read_bytes()
    broken.write_bytes(good[:-1] + b" ")
    found = [subprocess.run([*command, n], capture_output=True, text=True, check=False) for n in ("1", "2")]
    broken.write_bytes(good)
    assert [(done.returncode, done.stderr) for done in found] == [(1, ""), (1, "")]
    assert found[0].stdout == found[1].stdout
    assert found[0].stdout.startswith("✗ entry 51,455 (not readable): does not hash to what the log committed to\n")


def terminal() -> Iterator[bytes]:
    """What a program writes to the terminal whose other end is yielded first, as a number."""
    ours, theirs = pty.openpty()
    yield str(theirs).encode()
    os.close(theirs)
    try:
        while data := os.read(ours, 1_000):
            yield data
    except OSError:  # all other ends are closed
        return
    finally:
        os.close(ours)


@pytest.mark.parametrize("program", ["conclave", "one file"])
def test_a_terminal_is_shown_how_far_it_is_and_may_stop_it(place: Path, program: str) -> None:
    start: list[str | Path] = (
        ["-m", "bridge.cli.main", "audit", "verify"] if program == "conclave" else ["-I", place / "verify.pyz"]
    )
    command = [sys.executable, *start, place / "70000", "--vkey", place / "log.vkey", "--processes", "2"]
    shown = terminal()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=int(next(shown)),
        start_new_session=True,
        text=True,
    ) as process:
        text = b""
        for data in shown:
            text += data
            if b"70,000" in text or b"/70000" in text:
                os.killpg(process.pid, signal.SIGINT)
                break
        text += b"".join(shown)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "VALID." not in out
    assert b"Traceback" not in text
