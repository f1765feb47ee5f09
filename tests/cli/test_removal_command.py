"""``conclave audit verify`` on removal proofs, by the command and by the one file; made on either database."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from audit.zipped import write
from bridge.cli.main import main
from config.db import Database
from tests.ledger import LOG_KEY, make_log
from tests.removals import CLEARED_AT, DELIBERATION_ROOM, PITCH_ROOM, Story, removal, removed

GOOD = [
    "cleared       crm, entry 21, ",
    "left          prs_vic of adatum, ",
    "left          prs_val of adatum, ",
    "history       from joining on only, in both rooms, since they were made",
    "sessions      2 that the vendor may have; 1 messages since, none by one of these",
    "deliberation  2 of contoso, and nobody else, were ever in it, over its whole life",
    "whole         every entry of both rooms up to ",
]
FOUND = "FINDINGS: the proof is whole, and what it shows is not as it should be."


async def saved(db: Database, place: Path, story: Story) -> Path:
    files = await removal(await make_log(db, place, []), story.drafts)
    (place / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    return files.save(place / "proof")


def by_command(capsys: pytest.CaptureFixture[str], folder: Path, *more: str) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["audit", "verify", str(folder), "--vkey", str(folder.parent / "log.vkey"), *more])
    return int(ended.value.code or 0), capsys.readouterr().out


def by_one_file(folder: Path) -> tuple[int, str]:
    """The program that ``make verifier`` makes, with nothing of this repository beside it."""
    program = folder.parent / "verify.pyz"
    write(program)
    command = [sys.executable, "-I", str(program), str(folder), "--vkey", str(folder.parent / "log.vkey")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder.parent)
    return ran.returncode, ran.stdout + ran.stderr


def _shows(lines: list[str]) -> bool:
    """Whether the lines say what a good proof shows, behind the checkpoint and before the verdict."""
    return all(line.strip().startswith(f"✓ {text}") for line, text in zip(lines[1:-1], GOOD, strict=True))


async def test_a_good_one_is_valid(db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = await saved(db, tmp_path, removed())
    status, said = by_command(capsys, folder)
    assert (status, _shows(said.splitlines())) == (0, True), said
    assert said.endswith("VALID. adatum was put out of crm, and nothing from after reached it.\n")
    status, said = by_one_file(folder)
    assert (status, _shows(said.splitlines()), said.splitlines()[-1]) == (0, True, "VALID."), said
    status, said = by_command(capsys, folder, "--json")
    assert (status, json.loads(said)["valid"], json.loads(said)["findings"]) == (0, True, [])


async def test_an_old_session_is_shown(db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = removed()
    story.message(DELIBERATION_ROOM, "ann", "s2", CLEARED_AT + 300)
    folder = await saved(db, tmp_path, story)
    finding = "$19 was sent with a session from before the vendor left"
    for status, said in (by_command(capsys, folder), by_one_file(folder)):
        *_, found, verdict = said.splitlines()
        assert (status, found.strip().startswith("✗ entry "), finding in found, verdict) == (1, True, True, FOUND), said
    status, said = by_command(capsys, folder, "--json")
    assert (status, json.loads(said)["valid"], len(json.loads(said)["findings"])) == (1, False, 1)


async def test_one_that_is_not_whole_is_invalid(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = removed()
    story.member(PITCH_ROOM, "joined", "vic", CLEARED_AT + 300)
    folder = await saved(db, tmp_path, story)
    for status, said in (by_command(capsys, folder), by_one_file(folder)):
        assert (status, "prs_vic did not leave it" in said) == (1, True), said
        assert said.splitlines()[-1].startswith("INVALID: the proof is not one of this removal")
