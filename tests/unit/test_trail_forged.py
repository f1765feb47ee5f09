"""What whoever holds the export's key may make of a trail: refused by the verifier, and by the guide's own program."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from audit.keys import verify_ed25519
from audit.note import VerifierKey
from audit.parts import INDEXES, MANIFEST, Bundle, Report, VerificationError
from audit.trail import TrailReport, verify_trail
from audit.verify import verify_bundle
from audit.zipped import write
from tests.ledger import (
    LOG_KEY,
    ORIGIN,
    Files,
    relogged,
    resealed,
    signed,
    signing_key,
)
from tests.trails import (
    PAGE,
    edited,
    frame_of,
    log_entries,
    recounted,
    reproven,
)

FLIPS = 2_000


def check(bundle: Bundle, key: VerifierKey = LOG_KEY.public) -> TrailReport:
    return verify_trail(bundle, key, verify_ed25519)


def refused(bundle: Bundle, key: VerifierKey = LOG_KEY.public) -> VerificationError:
    with pytest.raises(VerificationError) as raised:
        check(bundle, key)
    return raised.value


def expected(count: int) -> int:
    """How many of ``traffic(count)`` are in rooms of northwind."""
    return sum(1 for number in range(count) if number % 3 and number % 5 != 4)


# --- what whoever holds the export's key may add


ADDED = ("trail/2.ndjson", "trail/more.ndjson", "LETTER.html", "timestamps/5.tsr", "tile/0/000")


@pytest.mark.parametrize("name", ADDED)
def test_what_was_added_and_listed_is_no_part_of_a_trail(ours: Files, name: str) -> None:
    content = ours.content[PAGE] if name.startswith("trail/") else b"{}\n"
    assert refused(recounted(ours.but(name, content))).check in {"files", "entries", "time"}


@pytest.mark.parametrize("name", ["evidence.txt", "trail/0.ndjson", "index.json", "keys/more.vkey"])
def test_what_was_added_and_listed_is_no_part_of_an_export(trails: Mapping[str, Files], name: str) -> None:
    forged = resealed(trails["whole"].but(name, b"{}\n"))
    with pytest.raises(VerificationError) as raised:
        verify_bundle(forged, LOG_KEY.public, verify_ed25519)
    assert (raised.value.check, raised.value.where) == ("files", name)


TIMES = (None, 5, "1999-01-01T00:00:00.000Z", "2030-01-01", "tomorrow")


@pytest.mark.parametrize("said", TIMES)
def test_an_export_says_when_it_was_made_and_not_before_it_was_ordered(
    trails: Mapping[str, Files], ours: Files, said: object
) -> None:
    for files, verify in ((ours, check), (trails["whole"], verify_whole)):
        manifest = json.loads(files.content[MANIFEST]) | {"exported_at": said}
        with pytest.raises(VerificationError) as raised:
            verify(signed(files, json.dumps(manifest).encode()))
        assert raised.value.detail == "does not say when it was made, or a time before it was ordered"


def verify_whole(bundle: Bundle) -> Report:
    return verify_bundle(bundle, LOG_KEY.public, verify_ed25519)


@pytest.mark.parametrize("entry", [5, -1, 10**30])
def test_a_seed_of_no_index_is_noticed(trails: Mapping[str, Files], entry: int) -> None:
    more = trails["whole"].content[INDEXES] + json.dumps({"entry": entry, "disclosure": "Eve did it"}).encode() + b"\n"
    with pytest.raises(VerificationError, match=r"has a seed for entry -?\d+, which is no index"):
        verify_whole(resealed(trails["whole"].but(INDEXES, more)))


def test_half_a_character_in_a_statement_is_refused_in_words(ours: Files) -> None:
    line = b'{"entry": 1, "statement": "\\ud800"}\n'
    assert refused(ours.but("keys/statements.ndjson", line)).check == "keys"


# --- with the tools of others


def guide(place: Path, files: Files, name: str) -> "subprocess.CompletedProcess[str]":
    """What the program in the guide of trails says of ``files``."""
    program = re.findall(r"```python\n(.*?)```", Path("audit/VERIFY-TRAIL.md").read_text(), re.DOTALL)[0]
    (place / "check.py").write_text(program)
    (place / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    command = [sys.executable, str(place / "check.py"), str(files.save(place / name)), str(place / "log.vkey")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


TOOLS = shutil.which("openssl") and shutil.which("ssh-keygen")
needs_tools = pytest.mark.skipif(not TOOLS, reason="no OpenSSL, OpenSSH")


@needs_tools
def test_the_guide_finds_a_trail_whole(ours: Files, tmp_path: Path) -> None:
    run = guide(tmp_path, ours, "whole")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"company northwind: all {expected(300)} entries of the log before entry ")


@needs_tools
def test_the_guide_refuses_forgeries(trails: Mapping[str, Files], ours: Files, tmp_path: Path) -> None:
    def shifted(lines: list[Any]) -> list[Any]:
        """One entry for every one of them: a position below zero leads to the same root, if nobody looks."""
        moved = ({**lines[-1], "entry": lines[-1]["entry"] - (at << 12)} for at in range(len(lines)))
        return sorted(moved, key=lambda line: int(line["entry"]))

    entries = log_entries(trails["whole"])
    mallory = relogged(trails["whole"], entries, key=signing_key(ORIGIN, 9))
    hidden = json.loads(ours.content["disclosures.ndjson"])
    forgeries = {
        "entries are in the log": edited(ours, PAGE, lambda lines: lines[:-1]),
        "a position is out of bounds": edited(ours, PAGE, shifted),
        "your key did not sign": reproven(ours, mallory, frame_of(ours)),
        "openssl": ours.but("checkpoint", ours.content["checkpoint"].replace(b"\n\n", b"\nx\n\n")),
        "the index is older": reproven(
            trails["older"], trails["whole"], [0, frame_of(ours)[1], frame_of(trails["older"])[2]]
        ),
        "the frame is not": reproven(ours, trails["whole"], [5, *frame_of(ours)[1:]]),
        "a name was changed": recounted(
            ours.but("disclosures.ndjson", json.dumps(hidden | {"disclosure": "x"}).encode() + b"\n")
        ),
        "another key made": recounted(ours.but("keys/export.allowed_signers", b"x y ssh-ed25519 " + b"A" * 68 + b"\n")),
        "was added": ours.but("more.txt", b""),
        "was changed": ours.but("VERIFY.md", b""),
        "ssh-keygen": signed(ours, ours.content[MANIFEST], signing_key(f"{ORIGIN}/export", 9)),
    }
    for number, (says, forged) in enumerate(forgeries.items()):
        run = guide(tmp_path, forged, str(number))
        assert (run.returncode, says in run.stderr) == (1, True), (says, run.stderr, run.stdout)


def test_the_verifier_in_one_file_reads_trails_too(ours: Files, tmp_path: Path) -> None:
    write(tmp_path / "verify.pyz")
    (tmp_path / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    command = [sys.executable, str(tmp_path / "verify.pyz"), "--vkey", str(tmp_path / "log.vkey")]
    for files, status in ((ours, 0), (edited(ours, PAGE, lambda lines: lines[1:]), 1)):
        folder = files.save(tmp_path / f"trail-{status}")
        run = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
        assert run.returncode == status, run.stdout
        assert ("of company northwind before entry" in run.stdout) == (status == 0)
        assert ("INVALID: something was left out of the export" in run.stdout) == (status == 1)
